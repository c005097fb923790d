vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.http.Cookie ~ "group=b") {
        set req.http.X-Variant = "b";
    } elseif (req.http.Cookie ~ "group=a") {
        set req.http.X-Variant = "a";
    } else {
        if (std.random(0, 100) < 20) {
            set req.http.X-Variant = "b";
        } else {
            set req.http.X-Variant = "a";
        }
        set req.http.X-New-Visitor = "1";
    }
    unset req.http.Cookie;
}

sub vcl_deliver {
    if (req.http.X-New-Visitor) {
        set resp.http.Set-Cookie = "group=" + req.http.X-Variant + "; Path=/; Max-Age=31536000";
    }
}
