"""A weighted sum of rewards, each as a z-score so that their scales do not matter.

r(x, c) = sum_i w_i (r_i(x, c) - mean_i) / std_i

    mixture:FILE                            a JSON list of {"reward": NAME, "weight": w, "mean": m, "std": s}
    mixture:FILE+python:MODULE.FUNCTION     the same, which may name that function: a file alone runs no code
    mixture:FILE+remote:http://HOST:PORT    the same, which may name that server: a file alone sends nothing elsewhere

A mixture within a mixture is named relative to the file that holds it, and lies in its folder or below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from jaxtyping import Float32
from torch import Tensor

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.addresses import LOOPBACK, Address, without_password
from dina_lrm.rewards.base import BindableReward, BoundReward, HostGenerator, OnPictures, RewardKind, Scores
from dina_lrm.rewards.names import load_reward, parsed_name
from dina_lrm.rewards.relative_name import inner_name
from dina_lrm.runs.json_files import read_json
from dina_lrm.typed import DinaError, from_plain

_CHOSEN: Final = re.compile(r"\+(?=(?:python|remote):)")
_MOST_ITEMS: Final = 64
_MOST_DEEP: Final = 8


@dataclass(frozen=True)
class MixtureItem:
    """A reward by name, its weight, and the mean and standard deviation of its scores."""

    reward: str
    weight: float = 1.0
    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and math.isfinite(self.mean) and 0 < self.std < math.inf):
            raise DinaError(f"mixture, {self.reward}: weight and mean must be finite, std above 0; given: {self}")


@final
@dataclass(frozen=True, eq=False)
class Mixture:
    """Several rewards of one kind. A score that one of them does not give is missing (NaN) in the sum."""

    items: tuple[MixtureItem, ...]
    rewards: tuple[BindableReward, ...]
    name: str = "mixture"

    def __post_init__(self) -> None:
        kinds = {reward.name: reward.kind for reward in self.rewards}
        if not kinds or len(set(kinds.values())) > 1:
            raise DinaError(f"{self.name}: {kinds or 'no rewards'}; accepted: one or more rewards that read the same")

    @classmethod
    def load(cls, model: str, generator: HostGenerator | None = None) -> Mixture:
        """Load the file "FILE"; one that names functions or servers of other machines with these: "FILE+python:M.F".

        Its latent rewards share the weights of a `generator`, where one is given.

        Raises ValueError naming file and entry for what is no list of rewards, for a function or server that was not
        named in `model`, for a mixture in another folder, in itself, or more than eight deep.
        """
        file, *chosen = _CHOSEN.split(model)
        return cls._read(Path(file), f"mixture:{model}", set(chosen), generator, ())

    @classmethod
    def _read(
        cls, path: Path, name: str, allowed: set[str], generator: HostGenerator | None, above: tuple[Path, ...]
    ) -> Mixture:
        if not path.is_file():
            raise DinaError(f"mixture:{path}: no such file; accepted: a JSON list of rewards with weight, mean, std")
        inside = (*above, path.resolve())
        items = _items(path)
        rewards: list[BindableReward] = []
        for number, item in enumerate(items):
            where = f"{path}, entry {number}: {without_password(item.reward)!r}"
            family, inner = parsed_name(inner_name(item.reward))
            if inner_name(item.reward) not in allowed:
                _refuse_choice(family, inner, where, f"mixture:{path}+{without_password(inner_name(item.reward))}")
            if family == "mixture":
                place = _within(path, inner, inside, where)
                rewards.append(cls._read(place, f"mixture:{place}", allowed, generator, inside))
            else:
                rewards.append(load_reward(item.reward, generator))
        return cls(items, tuple(rewards), name)

    @property
    def kind(self) -> RewardKind:
        """What all of them read."""
        return self.rewards[0].kind

    @property
    def differentiable(self) -> bool:
        """Whether all of them are."""
        return all(reward.differentiable for reward in self.rewards)

    def __call__(
        self, inputs: Float32[Tensor, "batch channels height width"], prompts: Sequence[str]
    ) -> Float32[Tensor, " batch"]:
        """Weighted sum of the z-scores."""
        return self.combined([reward(inputs, prompts) for reward in self.rewards])

    def bound_to(self, generator: HostGenerator) -> BoundReward:
        """Bind to a generator: rewards of pictures share one decoding, latent ones read its latents."""
        if self.kind == "pixel":
            return OnPictures(self, generator)
        return _BoundMixture(self, [reward.bound_to(generator) for reward in self.rewards])

    def combined(self, scores: Sequence[Float32[Tensor, " batch"]]) -> Float32[Tensor, " batch"]:
        """The sum for the scores of its rewards, each a tensor on a device of its own; on that of the first."""
        place = scores[0].device
        pairs = zip(self.items, scores, strict=True)
        parts = [item.weight * (found.to(place) - item.mean) / item.std for item, found in pairs]
        return sum(parts[1:], start=parts[0])


@final
class _BoundMixture(BoundReward):
    """The sum of latent rewards, each bound to the same generator."""

    def __init__(self, mixture: Mixture, parts: Sequence[BoundReward]) -> None:
        self._mixture, self._parts = mixture, parts

    def raw(self, latents: Tensor, prompts: Sequence[str], seed: int, conditioning: Conditioning | None) -> Scores:
        """Sum the z-scores of what each part gives as it comes."""
        return self._mixture.combined([part.raw(latents, prompts, seed, conditioning) for part in self._parts])


def _refuse_choice(family: str, inner: str, where: str, by_hand: str) -> None:
    """Refuse what a file may not choose alone: code, and a server that would be sent prompts, samples and a token."""
    if family == "python":
        raise DinaError(
            f"{where} is code, which a file may not choose; accepted: other rewards, or the function named by "
            f"yourself too, as {by_hand}"
        )
    if family == "remote" and Address.of(inner).host not in LOOPBACK:
        raise DinaError(
            f"{where} is another machine, to which a file may not send anything; accepted: servers of this machine, or "
            f"the server named by yourself too, as {by_hand}"
        )


def _items(path: Path) -> tuple[MixtureItem, ...]:
    found = read_json(path)
    if not isinstance(found, list) or not 0 < len(found) <= _MOST_ITEMS:
        raise DinaError(f"{path}; accepted: a JSON list of 1 to {_MOST_ITEMS} rewards with weight, mean, std")
    return tuple(from_plain(MixtureItem, row, f"{path}, entry {number}") for number, row in enumerate(found))


def _within(path: Path, inner: str, inside: Sequence[Path], where: str) -> Path:
    """The file of a mixture within that of `path`."""
    place = path.parent / inner
    found = place.resolve()
    if not found.is_relative_to(path.parent.resolve()):
        raise DinaError(f"{where} lies elsewhere; accepted: a file in the folder {path.parent} or below")
    if found in inside:
        raise DinaError(f"{where} is within itself; accepted: mixtures that end")
    if len(inside) >= _MOST_DEEP:
        raise DinaError(f"{where} is more than {_MOST_DEEP} mixtures deep; accepted: fewer")
    return place
