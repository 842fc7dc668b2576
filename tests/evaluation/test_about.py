"""A named score is measured on what is said of it: the truth about an axis, a part of a table, or with a note."""

import numpy as np
import pytest

from dina_lrm.data.plain import PlainComparisons
from dina_lrm.evaluation.about import set_for
from dina_lrm.evaluation.evaluate import evaluate
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
