vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (std.healthy(req.backend_hint) || req.url ~ "^/prices/") {
        set req.grace = 10s;
    }
}

sub vcl_backend_response {
    if (bereq.url ~ "^/news/") {
        set beresp.grace = 24h;
    } elseif (bereq.url ~ "^/prices/") {
        set beresp.grace = 0s;
    }
    if (beresp.status >= 500 && bereq.is_bgfetch) {
        return (abandon);
    }
}
