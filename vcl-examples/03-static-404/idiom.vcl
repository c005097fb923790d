vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "(?i)^[^?]*\.(php|asp|aspx|cgi)(\?|$)") {
        return (synth(404));
    }
    if (req.url ~ "(?i)^[^?]*\.(css|js|png|jpg|svg|ico|woff2)(\?|$)") {
        set req.url = regsub(req.url, "\?.*$", "");
        unset req.http.Cookie;
    }
}

sub vcl_backend_response {
    if (beresp.status == 404 && bereq.url ~ "(?i)\.(css|js|png|jpg|svg|ico|woff2)$") {
        unset beresp.http.Set-Cookie;
        unset beresp.http.Vary;
        set beresp.http.Cache-Control = "max-age=60";
        set beresp.ttl = 10m;
        set beresp.grace = 0s;
    }
}
