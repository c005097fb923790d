vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

backend canary {
    .host = "127.0.0.1";
    .port = "8001";
    .probe = {
        .url = "/healthz/";
        .interval = 5s;
        .initial = 3;
    }
}

sub vcl_recv {
    if (std.healthy(canary)
        && (req.http.Cookie ~ "canary=yes" || (req.http.Cookie !~ "canary=no" && std.random(0, 100) < 5))) {
        set req.http.X-Canary = "yes";
        set req.backend_hint = canary;
    } else {
        unset req.http.X-Canary;
    }
    unset req.http.Cookie;
}

sub vcl_hash {
    # Without a return, builtin.vcl adds url and host.
    if (req.http.X-Canary) {
        hash_data("canary");
    }
}
