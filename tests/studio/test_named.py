"""A model of several named scores is explained by the one that is chosen, and shows all."""

import pytest

from dina_lrm.reward_model.config import ScoreScale
from dina_lrm.studio.room import Room
from dina_lrm.studio.why.given import Reading, given_pair
from dina_lrm.studio.why.score import picture_score
from tests.data.votes.drawn import png
from tests.models import tiny_reward_model

SCALE = ScoreScale(1.0, 2.0)


def test_scores_by_name_are_shown_and_one_is_explained(tiny_folder):
    model = tiny_reward_model(
        tiny_folder, scores=("overall", "quality"), other_scales={"quality": ScoreScale(1.0, 2.0)}
    )
    room = Room(model, "tiny", ())
    assert room.score_names == ("overall", "quality") and room.model_of(None) is model
    view = room.model_of("quality")
    pair = given_pair(model, png(3, 32), "a thing")
    found = picture_score(view, pair, Reading(draws=2, seed=4))
    own = {name: float(one) for name, one in model.scores(png(3, 32), "a thing", seed=4).items()}
    assert {name: raw for name, (raw, _) in found.named.items()} == pytest.approx(own, abs=1e-5)
    assert found.raw == pytest.approx(own["quality"], abs=1e-5)
    assert found.named["quality"][1] == pytest.approx((own["quality"] - 1) / 2, abs=1e-5)
    assert Room(view, "tiny", ()).score_names == ("quality", "overall")
    assert Room(model.weighted({"quality": 1.0}), "tiny", ()).score_names == ()
