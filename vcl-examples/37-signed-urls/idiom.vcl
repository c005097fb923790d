vcl 4.1;

import digest;
import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "^/download/") {
        set req.http.X-Expires = regsub(req.url, ".*[?&]expires=([0-9]+).*", "\1");
        set req.http.X-Signature = regsub(req.url, ".*&signature=", "");
        set req.http.X-Signed = regsub(req.url, "&signature=.*", "");
        if (req.http.X-Signature != digest.hmac_sha256("a key of the example", req.http.X-Signed)) {
            return (synth(403, "Forbidden"));
        }
        if (std.time(req.http.X-Expires, now) <= now) {
            return (synth(403, "Forbidden"));
        }
        set req.url = regsub(req.url, "[?&]expires=.*", "");
    }
}
