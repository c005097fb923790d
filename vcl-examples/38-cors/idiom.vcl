vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "^/api/" && req.method == "OPTIONS" && req.http.Origin && req.http.Access-Control-Request-Method) {
        return (synth(204));
    }
}

sub allow_origin {
    # Called with the name that both sides share; resp.* exists in vcl_deliver and vcl_synth.
    if (req.http.Origin ~ "^https://(app|admin)\.example$") {
        set resp.http.Access-Control-Allow-Origin = req.http.Origin;
    }
    set resp.http.Vary = "Origin";
}

sub vcl_deliver {
    if (req.url ~ "^/api/") {
        call allow_origin;
    }
}

sub vcl_synth {
    if (resp.status == 204) {
        call allow_origin;
        set resp.http.Access-Control-Allow-Methods = "GET, POST, PUT";
        set resp.http.Access-Control-Allow-Headers = req.http.Access-Control-Request-Headers;
        set resp.http.Access-Control-Max-Age = "3600";
        set resp.body = "";
        return (deliver);
    }
}
