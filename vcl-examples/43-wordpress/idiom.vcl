vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "^/wp-admin" || (req.url ~ "\.php" && req.url !~ "^/index\.php")) {
        return (pass);
    }
    if (req.url ~ "^/(cart|checkout|my-account)(/|$)" || req.url ~ "[?&](preview|add-to-cart|wc-ajax|_wpnonce)=") {
        return (pass);
    }
    if (req.http.Cookie ~ "wordpress_logged_in_|wp-postpass_|comment_author_|wp_woocommerce_session_|woocommerce_items_in_cart=[1-9]") {
        return (pass);
    }
    if ((req.method != "GET" && req.method != "HEAD") || req.http.Authorization || req.http.X-WP-Nonce) {
        return (pass);
    }
    unset req.http.Cookie;
    set req.url = regsuball(req.url, "(utm_[a-z]+|gclid|fbclid|replytocom)=[^&]*&?", "");
    set req.url = regsub(req.url, "[?&]+$", "");
}

sub vcl_backend_response {
    if (bereq.uncacheable || beresp.status != 200) {
        return (deliver);
    }
    if (bereq.url ~ "^/wp-(content|includes)/") {
        unset beresp.http.Set-Cookie;
        set beresp.ttl = 7d;
    } elseif (!beresp.http.Cache-Control) {
        set beresp.ttl = 10m;
        set beresp.grace = 1h;
    }
}
