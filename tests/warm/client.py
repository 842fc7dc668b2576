"""Hand a command to the server and end as it ends: `python client.py SOCKET [-m MODULE | -c CODE | - | FILE] WORDS...`.

Imports next to nothing: this is started for each command.
"""

import json
import os
import signal
import socket
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    place, *words = sys.argv[1:]
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(place)
        request = json.dumps({"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}).encode()
        socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(request)
        pid = int.from_bytes(server.recv(8), "big")
        for number in PASSED_ON:
            signal.signal(number, lambda given, _: os.kill(pid, given))
        code = int.from_bytes(server.recv(8), "big", signed=True)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
