vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

acl purgers {
    "127.0.0.1";
    "::1";
    "10.0.0.0"/8;
    ! "10.0.0.66";
}

acl editors {
    "192.0.2.0"/24;
}

sub vcl_recv {
    set req.url = std.querysort(regsub(req.url, "\?(utm_[a-z]+=[^&]*&?)+$", ""));
    if (req.method == "PURGE") {
        if (client.ip ~ purgers) {
            return (purge);
        }
        if (req.url ~ "^/news/" && client.ip ~ editors) {
            return (purge);
        }
        return (synth(403, "PURGE is not allowed from this address"));
    }
}
