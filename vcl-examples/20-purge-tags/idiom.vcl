vcl 4.1;

import xkey;

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
    if (req.method == "PURGE") {
        if (client.ip !~ purgers) {
            return (synth(403, "PURGE is not allowed from this address"));
        }
        if (req.http.xkey) {
            set req.http.n-gone = xkey.purge(req.http.xkey);
            return (synth(200, "Purged " + req.http.n-gone + " objects"));
        }
        if (req.http.xkey-softpurge) {
            set req.http.n-gone = xkey.softpurge(req.http.xkey-softpurge);
            return (synth(200, "Expired " + req.http.n-gone + " objects"));
        }
        return (purge);
    }
}

sub vcl_deliver {
    unset resp.http.xkey;
    if (req.method == "POST" && req.url ~ "^/api/articles" && resp.status < 400) {
        set resp.http.X-Made-Stale = xkey.softpurge("article-lists");
    }
}
