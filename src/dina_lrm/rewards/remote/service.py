"""What a server says of itself under /info: its protocols, models and limits; and which model an address means.

    http://HOST:PORT            the first model of the server
    http://HOST:PORT/NAME       that of this name
    http://HOST:PORT/PATH/NAME  the same behind a proxy that serves it under /PATH

A server without /info speaks protocol 1 and has one model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dina_lrm.preference.likelihood import PreferenceModel
from dina_lrm.rewards.addresses import printable
from dina_lrm.rewards.remote.client import RemoteClient
from dina_lrm.runs.json_files import parse_json
from dina_lrm.typed import DinaError

_INFO_BYTES: Final = 1 << 20
_SLACK: Final = 1 << 20


@dataclass(frozen=True)
class Service:
    """One model of a server: `base` is the path before its routes, `facts` what /info says of the model."""

    base: str
    protocol: Literal["1", "2"] = "1"
    model: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    most_items: int = 1 << 30
    """Of one request."""
    most_bytes: int = 1 << 62
    """Of one body, less what headers take."""

    @property
    def reads_latents(self) -> bool:
        """Whether it scores latents as they are; others read pictures alone."""
        return self.protocol == "1" or self.facts.get("kind") == "latent"

    @property
    def prompt_length(self) -> int | None:
        """Tokens of the long text encoder that the model was trained with; None where it is not told."""
        found = self.facts.get("prompt_length")
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def drops_padding(self) -> bool:
        """Whether the model reads prompts without padding, which no generator encodes."""
        return self.facts.get("prompt_padding", "max") != "max"

    @property
    def has_statistics(self) -> bool:
        """Whether a mean and deviation are stored with the model, so that it gives z-scores."""
        found = (self.facts.get("score_mean"), self.facts.get("score_std"))
        return self.protocol == "2" and None not in found and found != (0.0, 1.0)

    @property
    def noise_level(self) -> float | None:
        """Where the model reads clean latents; None where it is not told."""
        found = self.facts.get("noise_level")
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

    @property
    def temperature(self) -> float:
        """What margins of raw scores are divided by before the preference model; those of z-scores are first raw."""
        found = [self.facts.get("temperature"), self.facts.get("score_std")]
        temperature, std = (each if isinstance(each, int | float) and each > 0 else 1.0 for each in found)
        return temperature / (std if self.has_statistics else 1.0)

    @property
    def preference(self) -> PreferenceModel | None:
        """The model's own likelihood of a preference; None where it is not told, as for what reads no noise."""
        found = self.facts.get("preference")
        return None if found is None else PreferenceModel.from_dict(found, "its /info: preference")

    @property
    def revision(self) -> str | None:
        """A hash of the model's weights."""
        found = self.facts.get("revision")
        return found if isinstance(found, str) and found else None


def find_service(client: RemoteClient) -> Service:
    """Ask which model the client's address means.

    Raises:
        ValueError: a model that the server does not have.
        RemoteRewardError: no answer, or a refusal.
    """
    path = client.address.path
    above, _, name = path.rpartition("/")
    for base, model in ((path, None), (above, name)) if name else ((path, None),):
        told = _info(client, base)
        if told is not None:
            return _service(client.name, base, model, told)
    return Service(path)


def _info(client: RemoteClient, base: str) -> dict[str, Any] | None:
    answer = client.ask("GET", f"{base}/info", most_bytes=_INFO_BYTES, accepted=(200, 404, 405, 501))
    if answer.status != 200:
        return None
    try:
        found = parse_json(answer.body, "its /info")
    except ValueError:
        return None
    known = isinstance(found, dict) and isinstance(found.get("models"), dict) and bool(found["models"])
    return found if known and isinstance(found.get("protocols"), list) else None


def _service(name: str, base: str, model: str | None, told: dict[str, Any]) -> Service:
    models = told["models"]
    chosen = next(iter(models)) if model is None else model
    if chosen not in models:
        known = printable(", ".join(map(str, models)))
        raise DinaError(f"{name}: the server has no model {chosen!r}; accepted: {known}")
    facts = models[chosen] if isinstance(models[chosen], dict) else {}
    limits = told.get("limits") if isinstance(told.get("limits"), dict) else {}
    if "2" not in told["protocols"]:
        return Service(base)
    items, size = (_count(limits, key) for key in ("batch", "body_bytes"))
    return Service(base, "2", chosen, facts, items or Service.most_items, max(1, (size or Service.most_bytes) - _SLACK))


def _count(limits: Any, name: str) -> int | None:  # noqa: ANN401 - any JSON value
    found = limits.get(name)
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None
