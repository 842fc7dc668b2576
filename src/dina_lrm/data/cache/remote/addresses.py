"""Addresses of caches, `SCHEME://PLACE`, and how they are shown: without a name and password."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from dina_lrm.pictures.names import printable
from dina_lrm.typed import DinaError

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def is_address(place: str | Path) -> bool:
    """Whether a place is an address, and no path."""
    return isinstance(place, str) and _ADDRESS.match(place) is not None


def checked_address(address: str) -> str:
    """The address without a slash at its end. Raises ValueError for one that names of files cannot be added to."""
    parts = urlsplit(address)
    if parts.query or parts.fragment or not (parts.netloc or parts.path.strip("/")):
        raise DinaError(
            f"{shown_address(address)}: no address of a folder; accepted: SCHEME://PLACE without ? and #, such as "
            "https://HOST/FOLDER or s3://BUCKET/FOLDER"
        )
    return address.rstrip("/")


def local_path(place: str | Path) -> Path | None:
    """The path of a place on this machine, `file://` or none; None for another address."""
    if not isinstance(place, str) or not is_address(place):
        return Path(place)
    return Path(unquote(urlsplit(place).path)) if place.lower().startswith("file://") else None


def shown_address(place: str | Path) -> str:
    """A place as it may be shown."""
    return printable(without_passwords_in(str(place)))


def without_passwords_in(text: str) -> str:
    """A text without the names and passwords of all addresses that stand in it."""
    return re.sub(r"([a-z][a-z0-9+.-]*://)[^/?#\s'\"]*@", r"\1***@", text, flags=re.IGNORECASE)
