vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

acl purgers {
    "127.0.0.1";
    "::1";
    "10.0.0.0"/8;
}

sub vcl_recv {
    if (req.method == "REFRESH") {
        if (client.ip !~ purgers) {
            return (synth(403, "REFRESH is not allowed from this address"));
        }
        set req.method = "GET";
        set req.hash_always_miss = true;
    }
    if (req.http.Cookie ~ "editor=" && req.http.X-Refresh == "1" && client.ip ~ purgers) {
        set req.hash_always_miss = true;
    }
    unset req.http.X-Refresh;
}
