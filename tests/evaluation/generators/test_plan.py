"""A plan of two generators refuses what cannot be; prompts are chosen by the seed alone."""

import pytest

from dina_lrm.evaluation.generators.plan import SYNTHETIC_PROMPTS, GeneratorPlan, judged_prompts


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images_per_prompt": 0}, "images_per_prompt 0: accepted are whole numbers"),
        ({"steps": 0}, "steps 0: accepted are whole numbers"),
        ({"rewards": ("sharpness", "sharpness")}, "names one twice"),
        ({"rewards": ("nice",)}, "reward 'nice'; accepted:"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GeneratorPlan("synthetic", "synthetic-unet", judged_prompts("synthetic", count=2), **settings)


def test_prompts_of_a_file_are_chosen_by_the_seed_in_their_order(tmp_path):
    names = [f"prompt {number}" for number in range(9)]
    (tmp_path / "prompts.txt").write_text("\n".join(names))
    source = str(tmp_path / "prompts.txt")
    assert list(judged_prompts(source).prompts) == names
    chosen = judged_prompts(source, 3, 4).prompts
    assert chosen == judged_prompts(source, 3, 4).prompts != judged_prompts(source, 4, 4).prompts
    assert len(chosen) == 4 and list(chosen) == sorted(chosen)
    with pytest.raises(ValueError, match=r"how many 10: .*holds 9 prompts"):
        judged_prompts(source, count=10, option="how many")
    assert len(judged_prompts("synthetic").prompts) == SYNTHETIC_PROMPTS
