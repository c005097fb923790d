vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

acl purgers {
    "127.0.0.1";
    "::1";
    "10.0.0.0"/8;
}

sub vcl_recv {
    if (req.method == "PURGE") {
        if (client.ip !~ purgers) {
            return (synth(403, "PURGE is not allowed from this address"));
        }
        if (req.http.X-Purge-Method == "regex") {
            ban("obj.http.X-Url ~ " + req.url + " && obj.http.X-Host == " + req.http.Host);
            return (synth(200, "Banned"));
        }
        if (req.http.X-Purge-Method == "default") {
            ban("obj.http.X-Url ~ ^" + regsub(req.url, "\?.*", "") + "(\?|$) && obj.http.X-Host == " + req.http.Host);
            return (synth(200, "Banned"));
        }
        return (purge);
    }
    if (req.url ~ "^/wp-(admin|login)" || req.http.Cookie ~ "wordpress_logged_in|wp-postpass|comment_author") {
        return (pass);
    }
    unset req.http.Cookie;
}

sub vcl_backend_response {
    set beresp.http.X-Url = bereq.url;
    set beresp.http.X-Host = bereq.http.Host;
}

sub vcl_deliver {
    unset resp.http.X-Url;
    unset resp.http.X-Host;
}
