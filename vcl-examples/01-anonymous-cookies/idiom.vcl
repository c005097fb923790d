vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "^/static/") {
        unset req.http.Cookie;
        return (hash);
    }
    if (req.http.Cookie ~ "(^|;\s*)sessionid=" || (req.method != "GET" && req.method != "HEAD")) {
        return (pass);
    }
    # What is left is analytics and preferences: the pages do not depend on it.
    unset req.http.Cookie;
}

sub vcl_backend_response {
    if (beresp.status == 200 && bereq.url ~ "^/static/") {
        unset beresp.http.Set-Cookie;
        set beresp.ttl = 1d;
    }
}

sub vcl_deliver {
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
}
