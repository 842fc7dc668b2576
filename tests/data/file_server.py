"""A real server of a folder, which hangs up, stalls, refuses or sends something else where a test says so."""

import functools
import http.server
import threading
from collections import Counter
from contextlib import contextmanager


class FileServer:
    """What was asked for (`asked`, by path), and what goes wrong: `faults` are taken from a path's list one by one."""

    def __init__(self):
        self.asked, self.faults, self.released, self.url = Counter(), {}, threading.Event(), ""

    def fail(self, path, *faults):
        """The next answers for a path: "cut", "stall", "flip", or a number as the status."""
        self.faults[f"/{path}"] = list(faults)

    def fail_after(self, count, status):
        """From the answer of that number on, any path gets this status."""
        self.faults["/*"] = [None] * count + [status] * 10_000


class _Handler(http.server.SimpleHTTPRequestHandler):
    told: FileServer

    def __init__(self, *given, told, **named):
        self.told = told
        super().__init__(*given, **named)

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.told.asked[self.path] += 1
        faults = self.told.faults.get(self.path) or self.told.faults.get("/*") or []
        fault = faults.pop(0) if faults else None
        if fault is None:
            super().do_GET()
        elif isinstance(fault, int):
            self.send_error(fault)
        else:
            self._send(fault)

    def _send(self, fault):
        with open(self.translate_path(self.path), "rb") as file:
            told = file.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if fault == "flip":
            self.wfile.write(told[:-1] + bytes([told[-1] ^ 1]))
            return
        self.wfile.write(told[: len(told) // 2])
        self.wfile.flush()
        if fault == "stall":
            self.told.released.wait(20)
        self.close_connection = True


@contextmanager
def file_server(folder):
    """Serve a folder while the block lasts."""
    told = FileServer()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder), told=told)
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        told.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
