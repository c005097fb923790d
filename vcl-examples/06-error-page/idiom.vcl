vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "^/internal/") {
        return (synth(403));
    }
}

sub vcl_backend_response {
    # The application's own error page shows more than visitors should see.
    if (beresp.status >= 500) {
        return (error(beresp.status));
    }
}

sub vcl_backend_error {
    if (bereq.retries == 0 && (bereq.method == "GET" || bereq.method == "HEAD")) {
        return (retry);
    }
    set beresp.http.Cache-Control = "no-store";
    set beresp.http.Retry-After = "30";
    if (bereq.http.Accept ~ "application/json") {
        set beresp.http.Content-Type = "application/json";
        set beresp.body = {"{ "error": "unavailable", "request": ""} + bereq.xid + {"" }"};
    } else {
        set beresp.http.Content-Type = "text/html; charset=utf-8";
        set beresp.body = {"<!DOCTYPE html>
<html lang="en"><head><title>Back soon</title></head>
<body><h1>Back soon</h1><p>Something is broken on our side, and we have been told. Please try again in a minute.</p>
<p><small>"} + bereq.xid + {"</small></p></body></html>
"};
    }
    return (deliver);
}

sub vcl_synth {
    set resp.http.Content-Type = "text/html; charset=utf-8";
    set resp.body = {"<!DOCTYPE html>
<html lang="en"><head><title>"} + resp.reason + {"</title></head>
<body><h1>"} + resp.reason + {"</h1><p>This page is not for you.</p>
<p><small>"} + req.xid + {"</small></p></body></html>
"};
    return (deliver);
}
