"""What was measured is kept with the model it was measured of, and with no other."""

import pytest
from huggingface_hub import ModelCard

from dina_lrm.evaluation.named_sets import named_sets
from dina_lrm.evaluation.plan import EvaluationPlan
from dina_lrm.reward_model.formats.ours import read
from tests.models import tiny_reward_model


@pytest.fixture
def stored(tiny_folder, tmp_path):
    tiny_reward_model(tiny_folder).save_pretrained(tmp_path / "rm")
    return str(tmp_path / "rm")


def test_every_number_of_the_card_is_one_that_was_measured(stored):
    plan = EvaluationPlan((stored,), named_sets("synthetic:in_domain"), (0.2, 0.4), (), pairs=8, record=True)
    found = plan.run()
    [result] = found.results
    [card] = found.cards
    kept = read(stored).config.notes["results"]
    assert [row["read at"] for row in kept] == ["t = 0.2", "t = 0.4"]
    accuracies = [test.at(reading).accuracy for reading in result.readings for test in result.tests]
    numbers = [(row["accuracy"], row["low"], row["high"]) for row in kept]
    assert numbers == [(each.accuracy, each.low, each.high) for each in accuracies]
    assert all(f"{a.interval.text('.1f', percent=True)} |" in card.read_text() for a in accuracies)
    assert [each.metric_value for each in ModelCard.load(card).data.eval_results] == [a.accuracy for a in accuracies]
    # The same again is the same card
    before = card.read_bytes()
    assert plan.run().cards == (card,) and card.read_bytes() == before


@pytest.mark.parametrize(
    ("judges", "message"),
    [
        (("sharpness",), "none of the judges is a latent reward model"),
        (("synthetic",), "record: 'synthetic' is no folder of this machine"),
        (("owner/name",), "record: 'owner/name' is no folder"),
    ],
)
def test_what_has_no_card_of_ours_is_refused_before_anything_is_measured(judges, message):
    with pytest.raises(ValueError, match=message):
        EvaluationPlan(judges, named_sets("synthetic:in_domain"), record=True).run()
