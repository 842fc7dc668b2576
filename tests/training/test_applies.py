"""What a recipe makes of the options that somebody gave."""

import pytest

from dina_lrm.recipes import RECIPES
from dina_lrm.training.applies import as_asked
from dina_lrm.typed import from_plain, to_plain

TABLE = {name: recipe.make() for name, recipe in RECIPES.items()}


def asked(recipe, **changes):
    """A recipe with some settings, given by their dotted names with __ for a dot."""
    plain = to_plain(TABLE[recipe])
    for name, value in changes.items():
        *place, last = name.split("__")
        part = plain
        for key in place:
            part = part[key]
        part[last] = value
    return as_asked(from_plain(type(TABLE[recipe]), plain), TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_recipes_are_as_they_are(name):
    assert as_asked(TABLE[name], TABLE) == TABLE[name]


@pytest.mark.parametrize(
    ("recipe", "changes", "said"),
    [
        ("synthetic", {"epochs": 2.0}, "--epochs: would have no effect; accepted with --steps None"),
        ("synthetic", {"schedule__name": "constant", "schedule__final_factor": 0.5}, "--schedule.final-factor"),
        ("synthetic", {"schedule__warmup_steps": 1000}, "--schedule.warmup-steps"),
        ("synthetic", {"model__pooled__width": 8}, "--model.pooled.width: .*--model.head-kind pooled"),
        ("lrm-sd15", {"model__head__queries": 8}, "--model.head.queries"),
        ("synthetic-frozen", {"adaptation__lora__rank": 8}, "--adaptation.rank: .*--adaptation.kind lora"),
        ("synthetic", {"ema__enabled": False, "ema__decay": 0.5}, "--ema.decay"),
        ("synthetic", {"objective__teacher__weight": 0.7}, "--objective.teacher.weight"),
        ("synthetic", {"objective__heterogeneous__gap": 0.2}, "--objective.heterogeneous.gap"),
        ("synthetic", {"name": "mine", "objective__heterogeneous__gap": 0.2}, "--objective.heterogeneous.gap"),
        ("synthetic", {"objective__preference__k": 1.0}, "objective.preference.k: got 1.0.*'paper'"),
    ],
)
def test_what_would_have_no_effect_is_refused_by_its_option(recipe, changes, said):
    with pytest.raises(ValueError, match=said):
        asked(recipe, **changes)


def test_what_has_an_effect_is_taken():
    assert asked("synthetic", steps=None, epochs=2.0).epochs == 2.0
    assert asked("synthetic", schedule__name="constant").schedule.name == "constant"
    assert asked("synthetic", steps=10).schedule.warmup_steps == 25  # the recipe's own
    assert asked("synthetic", adaptation__kind="frozen").adaptation.lora.rank == 16
    assert asked("synthetic", objective__preference__name="thurstone", objective__preference__k=1.0)
