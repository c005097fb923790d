vcl 4.1;

import directors;

probe healthz {
    .url = "/healthz/";
    .interval = 5s;
    .initial = 3;
}

backend app1 { .host = "127.0.0.1"; .port = "8001"; .probe = healthz; }
backend app2 { .host = "127.0.0.1"; .port = "8002"; .probe = healthz; }
backend api  { .host = "127.0.0.1"; .port = "8003"; }

sub vcl_init {
    # round_robin has no weights: the stronger machine is added three times.
    new app = directors.round_robin();
    app.add_backend(app1);
    app.add_backend(app1);
    app.add_backend(app1);
    app.add_backend(app2);
}

sub vcl_recv {
    set req.backend_hint = app.backend();
    if (req.url ~ "^/api/") {
        set req.backend_hint = api;
    }
}
