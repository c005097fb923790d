//! temporary
use copal_policy::*;
use std::sync::Arc;
#[test]
fn timing() {
    let env = Arc::new(Environment::default());
    let cases = [
        ("empty", "fn recv(req) { }"),
        ("pass", "fn recv(req) { pass() }"),
        ("getter", "fn recv(req) { if req.method == \"PUT\" { return pass(); } }"),
        ("url", "fn recv(req) { if req.url == \"PUT\" { return pass(); } }"),
        ("header", "fn recv(req) { if req.http[\"host\"] == \"PUT\" { return pass(); } }"),
        ("headerprop", "fn recv(req) { if req.http.host == \"PUT\" { return pass(); } }"),
        ("cookiehas", "fn recv(req) { if req.cookie.has(\"sessionid\") { return pass(); } }"),
        ("remove", "fn recv(req) { req.http.remove(\"cookie\"); }"),
        (
            "query",
            "fn recv(req) { req.url = query::sort(query::without(req.url, [\"utm_*\", \"gclid\", \"fbclid\"])); }",
        ),
        (
            "typical",
            "fn recv(req) { if !req.is_get_or_head() || req.cookie.has(\"sessionid\") { return pass(); }\n req.http.remove(\"cookie\");\n req.url = query::sort(query::without(req.url, [\"utm_*\", \"gclid\", \"fbclid\"])); }",
        ),
        (
            "naive",
            "fn recv(req) { if req.method != \"GET\" && req.method != \"HEAD\" { return pass(); }\n if req.url.starts_with(\"/admin\") || req.http.cookie.contains(\"sessionid\") { return pass(); }\n if req.url.ends_with(\".css\") { req.http.remove(\"cookie\"); } lookup() }",
        ),
    ];
    for (name, src) in cases {
        let p = Policy::compile("p", src, env.clone()).unwrap_or_else(|e| panic!("{e}"));
        let mut s = Box::<Scene>::default();
        s.req = copal_semantics::RequestHead::get(
            "/products/shoes/index.html?page=2&sort=price&color=red",
            [
                ("Host", "www.example.com"),
                ("user-agent", "Mozilla/5.0 something"),
                ("accept", "*/*"),
                ("accept-encoding", "gzip, br"),
                ("accept-language", "en-US"),
                ("cookie", "theme=dark; _ga=GA1.2.12345.67890; csrftoken=abcdef123"),
                ("x-forwarded-for", "10.0.0.1"),
            ],
        );
        let mut best = f64::MAX;
        for _ in 0..60 {
            let t = std::time::Instant::now();
            for _ in 0..2000 {
                let (b, r) = p.call(Hook::Recv, s);
                s = b;
                std::hint::black_box(r.is_ok());
            }
            best = best.min(t.elapsed().as_secs_f64() / 2000.0 * 1e9);
        }
        println!("{name:12} {best:.0} ns");
    }
}
