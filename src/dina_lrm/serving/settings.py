"""What a server is told: models by name, where it listens, who may ask, and how it gathers batches. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dina_lrm.serving.limits import Limits
from dina_lrm.typed import DinaError, to_plain

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a server."""

    model: tuple[str, ...] = ("synthetic",)
    """Models, NAME=WHERE: a reward model ("synthetic", a folder, a hub id), or a reward of pictures such as clip. The
    first is called dina where it has no name."""
    host: str = "127.0.0.1"
    """Address to listen at; another than this machine's own needs a token."""
    port: int = 8000
    """Port to listen at; 0 takes a free one and says which."""
    token_file: Path | None = None
    """A file with the token that every request must bring (authorization: Bearer TOKEN), of at least 16 characters."""
    tls_cert: Path | None = None
    """A certificate (PEM), for https."""
    tls_key: Path | None = None
    """Its private key."""
    max_batch_size: int = 8
    """Items that the model scores at once."""
    max_wait_ms: float = 10.0
    """Milliseconds that an item waits for others to share its batch."""
    strict: bool = False
    """Refuse prompts of another length than the model was trained with, instead of a warning."""
    pickles: bool = False
    """Open /v1/pickle/MODEL too, for clients that send pickles; they are read and never unpickled."""
    limits: Limits = field(default_factory=Limits)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for YAML or JSON."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def stored_in(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The settings among the plain values of a file: all of them."""
        return dict(values)

    def check(self) -> None:
        """Refuse what could not run, and an open door. Raises ValueError."""
        self.named()
        if not 0 <= self.port <= 65_535:
            raise DinaError(f"--port {self.port}; accepted: 0 to 65535")
        if self.max_batch_size < 1 or not 0 <= self.max_wait_ms <= 10_000:
            told = f"--max-batch-size {self.max_batch_size}, --max-wait-ms {self.max_wait_ms:g}"
            raise DinaError(f"{told}; accepted: at least 1, 0 to 10000")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise DinaError("--tls-cert, --tls-key: a certificate and its key go together; accepted: both, or neither")
        if self.token() is None and self.host not in _LOOPBACK:
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

    def named(self) -> dict[str, str]:
        """Where each model is, by its name. Raises ValueError for names that are none, or stand twice."""
        found: dict[str, str] = {}
        for number, given in enumerate(self.model):
            name, equals, where = given.partition("=")
            if not equals:
                name, where = ("dina" if number == 0 else Path(given).name), given
            if not name or not all(letter.isalnum() or letter in "-_." for letter in name) or not where:
                raise DinaError(f"--model {given!r}; accepted: NAME=WHERE, a name of letters, digits, - _ .")
            if name in found:
                raise DinaError(f"--model: two models are called {name!r}; accepted: names of their own, NAME=WHERE")
            found[name] = where
        if not found:
            raise DinaError("--model: no models; accepted: at least one, NAME=WHERE")
        return found
