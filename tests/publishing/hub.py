"""A server that speaks what a push needs of the hub: repositories, validation of cards, commits of small files."""

import base64
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

TOKEN = "hf_right"


class Hub:
    """What is there: repositories by (type, name), and the files of each."""

    def __init__(self):
        self.private, self.files, self.commits, self.validated = {}, {}, [], []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        kind, name = self._repository()
        if (kind, name) not in self.hub.private:
            return self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        told = {"id": name, "private": self.hub.private[kind, name], "siblings": []}
        return self._answer(200, told)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid credentials"})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            kind = asked.get("type") or "model"
            self.hub.private[f"{kind}s", name] = is_private(asked)
            return self._answer(200, {"url": self._address(f"{kind}s", name), "name": name, "id": "1"})
        if self.path == "/api/validate-yaml":
            self.hub.validated.append(json.loads(body)["content"])
            return self._answer(200, {"errors": [], "warnings": []})
        if "/preupload/" in self.path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for each in json.loads(body)["files"]
            ]
            return self._answer(200, {"files": files})
        lines = [json.loads(line) for line in body.splitlines()]
        into = self.hub.files.setdefault(self._repository(), {})
        for line in lines:
            if line["key"] == "file":
                into[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        self.hub.commits.append(lines[0]["value"]["summary"])
        oid = "0" * 40
        address = f"{self._address(*self._repository())}/commit/{oid}"
        return self._answer(200, {"commitUrl": address, "commitOid": oid, "success": True})

    def _address(self, kind, name):
        return f"http://{self.headers['host']}/{'' if kind == 'models' else f'{kind}/'}{name}"

    def _repository(self):
        parts = self.path.split("?")[0].split("/")
        return parts[2], "/".join(parts[3:5])

    def _answer(self, status, told, headers=None):
        text = json.dumps(told).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def is_private(asked):
    """Versions of the hub's library say it in two ways."""
    return bool(asked.get("private")) or asked.get("visibility") == "private"


@contextmanager
def a_hub():
    """The hub, and its address."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
