vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

include "devicedetect.vcl";

sub vcl_recv {
    call devicedetect;
    if (req.http.X-UA-Device ~ "^mobile") {
        set req.http.X-Device = "mobile";
    } else {
        set req.http.X-Device = "desktop";
    }
}

sub vcl_deliver {
    if (resp.http.Vary ~ "(?i)x-device") {
        set resp.http.Vary = regsub(resp.http.Vary, "(?i)x-device", "User-Agent");
    }
}
