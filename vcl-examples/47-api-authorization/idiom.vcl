vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "^/api/" && !req.http.Authorization) {
        return (synth(401, "Unauthorized"));
    }
    if (req.url ~ "^/api/" && req.method == "GET") {
        # builtin.vcl would pass it.
        return (hash);
    }
}

sub vcl_hash {
    if (req.url ~ "^/api/") {
        hash_data(req.http.Authorization);
    }
}

sub vcl_synth {
    if (resp.status == 401) {
        set resp.http.WWW-Authenticate = "Bearer";
    }
}
