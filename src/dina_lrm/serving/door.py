"""Where a server listens and who may ask: an address, a token, a certificate. Nothing here imports torch."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dina_lrm.rewards.addresses import LOOPBACK
from dina_lrm.typed import DinaError

_SHORTEST_TOKEN: Final = 16


@dataclass(frozen=True)
class Door:
    """Where a server listens and who may ask; the fields are what options of that name say."""

    host: str
    port: int
    token_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def check(self) -> None:
        """Refuse a port that is none, a certificate that cannot be used, and an open door. Raises ValueError."""
        check_port("--port", self.port)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise DinaError("--tls-cert, --tls-key: a certificate and its key go together; accepted: both, or neither")
        self._check_certificate()
        if self.token() is None and self.host not in LOOPBACK:
            told = f"--host {self.host} without a token: anybody could ask"
            raise DinaError(f"{told}; accepted: 127.0.0.1, or with --token-file")

    def token(self) -> str | None:
        """The token, read from its file; None without one. Raises ValueError for a file that holds none."""
        if self.token_file is None:
            return None
        try:
            token = self.token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            accepted = "a file with a token of plain characters"
            raise DinaError(f"--token-file {self.token_file}: {error}; accepted: {accepted}") from error
        if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
            told = f"a token of {len(token)} characters"
            raise DinaError(f"--token-file {self.token_file}: {told}; accepted: at least {_SHORTEST_TOKEN}, no spaces")
        return token

    def _check_certificate(self) -> None:
        if self.tls_cert is None or self.tls_key is None:
            return
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.tls_cert, self.tls_key, _unasked)
        except (OSError, ValueError) as error:  # SSLError is an OSError
            told = f"--tls-cert {self.tls_cert}, --tls-key {self.tls_key}: {error!s:.200}"
            raise DinaError(
                f"{told}; accepted: a certificate and its key, both PEM, the key without a password"
            ) from error


def check_port(option: str, port: int) -> None:
    """Raise ValueError for a port that is none."""
    if not 0 <= port <= 65_535:
        raise DinaError(f"{option} {port}; accepted: 0 to 65535")


def _unasked() -> str:
    raise DinaError("the key has a password, which nobody is asked for")
