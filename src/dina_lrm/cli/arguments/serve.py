"""Options of `dina-lrm serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dina_lrm.console.common import CommonArguments, UserError
from dina_lrm.console.options import DeviceOptions
from dina_lrm.serving.settings import ServerSettings


@dataclass
class Arguments(DeviceOptions, CommonArguments):
    """Answer trainers over HTTP with scores of latents and pictures, until it is interrupted.

    Speaks protocols 1 and 2 of latent scoring, pictures in JSON and multipart, and what Flow-Factory and UniRL send.
    Without a token it answers programs of this machine alone.

    Example:
        dina-lrm serve --model dina=synthetic sharp=sharpness --port 8000
    """

    model: tuple[str, ...] = ("synthetic",)
    """Models, NAME=WHERE: a reward model ("synthetic", a folder, a hub id), or a reward of pictures such as clip."""
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

    def check(self) -> None:
        """Refuse settings that cannot be."""
        self.settings().named()

    def settings(self) -> ServerSettings:
        """The settings of the server."""
        return ServerSettings(
            models=self.model,
            host=self.host,
            port=self.port,
            token=None if self.token_file is None else _token(self.token_file),
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
            max_batch_size=self.max_batch_size,
            max_wait_ms=self.max_wait_ms,
            device=self.device,
            dtype=None if self.dtype == "auto" else self.dtype,
            strict=self.strict,
            pickles=self.pickles,
        )


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError) as error:
        raise UserError(f"--token-file {path}: {error}; accepted: a file with a token of plain characters") from error
    return token
