"""A named score is measured on what is said of it: the truth about an axis, a part of a table, or with a note."""

import json

import numpy as np
import pytest
from PIL import Image

from dina_lrm.data.plain import PlainComparisons
from dina_lrm.evaluation.about import set_for
from dina_lrm.evaluation.evaluate import evaluate
from dina_lrm.evaluation.judges import LatentJudge
from dina_lrm.evaluation.named_sets import named_sets
from dina_lrm.evaluation.plan import EvaluationPlan
from dina_lrm.evaluation.sets import EvaluationSet
from dina_lrm.evaluation.synthetic import rendered_set
from dina_lrm.synthetic.comparisons import diagnostic, in_domain, training_comparisons
from dina_lrm.synthetic.defects import DEFECTS
from tests.models import tiny_reward_model


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_reward_model(tiny_folder, scores=("overall", "alignment", "quality", "beauty"))


def test_axes_are_asked_of_the_same_pictures_and_have_ceilings_of_their_own():
    drawn = training_comparisons(30, 4)
    alignment, quality = drawn.about("alignment"), drawn.about("quality")
    assert np.allclose(alignment.utility + quality.utility, drawn.utility)
    assert len({round(one.ceiling, 6) for one in (drawn, alignment, quality)}) == 3
    assert drawn.about("overall") is drawn and drawn.fingerprint == training_comparisons(30, 4).fingerprint
    for one in (alignment, quality):
        gap = one.utility[one.pairs[:, 0]] - one.utility[one.pairs[:, 1]]
        assert np.all((one.probability > 0.5) == (gap > 0))
        assert abs(one.preference.mean() - one.probability.mean()) < 0.1
    with pytest.raises(ValueError, match="'beauty' was not asked; accepted: overall, alignment, quality"):
        drawn.about("beauty")


def test_who_is_never_wrong_calls_a_fault_of_another_kind_a_tie():
    drawn = diagnostic(each=2)
    quality = drawn.about("quality")
    damaged = np.isin(drawn.kind, list(DEFECTS))
    assert set(quality.preference[~damaged].tolist()) == {0.5} and damaged.any()
    assert quality.preference[damaged].tolist() == drawn.preference[damaged].tolist()
    assert set(drawn.about("alignment").preference[damaged].tolist()) == {0.5}


def test_a_synthetic_set_is_judged_by_the_truth_about_the_score(model):
    item = rendered_set(in_domain(9), lambda: model.backbone)
    found = set_for(item, model.named("quality"))
    truth = item.data.drawn.about("quality")
    assert found.name == "in_domain-quality" and found.ceiling == truth.ceiling != item.ceiling
    assert found.data.preference.tolist() == truth.preference.tolist()
    assert set_for(item, model) is item and set_for(item, model.weighted({"quality": 1.0})) is item
    measured = evaluate(model.named("quality"), {"in_domain": item}, ensembles=()).of("in_domain-quality")
    assert measured.ceiling == truth.ceiling and measured.pairs == 9
    assert found.data.encoded().latents[0] is item.data.encoded().latents[0]
    (note,) = set_for(item, model.named("beauty")).notes
    assert note == "it says nothing of 'beauty' by name: measured against its plain preferences"


def test_a_table_is_measured_where_it_says_something_of_the_score(model):
    rows = list(training_comparisons(2, 3).comparisons(by_name=True))
    rows[0] = type(rows[0])(rows[0].prompt, rows[0].image_a, rows[0].image_b, 1.0)
    item = EvaluationSet("mine", PlainComparisons(rows))
    found = set_for(item, model.named("quality"))
    assert len(found.data) == 5 and found.data.preference.tolist() == [
        dict(one.preferences)["quality"] for one in rows[1:]
    ]
    assert found.notes == ("5 of its 6 comparisons say something of 'quality'; the others are left out",)
    assert found.pictures is not None and found.pictures(0)[0].shape == (32, 32, 3)
    assert len(set_for(item, model).data) == 6


def mixed_rows():
    """Six comparisons, of which the first says nothing by name, with a picture that cannot be read in the second."""
    rows = list(training_comparisons(2, 3).comparisons(by_name=True))
    plain = type(rows[0])
    rows[0] = plain(rows[0].prompt, rows[0].image_a, rows[0].image_b, 1.0)
    rows[1] = plain(rows[1].prompt, "absent.png", rows[1].image_b, 1.0, preferences=rows[1].preferences)
    return rows


@pytest.mark.parametrize("draws", [1, 2])
def test_judges_of_all_scores_of_a_model_read_a_set_once(model, draws, monkeypatch):
    calls, own = [], type(model).reading_scores
    monkeypatch.setattr(type(model), "reading_scores", lambda *given: calls.append(given) or own(*given))
    sets = [
        rendered_set(in_domain(5), lambda: model.backbone),
        EvaluationSet("mine", PlainComparisons(mixed_rows())),
        EvaluationSet("encoded", rendered_set(in_domain(4), lambda: model.backbone).data.encoded()),
    ]
    for item in sets:
        passes = {}
        for name in model.config.scores:
            view = model.named(name)
            part = set_for(item, view)
            apart = LatentJudge(view, name, (0.4,), (), draws=draws).scores(part, seed=3)
            calls.clear()
            judge = LatentJudge(view, name, (0.4,), (), draws=draws, passes=passes)
            together = judge.scores(part, seed=3)
            assert bool(calls) == (name == "overall") and len(passes) == 1
            np.testing.assert_array_equal(apart.scores.first, together.scores.first)
            np.testing.assert_array_equal(apart.scores.second, together.scores.second)
            np.testing.assert_array_equal(apart.scores.probability, together.scores.probability)
            assert apart.uncertainty == together.uncertainty and apart.notes == together.notes


def test_a_plan_measures_every_named_score_as_if_it_was_asked_for(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    rows = [
        {"prompt": "p", "image_a": f"{n}.png", "image_b": f"{n + 1}.png", "preference": 1.0, "preferences": told}
        for n, told in enumerate([{"overall": 1.0, "quality": 0.0}, {"overall": 0.0}, {"quality": 1.0}])
    ]
    for number, image in enumerate(training_comparisons(1, 4).images):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sets, name = named_sets(str(tmp_path / "mine.jsonl")), str(tmp_path / "model")
    found = EvaluationPlan((name,), sets, ensembles=(), by_name=True, record=True).run()
    names = [f"{name}?score={score}" for score in model.config.scores]
    assert [result.model for result in found.results] == names and len(found.cards) == 1
    assert [result.sets[0].pairs for result in found.results] == [2, 3, 2, 3]
    alone = EvaluationPlan((names[2],), sets, ensembles=()).run().results[0].sets[0]
    measured = found.results[2].sets[0]
    assert measured.readings == alone.readings and measured.name == alone.name == "mine-quality"
    with pytest.raises(ValueError, match=r"by_name: .* asks for a score"):
        EvaluationPlan((names[0],), sets, by_name=True)
