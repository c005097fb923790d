vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "^/staging/") {
        # echo -n anna:resin | base64
        if (req.http.Authorization != "Basic YW5uYTpyZXNpbg==") {
            return (synth(401, "Unauthorized"));
        }
        unset req.http.Authorization;
        set req.http.X-User = "anna";
    }
}

sub vcl_synth {
    if (resp.status == 401) {
        set resp.http.WWW-Authenticate = {"Basic realm="Staging""};
    }
}
