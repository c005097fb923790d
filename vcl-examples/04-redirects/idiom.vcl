vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.http.Host ~ "(?i)^www\.shop\.example$") {
        set req.http.X-Location = "https://shop.example" + req.url;
        return (synth(1301));
    }
    if (req.http.X-Forwarded-Proto == "http") {
        set req.http.X-Location = "https://shop.example" + req.url;
        return (synth(1308));
    }
    if (req.url == "/about.html") {
        set req.http.X-Location = "/about/";
        return (synth(1301));
    }
    if (req.url == "/shop") {
        set req.http.X-Location = "/products/";
        return (synth(1301));
    }
    if (req.url ~ "^/blog/[0-9]{4}/[0-9]{2}/[a-z0-9-]+$") {
        set req.http.X-Location = regsub(req.url, "^/blog/[0-9]{4}/[0-9]{2}/(.+)$", "/posts/\1/");
        return (synth(1301));
    }
    if (req.url ~ "^/sale(\?|$)") {
        set req.http.X-Location = "/offers/";
        return (synth(1302));
    }
}

sub vcl_synth {
    if (resp.status > 1000) {
        set resp.status = resp.status - 1000;
        set resp.http.Location = req.http.X-Location;
        if (resp.status == 301 || resp.status == 308) {
            set resp.http.Cache-Control = "max-age=3600";
        }
        set resp.body = "";
        return (deliver);
    }
}
