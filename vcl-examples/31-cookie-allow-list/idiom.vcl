vcl 4.1;

import cookie;
import header;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    cookie.parse(req.http.Cookie);
    cookie.keep("sessionid,csrftoken");
    set req.http.Cookie = cookie.get_string();
    if (req.http.Cookie == "") {
        unset req.http.Cookie;
    }
    if (req.http.Cookie ~ "sessionid=") {
        return (pass);
    }
    unset req.http.Cookie;
}

sub vcl_backend_response {
    # One Set-Cookie out of several needs vmod header.
    header.remove(beresp.http.Set-Cookie, "^_");
}
