"""What a server is told: models by name, where it listens, who may ask, and how it gathers batches. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dina_lrm.serving.limits import Limits
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class ServerSettings:
    """Settings of `serve`; `models` are "NAME=WHERE" or "WHERE", where WHERE is a model or a reward's name."""

    models: tuple[str, ...] = ("synthetic",)
    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes a free one."""
    token: str | None = field(default=None, repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    max_batch_size: int = 8
    max_wait_ms: float = 10.0
    device: str | None = None
    dtype: str | None = None
    strict: bool = False
    """Refuse conditioning of another length than the model was trained with, instead of a warning."""
    pickles: bool = False
    """Open /v1/pickle/MODEL, which reads pickles of plain values without unpickling them."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what could not run, and an open door."""
        if not self.models:
            raise DinaError("serve: no models; accepted: at least one, NAME=WHERE")
        if not 0 <= self.port <= 65_535:
            raise DinaError(f"serve: port {self.port}; accepted: 0 to 65535")
        if self.max_batch_size < 1 or not 0 <= self.max_wait_ms <= 10_000:
            told = f"max_batch_size {self.max_batch_size}, max_wait_ms {self.max_wait_ms:g}"
            raise DinaError(f"serve: {told}; accepted: at least 1, 0 to 10000")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise DinaError("serve: a certificate and its key go together; give --tls-cert and --tls-key")
        if self.token is None and self.host not in ("127.0.0.1", "localhost", "::1"):
            raise DinaError(
                f"serve: host {self.host} without a token: anybody could ask; accepted: 127.0.0.1, or with --token-file"
            )
        if self.token is not None and len(self.token) < 16:
            raise DinaError(f"serve: a token of {len(self.token)} characters; accepted: at least 16")

    def named(self) -> dict[str, str]:
        """Where each model is, by its name; a name that is not given is "dina" for the first, else the last part."""
        found: dict[str, str] = {}
        for number, given in enumerate(self.models):
            name, equals, where = given.partition("=")
            if not equals:
                name, where = ("dina" if number == 0 else Path(given).name), given
            if not name or not all(letter.isalnum() or letter in "-_." for letter in name) or not where:
                raise DinaError(f"serve: model {given!r}; accepted: NAME=WHERE, a name of letters, digits, - _ .")
            if name in found:
                raise DinaError(f"serve: two models are called {name!r}; give names, NAME=WHERE")
            found[name] = where
        return found
