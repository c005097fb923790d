vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.url ~ "(\?|&)(utm_[a-z]+|gclid|fbclid|mc_[a-z]+)=") {
        set req.url = regsuball(req.url, "&(utm_[a-z]+|gclid|fbclid|mc_[a-z]+)=[^&]*", "");
        set req.url = regsuball(req.url, "\?(utm_[a-z]+|gclid|fbclid|mc_[a-z]+)=[^&]*&?", "?");
        set req.url = regsub(req.url, "\?$", "");
    }
    if (req.url ~ "^/search") {
        # Only q and page mean something; a regular expression for "all but these" is left as an exercise.
        set req.url = regsuball(req.url, "&(sort|view)=[^&]*", "");
    }
    set req.url = std.querysort(req.url);
}
