vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub harden {
    unset resp.http.Server;
    unset resp.http.X-Powered-By;
    # Every name that the application may use has to be listed.
    unset resp.http.X-Debug-Sql;
    unset resp.http.X-Debug-Time;
    set resp.http.X-Content-Type-Options = "nosniff";
    set resp.http.Referrer-Policy = "strict-origin-when-cross-origin";
    set resp.http.Strict-Transport-Security = "max-age=31536000; includeSubDomains";
    if (!resp.http.Content-Security-Policy && resp.http.Content-Type ~ "^text/html") {
        set resp.http.Content-Security-Policy = "default-src 'self'; frame-ancestors 'none'";
    }
}

sub vcl_deliver {
    call harden;
}

sub vcl_synth {
    set resp.http.Content-Type = "text/html; charset=utf-8";
    call harden;
}
