vcl 4.1;

import directors;
import saintmode;       # of varnish-modules

probe healthz {
    .url = "/healthz/";
    .interval = 5s;
    .initial = 3;
}

backend app1 { .host = "127.0.0.1"; .port = "8001"; .probe = healthz; }
backend app2 { .host = "127.0.0.1"; .port = "8002"; .probe = healthz; }

sub vcl_init {
    # Five objects that it has failed make a backend sick as a whole.
    new saint1 = saintmode.saintmode(app1, 5);
    new saint2 = saintmode.saintmode(app2, 5);

    # round_robin knows no slow start: app1 gets half of all requests the moment it is healthy.
    new app = directors.round_robin();
    app.add_backend(saint1.backend());
    app.add_backend(saint2.backend());
}

sub vcl_recv {
    set req.backend_hint = app.backend();
}

sub vcl_backend_response {
    if (beresp.status >= 500 && bereq.method == "GET") {
        saintmode.blacklist(20s);
        if (bereq.retries < 1) {
            return (retry);
        }
    }
}
