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
            return (synth(403, "Not allowed."));
        }
        return (purge);
    }
    if (req.method == "BAN") {
        if (client.ip !~ purgers) {
            return (synth(403, "Not allowed."));
        }
        if (!req.http.Cache-Tags) {
            return (synth(400, "Cache-Tags header missing."));
        }
        ban("obj.http.Cache-Tags ~ " + req.http.Cache-Tags);
        return (synth(200, "Ban added."));
    }
    if (req.url ~ "^/(core/)?(install|update|cron|rebuild|authorize)\.php" || req.url ~ "^/cron/") {
        if (client.ip !~ purgers) {
            return (synth(404, "Page not found."));
        }
        return (pass);
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    if (req.url ~ "(?i)\.(css|js|png|jpe?g|gif|webp|avif|svg|ico|woff2?)(\?.*)?$" && req.url !~ "^/system/files/") {
        unset req.http.Cookie;
        return (hash);
    }
    if (req.http.Cookie ~ "S?SESS|NO_CACHE") {
        return (pass);
    }
    unset req.http.Cookie;
}

sub vcl_deliver {
    unset resp.http.Cache-Tags;
}
