vcl 4.1;

import std;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

acl editors {
    "127.0.0.1";
    "10.0.0.0"/8;
}

sub vcl_recv {
    if (req.url ~ "[?&]nocache(=|&|$)") {
        return (pass);
    }
    if (req.url ~ "[?&]refresh(=|&|$)") {
        if (client.ip !~ editors) {
            return (synth(403, "Only editors may refresh"));
        }
        set req.url = regsub(req.url, "([?&])refresh(=[^&]*)?(&|$)", "\1");
        set req.hash_always_miss = true;
    }
    set req.url = regsuball(req.url, "(?<=[?&])(utm_[a-z]+|gclid|fbclid)=[^&]*(&|$)", "");
    set req.url = regsub(req.url, "[?&]+$", "");
    set req.url = std.querysort(req.url);
}
