"""Servers of a few lines that keep connections open and do as they are told."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INFO = {
    "models": {"dina": {"kind": "latent", "prompt_length": 0, "score_mean": 0.0, "score_std": 1.0}},
    "protocols": ["1", "2"],
    "limits": {"batch": 256, "body_bytes": 1 << 26},
}


class Desk:
    """Counts connections; every request is a row of `requests`, answered by `answer(method, path, body, headers)`."""

    def __init__(self, answer, info=INFO, secure=None):
        self.requests, self.connections, self.lock = [], 0, threading.Lock()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                with desk.lock:
                    desk.connections += 1

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path.endswith("/info"):
                    return self.say(*((200, info) if info is not None and self.path == "/info" else (404, {})))
                with desk.lock:
                    desk.requests.append((self.command, self.path, body, dict(self.headers)))
                return self.say(*answer(self.command, self.path, body, self.headers))

            do_GET = do_POST = do_PUT = do_HEAD = handle_any

            def say(self, status, told, **headers):
                data = b"" if self.command == "HEAD" else json.dumps(told).encode()
                self.send_response(status)
                for name, value in {"content-length": str(len(data)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(data)
                self.close_connection = self.close_connection or headers.get("connection") == "close"

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http{'' if secure is None else 's'}://127.0.0.1:{self.http.server_port}"
        if secure is not None:
            self.http.socket = secure.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def paths(self, method):
        return [path for said, path, *_ in self.requests if said == method]


@contextmanager
def desk(answer, info=INFO, secure=None):
    found = Desk(answer, info, secure)
    try:
        yield found
    finally:
        found.http.shutdown()
        found.http.server_close()


def scores(count, **more):
    return {
        "protocol_version": "2",
        "results": {"dina": {"revision": "", "scores": {"raw": [0.5] * count}, **more}},
        "warnings": [],
    }


def problem(code, message, **details):
    return {"protocol_version": "1", "error": {"code": code, "message": message, **details}}
