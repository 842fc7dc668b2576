"""Numbers say what they accept where they are declared; settings without effect are refused."""

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, replace

import pytest

from dina_lrm.alignment.algorithms.distill.settings import DistillConfig
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.algorithms.forward.awm_settings import AwmConfig
from dina_lrm.alignment.algorithms.forward.craft.settings import CraftConfig
from dina_lrm.alignment.algorithms.forward.grouped.crd_settings import CrdConfig
from dina_lrm.alignment.algorithms.forward.grouped.dgpo_settings import DgpoConfig
from dina_lrm.alignment.algorithms.forward.nft_settings import NftConfig
from dina_lrm.alignment.algorithms.grpo.settings import GrpoConfig
from dina_lrm.alignment.algorithms.lpo_settings import LpoConfig
from dina_lrm.alignment.algorithms.refl_settings import ReflConfig
from dina_lrm.runs.ranges import ABOVE_0, COUNT, UNIT, check_ranges, ranged
from dina_lrm.runs.settings import Applies, changed_settings, check_applies, nearest
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.synthetic.pretraining.config import PretrainConfig, UncuratedConfig
from dina_lrm.training.config import TrainConfig

CONFIGS = {
    "train": TrainConfig,
    "refl": ReflConfig,
    "flow-grpo": GrpoConfig,
    "lpo": LpoConfig,
    "dpo": DpoConfig,
    "nft": NftConfig,
    "awm": AwmConfig,
    "craft": CraftConfig,
    "crd": CrdConfig,
    "dgpo": DgpoConfig,
    "distill": DistillConfig,
    "reward": RewardTerm,
    "pretrain": PretrainConfig,
    "uncurate": UncuratedConfig,
}
"""The settings of every command that learns."""


def numbers(kind, prefix=()):
    """The place and the type of every number in a tree of settings."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint, place = hints[field.name], (*prefix, field.name)
        if dataclasses.is_dataclass(hint):
            yield from numbers(hint, place)
            continue
        choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        yield from ((place, choice) for choice in choices if choice in (int, float))


def with_value(kind, place, value):
    """Settings with one number changed, all others as they are by default; some defaults only fit together changed."""
    first, *rest = place
    if not rest:
        return kind(**{first: value})
    field = next(field for field in dataclasses.fields(kind) if field.name == first)
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return kind(**{first: changed(default, rest, value)})


def changed(settings, place, value):
    """The same settings, but for one number."""
    first, *rest = place
    return replace(settings, **{first: changed(getattr(settings, first), rest, value) if rest else value})


PLACES = [(name, place, number) for name, kind in CONFIGS.items() for place, number in numbers(kind)]


@pytest.mark.parametrize(
    ("name", "place", "number"), PLACES, ids=lambda value: ".".join(value) if type(value) is tuple else None
)
def test_no_number_takes_nonsense(name, place, number):
    for value in (math.nan, math.inf, -math.inf) if number is float else (-1, -(10**9)):
        with pytest.raises(ValueError) as error:
            with_value(CONFIGS[name], place, value)
        assert place[-1] in str(error.value) and repr(value) in str(error.value), place
        assert "\n" not in str(error.value)


@dataclass(frozen=True)
class Toy:
    rate: float = ranged(0.1, ABOVE_0)
    count: int | None = ranged(None, COUNT)
    levels: tuple[float, ...] = ranged((0.0, 1.0), UNIT)
    name: str = "toy"

    def __post_init__(self):
        check_ranges(self, "toy")


def test_the_field_the_value_and_what_is_accepted_are_named():
    assert Toy() == Toy(0.1, None, (0.0, 1.0)) and Toy(count=1).count == 1
    for values, said in (
        ({"rate": 0.0}, "toy.rate: got 0.0; accepted: a finite number above 0"),
        ({"count": 0}, "toy.count: got 0; accepted: an integer of at least 1"),
        ({"levels": (0.5, 1.5)}, r"toy.levels: got \(0.5, 1.5\); accepted: a number in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=said):
            Toy(**values)


def test_only_what_was_given_and_has_no_effect_is_refused():
    rules = (Applies(("rate",), lambda toy: toy["name"] == "fast", "--name fast"), Applies(("part.",), bool, "all"))
    plain = {"name": "slow", "rate": 1.0, "part": {"a": 1, "b": 2}}
    check_applies(plain, [], rules)
    check_applies(plain, ["name", "part.a"], rules)
    check_applies({"name": "fast"}, ["rate"], rules)
    with pytest.raises(ValueError, match=r"--rate: would have no effect; accepted with --name fast"):
        check_applies(plain, ["rate"], rules)
    with pytest.raises(ValueError, match=r"--part.a-b: would have no effect"):
        check_applies({}, ["part.a_b"], rules)
    assert changed_settings(plain, {**plain, "rate": math.nan, "part": {"a": 1, "b": 3}}) == ["part.b", "rate"]
    assert nearest({"name": "mine", "rate": 1.0}, {"a": {"rate": 2.0}, "b": {"rate": 1.0}}) == "b"
