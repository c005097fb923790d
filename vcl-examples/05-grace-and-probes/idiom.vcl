vcl 4.1;

import std;

probe healthz {
    .url = "/healthz/";
    .interval = 5s;
    .timeout = 2s;
    .window = 8;
    .threshold = 3;
    .initial = 2;
}

backend default {
    .host = "127.0.0.1";
    .port = "8000";
    .probe = healthz;
}

sub vcl_recv {
    if (std.healthy(req.backend_hint)) {
        set req.grace = 10s;
    }
}

sub vcl_backend_response {
    # A failed refresh must not replace the page that is there.
    if (beresp.status >= 500 && bereq.is_bgfetch) {
        return (abandon);
    }
    set beresp.grace = 24h;
}
