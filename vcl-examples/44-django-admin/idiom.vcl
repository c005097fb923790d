vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

acl staff {
    "127.0.0.1";
    "10.0.0.0"/8;
}

sub vcl_recv {
    if (req.url ~ "^/admin/") {
        if (client.ip !~ staff) {
            return (synth(404, "Not Found"));
        }
        return (pass);
    }
    if (req.url ~ "^/(static|media)/") {
        unset req.http.Cookie;
    }
    if (req.http.Cookie ~ "(^|;\s*)(sessionid|messages)=" || (req.method != "GET" && req.method != "HEAD")) {
        return (pass);
    }
    unset req.http.Cookie;
}

sub vcl_backend_response {
    if (beresp.status == 200 && bereq.url ~ "^/static/") {
        unset beresp.http.Vary;
        set beresp.ttl = 1d;
    }
}
