vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "(?i)\.(css|js|mjs|png|jpe?g|gif|webp|avif|svg|ico|woff2?)(\?|$)") {
        unset req.http.Cookie;
        set req.url = regsub(req.url, "\?.*$", "");
        set req.http.X-Static = "1";
    } else {
        unset req.http.X-Static;
    }
}

sub vcl_backend_response {
    if (bereq.http.X-Static && beresp.status == 200) {
        unset beresp.http.Set-Cookie;
        if (bereq.url ~ "\.[0-9a-f]{8,}\.[a-z0-9]+$") {
            set beresp.ttl = 365d;
            set beresp.http.Cache-Control = "public, max-age=31536000, immutable";
        } else {
            set beresp.ttl = 1h;
            set beresp.http.Cache-Control = "public, max-age=3600";
        }
        if (bereq.url ~ "\.woff2?$") {
            set beresp.http.Access-Control-Allow-Origin = "*";
        }
    }
}
