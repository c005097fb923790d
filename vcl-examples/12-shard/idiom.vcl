vcl 4.1;

import directors;

probe healthz {
    .url = "/healthz/";
    .interval = 5s;
    .initial = 3;
}

backend app1 { .host = "127.0.0.1"; .port = "8001"; .probe = healthz; }
backend app2 { .host = "127.0.0.1"; .port = "8002"; .probe = healthz; }
backend app3 { .host = "127.0.0.1"; .port = "8003"; .probe = healthz; }

sub vcl_init {
    new app = directors.shard();
    app.add_backend(app1);
    app.add_backend(app2);
    app.add_backend(app3, weight=2.0);
    app.set_warmup(0.1);
    app.set_rampup(30s);
    app.reconfigure();

    new visitors = directors.shard();
    visitors.add_backend(app1);
    visitors.add_backend(app2);
    visitors.add_backend(app3);
    visitors.reconfigure();
}

sub vcl_backend_fetch {
    if (bereq.url ~ "^/account/") {
        set bereq.backend = visitors.backend(by=KEY, key=visitors.key(bereq.http.X-User));
    } else {
        set bereq.backend = app.backend(by=URL);
    }
}
