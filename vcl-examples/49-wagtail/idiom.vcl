vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

acl wagtail {
    "127.0.0.1";
    "10.0.0.0"/8;
}

sub vcl_recv {
    set req.http.Host = std.tolower(regsub(req.http.Host, ":[0-9]+$", ""));
    if (req.method == "PURGE") {
        if (client.ip !~ wagtail) {
            return (synth(403, "PURGE is not allowed from this address"));
        }
        return (purge);
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    # The editors' interface, previews, and documents that may be private.
    if (req.url ~ "^/(admin|cms|django-admin|documents)/" || req.url ~ "[?&]in_preview_panel=") {
        return (pass);
    }
    # An editor sees the userbar; who gave the password of a protected page has a session too.
    if (req.http.Cookie ~ "(^|;\s*)(sessionid|messages)=") {
        return (pass);
    }
    unset req.http.Cookie;
    set req.url = std.querysort(regsub(req.url, "\?(utm_[a-z]+=[^&]*&?)+$", ""));
}

sub vcl_backend_response {
    if (bereq.url ~ "^/(static|media/images)/" && beresp.status == 200) {
        unset beresp.http.Set-Cookie;
        set beresp.ttl = 7d;
    } elsif (bereq.uncacheable == false && beresp.status == 200 && !beresp.http.Set-Cookie) {
        # Wagtail purges what changes, so pages may stay.
        set beresp.ttl = 1h;
    }
    set beresp.grace = 6h;
}
