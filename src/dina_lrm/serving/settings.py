"""What a server is told: models by name, where it listens, who may ask, and how it gathers batches. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Annotated, Any

import tyro

from dina_lrm.backbones.settings import T5Weights
from dina_lrm.serving.door import Door, check_port
from dina_lrm.serving.limits import MIB, Limits
from dina_lrm.typed import DinaError, to_plain


@dataclass(frozen=True)
class ModelLimits:
    """How one model gathers its batches, and what it takes at most."""

    max_batch_size: int = 8
    """Items that it scores at once."""
    max_wait_ms: float = 10.0
    """Milliseconds that an item waits for others."""
    batch: int = 256
    """Items of a request."""
    waiting_bytes: int = 2048 * MIB
    """Bytes of all items that wait for it."""
    deadline: float = 100.0
    """Seconds from the first byte of a request to its answer."""

    def __post_init__(self) -> None:
        """Refuse bounds that let nothing through."""
        if self.max_batch_size < 1 or not 0 <= self.max_wait_ms <= 10_000:
            told = f"--max-batch-size {self.max_batch_size}, --max-wait-ms {self.max_wait_ms:g}"
            raise DinaError(f"{told}; accepted: at least 1, 0 to 10000")
        for name in ("batch", "waiting_bytes", "deadline"):
            if not 0 < getattr(self, name) < inf:
                raise DinaError(f"limits.{name}: {getattr(self, name)}; accepted: a finite number above 0")


_WHOLE = ("max_batch_size", "batch", "waiting_bytes")


def _number(given: str, number: str, whole: bool) -> int | float:
    try:
        return int(number) if whole else float(number)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise DinaError(f"--model-limits {given!r}; accepted: {kind} behind =") from None


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a server."""

    model: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--model-path"])] = ("synthetic",)
    """Models, NAME=WHERE: a reward model ("synthetic", a folder, a hub id), or a reward of pictures such as clip. The
    first is called dina where it has no name."""
    backbone: Annotated[str | None, tyro.conf.arg(aliases=["--base-model-path"])] = None
    """Where the generator of the latent reward models is, a folder or hub id, when it is not where they say."""
    text_encoders: bool = True
    """Hold the text encoders, for pictures and texts; without them latents are scored, of prompts that come encoded."""
    offload_encoders: bool = False
    """Leave text encoders in the host's memory, mapped from their files; a block goes to the device while it runs."""
    t5_weights: T5Weights | None = None
    """How T5 is held: as stored, or rounded to 8 bits (needs torchao), which halves its memory and changes what it says
    of prompts. By default as the models say, or else as stored."""
    model_limits: tuple[str, ...] = ()
    """Limits of single models, NAME.LIMIT=NUMBER: max_batch_size, max_wait_ms, batch (items of a request),
    waiting_bytes or deadline; others are those of all."""
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
    pickle_port: int | None = None
    """A port of their own for such clients, at / or /MODEL, where every answer is a pickle; 0 takes a free one."""
    replicas: int = 0
    """Copies of the models behind one address, each in a process of its own, by Ray Serve (extra ray); 0: this process
    alone, without Ray."""
    replica_cpus: float = 1.0
    """Processor cores of each replica."""
    replica_gpus: float = 0.0
    """GPUs of each replica; it sees no others."""
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
        self.own_limits()
        if not self.text_encoders and (self.offload_encoders or self.t5_weights is not None):
            told = "--offload-encoders" if self.offload_encoders else f"--t5-weights {self.t5_weights}"
            raise DinaError(f"{told} with --no-text-encoders: there are none to hold; accepted: one of the two")
        check_port("--port", self.port)
        if self.pickle_port is not None:
            check_port("--pickle-port", self.pickle_port)
        if self.pickle_port is not None and (self.replicas or 0 < self.port == self.pickle_port):
            told = f"--replicas {self.replicas}" if self.replicas else f"--port {self.port}"
            raise DinaError(f"--pickle-port {self.pickle_port} with {told}; accepted: another port, without replicas")
        if not 0 <= self.replicas <= 1000 or not 0 < self.replica_cpus < inf or not 0 <= self.replica_gpus < inf:
            told = f"--replicas {self.replicas}, --replica-cpus {self.replica_cpus}, --replica-gpus {self.replica_gpus}"
            raise DinaError(f"{told}; accepted: 0 to 1000, above 0, 0 up")
        self.door.check()

    @property
    def door(self) -> Door:
        """Where it listens and who may ask."""
        return Door(self.host, self.port, self.token_file, self.tls_cert, self.tls_key)

    def own_limits(self) -> dict[str, ModelLimits]:
        """The limits of each model, by its name. Raises ValueError for what is none, and for names of no model."""
        limits, names = self.limits, self.named()
        all_have = ModelLimits(
            self.max_batch_size, self.max_wait_ms, limits.batch, limits.waiting_bytes, limits.deadline
        )
        found = dict.fromkeys(names, all_have)
        accepted = [field.name for field in fields(ModelLimits)]
        for given in self.model_limits:
            place, _, number = given.partition("=")
            name, _, limit = place.rpartition(".")
            if name not in names or limit not in accepted:
                told = f"NAME.LIMIT=NUMBER, a name of {', '.join(names)}, a limit of {', '.join(accepted)}"
                raise DinaError(f"--model-limits {given!r}; accepted: {told}")
            changed: dict[str, Any] = {limit: _number(given, number, whole=limit in _WHOLE)}
            found[name] = replace(found[name], **changed)
        return found

    @property
    def longest_deadline(self) -> float:
        """Seconds after which the last request is answered, whichever model it asked."""
        return max(limits.deadline for limits in self.own_limits().values())

    def token(self) -> str | None:
        """The token, read from its file; None without one. Raises ValueError for a file that holds none."""
        return self.door.token()

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
