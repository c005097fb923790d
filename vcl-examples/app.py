#!/usr/bin/env python3
"""A small application to try the examples with: python3 app.py [PORT]. Each answer says which one it is."""

import itertools
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
NUMBER = itertools.count(1)


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "app/1.0"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        status, fields = 200, {"Cache-Control": "max-age=5", "X-Debug-Sql": "17 queries"}
        text = f"answer number {next(NUMBER)} of {PORT} to {self.command} {self.path}"
        if path == "/healthz/":
            fields["Cache-Control"] = "no-store"
        elif path.startswith("/tagged/"):
            tags = ["articles", "article-" + path.removeprefix("/tagged/")]
            fields["Cache-Control"] = "max-age=3600"
            fields["xkey"] = fields["Cache-Tags"] = " ".join(tags)
            fields["X-Cache-Tags"] = fields["X-Magento-Tags"] = ",".join(tags)
        elif path == "/broken":
            status, text = 500, "Traceback: a secret of the application"
        elif path.startswith("/static/") and path != "/static/app.css":
            status, fields = 404, {"Cache-Control": "no-store", "Vary": "Cookie", "Set-Cookie": "csrftoken=1"}
        if self.headers.get("Cookie"):
            text += f", with the cookies {self.headers['Cookie']}"
        body = f"<!DOCTYPE html>\n<p>{text}</p>\n".encode()
        self.send_response(status)
        for name, value in {**fields, "Content-Type": "text/html", "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), App).serve_forever()
