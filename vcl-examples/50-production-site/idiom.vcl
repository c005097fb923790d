vcl 4.1;

import std;
import directors;
import cookie;

probe alive {
    .url = "/healthz";
    .interval = 5s;
    .timeout = 2s;
    .window = 5;
    .threshold = 3;
}

backend web1 {
    .host = "127.0.0.1";
    .port = "8000";
    .probe = alive;
    .first_byte_timeout = 30s;
    .max_connections = 200;
}

backend web2 {
    .host = "127.0.0.1";
    .port = "8001";
    .probe = alive;
    .first_byte_timeout = 30s;
    .max_connections = 200;
}

backend media {
    .host = "127.0.0.1";
    .port = "8002";
}

acl purgers {
    "127.0.0.1";
    "10.0.0.0"/8;
    ! "10.0.0.66";
}

sub vcl_init {
    new web = directors.round_robin();
    web.add_backend(web1);
    web.add_backend(web2);
}

sub clean_url {
    if (req.url ~ "[?&](utm_[a-z]+|gclid|fbclid)=") {
        set req.url = regsuball(req.url, "(utm_[a-z]+|gclid|fbclid)=[^&]*&?", "");
        set req.url = regsub(req.url, "[?&]+$", "");
    }
    set req.url = std.querysort(req.url);
}

sub clean_cookies {
    cookie.parse(req.http.Cookie);
    cookie.keep_re("^(sessionid|csrftoken|cart)$");
    set req.http.Cookie = cookie.get_string();
    if (req.http.Cookie == "") {
        unset req.http.Cookie;
    }
}

sub vcl_recv {
    if (req.restarts == 0) {
        unset req.http.X-Device;
        unset req.http.X-Tried;
    }
    if (req.url == "/lb-check") {
        if (std.healthy(web.backend())) {
            return (synth(200, "up"));
        }
        return (synth(503, "no server"));
    }

    set req.http.Host = std.tolower(regsub(req.http.Host, ":[0-9]+$", ""));
    if (req.http.Host ~ "^www\.") {
        return (synth(750, "https://" + regsub(req.http.Host, "^www\.", "") + req.url));
    }
    if (req.http.X-Forwarded-Proto == "http") {
        return (synth(750, "https://" + req.http.Host + req.url));
    }
    if (req.url ~ "^/(old-shop|store)(/.*)?$") {
        return (synth(750, regsub(req.url, "^/(old-shop|store)", "/shop")));
    }

    if (req.method == "PURGE" || req.method == "BAN") {
        if (client.ip !~ purgers) {
            return (synth(403, "Not allowed from " + client.ip));
        }
        if (req.method == "PURGE") {
            return (purge);
        }
        if (!req.http.X-Ban) {
            return (synth(400, "X-Ban: which paths?"));
        }
        ban("obj.http.x-url ~ " + req.http.X-Ban);
        return (synth(200, "Banned " + req.http.X-Ban));
    }

    if (req.http.User-Agent ~ "(?i)mobile|iphone") {
        set req.http.X-Device = "mobile";
    } else {
        set req.http.X-Device = "desktop";
    }

    call clean_url;
    call clean_cookies;

    if (req.url ~ "^/(media|static)/") {
        set req.backend_hint = media;
        unset req.http.Cookie;
        return (hash);
    }
    set req.backend_hint = web.backend();
    if (std.healthy(req.backend_hint)) {
        set req.grace = 30s;
    }

    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    if (req.url ~ "^/(account|checkout|admin)(/|$)" || req.http.Authorization) {
        return (pass);
    }
    if (req.http.Cookie ~ "(^|; )(sessionid|cart)=") {
        return (pass);
    }
    unset req.http.Cookie;
    return (hash);
}

sub vcl_backend_response {
    set beresp.http.x-url = bereq.url;
    if (bereq.url ~ "^/(media|static)/") {
        unset beresp.http.Set-Cookie;
        if (beresp.status == 200) {
            set beresp.ttl = 7d;
        }
    } elsif (beresp.http.Vary) {
        set beresp.http.Vary = beresp.http.Vary + ", X-Device";
    } else {
        set beresp.http.Vary = "X-Device";
    }
    if (beresp.status == 404) {
        set beresp.ttl = 30s;
    }
    if (beresp.status >= 500) {
        if (bereq.is_bgfetch) {
            return (abandon);
        }
        if (bereq.retries == 0 && bereq.method == "GET") {
            return (retry);
        }
        set beresp.uncacheable = true;
        set beresp.ttl = 5s;
        return (deliver);
    }
    if (beresp.http.Set-Cookie || beresp.http.Cache-Control ~ "private|no-store") {
        set beresp.uncacheable = true;
        set beresp.ttl = 60s;
        return (deliver);
    }
    set beresp.grace = 12h;
}

sub vcl_backend_error {
    if (bereq.retries == 0) {
        return (retry);
    }
    set beresp.http.Content-Type = "text/html; charset=utf-8";
    set beresp.http.Retry-After = "30";
    set beresp.body = {"<!doctype html><title>Back soon</title><h1>We will be back soon</h1><p>Reference: "} + bereq.xid + {"</p>"};
    return (deliver);
}

sub vcl_deliver {
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT " + obj.hits;
    } else {
        set resp.http.X-Cache = "MISS";
    }
    if (resp.http.Vary) {
        set resp.http.Vary = regsub(resp.http.Vary, "X-Device", "User-Agent");
    }
    unset resp.http.x-url;
    unset resp.http.X-Powered-By;
    set resp.http.Strict-Transport-Security = "max-age=31536000";
    if (req.url !~ "^/(media|static)/" && resp.http.Content-Type ~ "^text/html") {
        set resp.http.Cache-Control = "no-cache";
    }
}

sub vcl_synth {
    if (resp.status == 750) {
        set resp.http.Location = resp.reason;
        set resp.status = 301;
        set resp.reason = "Moved Permanently";
        return (deliver);
    }
    set resp.http.Content-Type = "text/plain; charset=utf-8";
    set resp.body = resp.reason + {"
"};
    return (deliver);
}
