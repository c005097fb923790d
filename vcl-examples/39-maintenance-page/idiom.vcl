vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

acl staff {
    "192.0.2.0"/24;
}

sub vcl_recv {
    if (std.file_exists("/etc/varnish/maintenance") && client.ip !~ staff && req.url !~ "^/static/") {
        return (synth(503, "Maintenance"));
    }
}

sub vcl_synth {
    if (resp.status == 503) {
        set resp.http.Content-Type = "text/html; charset=utf-8";
        set resp.http.Retry-After = "600";
        set resp.body = std.fileread("/etc/varnish/maintenance.html");
        return (deliver);
    }
}
