vcl 4.1;

import std;

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
    if (req.method == "BAN") {
        if (client.ip !~ purgers) {
            return (synth(403, "BAN is not allowed from this address"));
        }
        if (std.ban("obj.http.X-Host == " + req.http.Host + " && obj.http.X-Url ~ " + req.url)) {
            return (synth(200, "Ban added"));
        }
        return (synth(400, std.ban_error()));
    }
    if (req.method == "DELETE" && req.url == "/cache/images") {
        if (client.ip !~ purgers) {
            return (synth(403, "Not allowed from this address"));
        }
        if (!std.ban("obj.http.Content-Type ~ ^image/ && obj.age > 1s")) {
            return (synth(500, std.ban_error()));
        }
        return (synth(200, "Images banned"));
    }
}

sub vcl_backend_response {
    set beresp.http.X-Url = bereq.url;
    set beresp.http.X-Host = bereq.http.Host;
}

sub vcl_deliver {
    unset resp.http.X-Url;
    unset resp.http.X-Host;
}
