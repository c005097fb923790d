vcl 4.1;

backend default {
    .host = "127.0.0.1";
    .port = "8000";
}

sub vcl_backend_response {
    if (beresp.http.Content-Type ~ "^image/") {
        set beresp.storage = storage.images;
    } else {
        set beresp.storage = storage.pages;
    }
}
