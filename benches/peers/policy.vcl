vcl 4.1;
# The same as policy.rhai. The regular expression over the query runs only where there is one, as Copal's functions do.

import std;

backend default {
    .host = "127.0.0.1";
    .port = "@ORIGIN@";
}

sub vcl_recv {
    if ((req.method != "GET" && req.method != "HEAD") || req.http.Cookie ~ "(^|;\s*)sessionid=") {
        return (pass);
    }
    unset req.http.Cookie;
    if (req.url ~ "\?") {
        set req.url = regsuball(req.url, "(?<=[?&])(utm_[^=&]*|gclid|fbclid)(=[^&]*)?(&|$)", "");
        set req.url = std.querysort(regsub(req.url, "[?&]+$", ""));
    }
}

sub vcl_deliver {
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
}
