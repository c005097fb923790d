vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "^/graphql(\?|$)") {
        if (req.method != "GET") {
            return (pass);
        }
        if (req.url ~ "(?i)[?&]query=(%20|%0A|\+)*(mutation|subscription)") {
            return (synth(405, "Method Not Allowed"));
        }
        if (req.http.Authorization || req.http.Cookie ~ "(^|;\s*)sessionid=") {
            return (pass);
        }
        unset req.http.Cookie;
        set req.url = std.querysort(req.url);
        return (hash);
    }
}

sub vcl_backend_response {
    if (bereq.url ~ "^/graphql" && beresp.status == 200 && !beresp.http.Cache-Control) {
        set beresp.ttl = 30s;
    }
}
