vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.http.Cookie !~ "cart=") {
        unset req.http.Cookie;
    }
}

sub vcl_backend_response {
    if (beresp.http.X-Cart-Items ~ "^[1-9]") {
        set beresp.uncacheable = true;
        set beresp.ttl = 120s;
    } else {
        unset beresp.http.Set-Cookie;
    }
}

sub vcl_deliver {
    unset resp.http.X-Cart-Items;
}
