vcl 4.1;

import std;
import xkey;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

acl editors {
    "127.0.0.1";
    "10.0.0.0"/8;
}

sub vcl_recv {
    if (req.url == "/_published") {
        if (req.method != "POST" || client.ip !~ editors) {
            return (synth(404, "Not Found"));
        }
        if (!req.http.xkey-softpurge) {
            return (synth(400, "Name the tags in xkey-softpurge"));
        }
        set req.http.n-gone = xkey.softpurge(req.http.xkey-softpurge);
        return (synth(200, "Made stale: " + req.http.n-gone));
    }
    if (req.http.Cookie ~ "(^|;\s*)sessionid=") {
        return (pass);
    }
    unset req.http.Cookie;
}

sub vcl_backend_response {
    if (beresp.status >= 500 && bereq.is_bgfetch) {
        return (abandon);
    }
    set beresp.grace = 1d;
}

sub vcl_deliver {
    unset resp.http.xkey;
}
