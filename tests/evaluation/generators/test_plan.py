"""A plan of two generators refuses what cannot be."""

import pytest

from dina_lrm.evaluation.generators.plan import GeneratorPlan
from dina_lrm.synthetic.prompts import judged_prompts


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images_per_prompt": 0}, "images_per_prompt 0; accepted: whole numbers"),
        ({"steps": 0}, "steps 0; accepted: whole numbers"),
        ({"rewards": ("sharpness", "sharpness")}, "names one twice"),
        ({"rewards": ("nice",)}, "reward 'nice'; accepted:"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GeneratorPlan("synthetic", "synthetic-unet", judged_prompts("synthetic", count=2), **settings)
