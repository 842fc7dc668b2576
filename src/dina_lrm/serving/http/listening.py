"""Where a server listens."""

from __future__ import annotations

import socket

from dina_lrm.serving.door import Door


def listening_socket(door: Door, port: int | None = None) -> socket.socket:
    """A socket at the address of a door, or at another `port` of it; at a free one where that is 0.

    Nobody is heard before a server listens at it: until then connections are refused. OSError where it cannot be had.
    """
    port = door.port if port is None else port
    family = socket.AF_INET6 if ":" in door.host else socket.AF_INET
    # Named TCP: only then asyncio sends each answer at once (TCP_NODELAY), where the kernel may wait 40 ms for more
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((door.host, port))
    except OSError as error:
        taken.close()
        told = f"{door.host}:{port} cannot be listened at: {error.strerror}"
        raise OSError(error.errno, told) from error
    return taken


def address_of(door: Door, host: str, port: int) -> str:
    """The address that clients are told."""
    scheme = "http" if door.tls_cert is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
