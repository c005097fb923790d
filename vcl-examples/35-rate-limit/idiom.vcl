vcl 4.1;

import vsthrottle;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_recv {
    if (req.method == "POST" && req.url == "/login/" && vsthrottle.is_denied("login " + client.identity, 5, 60s)) {
        return (synth(429, "Too Many Requests"));
    }
    if (vsthrottle.is_denied(client.identity, 100, 1s)) {
        return (synth(429, "Too Many Requests"));
    }
}

sub vcl_synth {
    if (resp.status == 429) {
        set resp.http.Retry-After = "12";
    }
}
