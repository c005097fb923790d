vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "^/wp-(admin|login\.php|cron\.php)" || req.url ~ "[?&]preview=true") {
        return (pass);
    }
    if (req.http.Cookie ~ "wordpress_logged_in_|wp-postpass_|comment_author_|woocommerce_items_in_cart=[1-9]") {
        return (pass);
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }
    unset req.http.Cookie;
}

sub vcl_backend_response {
    if (beresp.status == 200 && bereq.url ~ "^/wp-(content|includes)/") {
        unset beresp.http.Set-Cookie;
        set beresp.ttl = 7d;
    } elseif (!bereq.uncacheable && beresp.status == 200 && !beresp.http.Cache-Control) {
        set beresp.ttl = 10m;
        set beresp.grace = 1h;
    }
}
