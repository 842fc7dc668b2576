"""Settings that are the run's own stand first, beside what the recipe says; all of them are there, folded."""

from dina_lrm.recipes import RECIPES, recipe
from dina_lrm.recipes.alignment import GRPO_RECIPES, REFL_RECIPES, align_recipe
from dina_lrm.reports.blocks import Facts, Folded, Text
from dina_lrm.reports.first.settings import flat, settings_section

RECORD = {"train": {"name": "mine", "steps": 40, "optimizer": {"lr": 0.001, "beta": 0.9}}, "data": {"pairs": 12}}
USUAL = {"name": "recipe", "steps": 500, "optimizer": {"lr": 0.001, "beta": 0.9}}


def test_what_differs_stands_first_and_everything_is_folded():
    own, rest = settings_section(RECORD, USUAL, "train").blocks
    assert isinstance(own, Facts) and own.items == {"train.steps": "40 (recipe: 500)"}
    assert isinstance(rest, Folded) and rest.blocks[0].items == flat(RECORD)


def test_a_recipe_taken_as_it_is_says_so_and_an_unknown_one_shows_all():
    same, _ = settings_section({"train": USUAL}, USUAL, "train").blocks
    assert isinstance(same, Text)
    unknown = settings_section(RECORD, None)
    assert unknown.folded and unknown.blocks[0].items == flat(RECORD)


def test_every_recipe_equals_itself():
    for name in RECIPES:
        (same, _) = settings_section({"train": recipe(name).to_dict()}, recipe(name).to_dict(), "train").blocks
        assert isinstance(same, Text), name
    for algorithm, table in (("refl", REFL_RECIPES), ("flow-grpo", GRPO_RECIPES)):
        for name, make in table.items():
            assert align_recipe(algorithm, name) == make()
    assert align_recipe("refl", "mine") is align_recipe("unheard of", "synthetic") is None
