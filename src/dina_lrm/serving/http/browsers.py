"""Pages in a browser, which reach servers of this machine too: which of their requests are not for us.

A page of any address may send requests to 127.0.0.1, and may even give our address a name of its own (DNS rebinding).
Browsers say so: in Host the name that was asked for, in Origin and Sec-Fetch-Site whose page asks.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from dina_lrm.rewards.addresses import LOOPBACK

_OWN: Final = ("", "none", "same-origin")


def name_of_host(host: str) -> str:
    """A Host without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


def is_own_page(host: str, origin: str) -> bool:
    """Whether Origin is the server that Host asks for: a page of another port of its machine is strange too."""
    return origin in (f"http://{host}", f"https://{host}")


def stranger(host: str, origin: str | None, site: str, names: Collection[str] = LOOPBACK) -> str | None:
    """Why a request may be a strange page's, None for programs of this machine and for our own pages.

    `host`, `origin` and `site` are the headers Host, Origin (None without one) and Sec-Fetch-Site ("" without one).
    """
    if name_of_host(host) not in names:
        return f"host {host[:80]!r}; accepted: {', '.join(sorted(names))}"
    if origin is not None and not is_own_page(host, origin):
        return f"a page of {origin[:80]!r}; accepted: programs of this machine, and pages of this server"
    return None if site in _OWN else "a page of another server; accepted: programs of this machine, and our pages"
