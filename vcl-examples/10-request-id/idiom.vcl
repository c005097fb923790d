vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    # The number of the transaction is unique in one process only; a vmod is needed for more.
    if (!req.http.X-Request-Id) {
        set req.http.X-Request-Id = server.identity + "-" + req.xid;
    }
    std.log("request " + req.http.X-Request-Id);
}

sub vcl_backend_fetch {
    set bereq.http.X-Correlation-Id = bereq.http.X-Request-Id;
}

sub vcl_deliver {
    set resp.http.X-Request-Id = req.http.X-Request-Id;
}

sub vcl_synth {
    set resp.http.X-Request-Id = req.http.X-Request-Id;
}
