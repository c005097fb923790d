vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.http.Cookie ~ "lang=(en|de|fr)") {
        set req.http.Accept-Language = regsub(req.http.Cookie, ".*lang=(en|de|fr).*", "\1");
    } elseif (req.http.Accept-Language ~ "^de") {
        set req.http.Accept-Language = "de";
    } elseif (req.http.Accept-Language ~ "^fr") {
        set req.http.Accept-Language = "fr";
    } else {
        set req.http.Accept-Language = "en";
    }
    unset req.http.Cookie;
}
