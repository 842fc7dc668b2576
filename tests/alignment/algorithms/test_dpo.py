"""Offline preference optimisation: the loss, the pairs, what an update does."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dina_lrm.alignment.algorithms.dpo_loss import dpo_loss
from tests.alignment.runs import DPO, an_algorithm, updated

ERRORS = st.floats(0, 10)


@given(ERRORS, ERRORS)
def test_the_loss_is_ln_2_where_model_and_reference_agree(winner, loser):
    errors = torch.tensor([winner]), torch.tensor([loser])
    assert dpo_loss(*errors, *errors).item() == pytest.approx(math.log(2))


@given(ERRORS, ERRORS, ERRORS, ERRORS)
def test_swapping_winner_and_loser_gives_the_other_side_of_the_sigmoid(a, b, c, d):
    errors = [torch.tensor([each], dtype=torch.float32) for each in (a, b, c, d)]
    there, back = (torch.exp(-dpo_loss(*each, beta=0.1)) for each in (errors, [errors[i] for i in (1, 0, 3, 2)]))
    assert (there + back).item() == pytest.approx(1, abs=1e-5)


def test_a_beta_that_is_not_above_0_is_refused():
    with pytest.raises(ValueError, match=r"beta 0.0"):
        dpo_loss(*[torch.zeros(1)] * 4, beta=0.0)


def test_an_update_begins_at_ln_2_and_prefers_the_winner():
    algorithm = an_algorithm(DPO)
    assert algorithm.update(0, lambda: 0.0).loss == pytest.approx(math.log(2), abs=1e-5)
    first = updated(DPO, algorithm.generator, lr=1e-3)
    assert first.loss == pytest.approx(math.log(2), abs=1e-5)
    assert updated(DPO, algorithm.generator).loss < first.loss


def test_pairs_are_the_best_and_the_worst_of_a_prompt():
    algorithm = an_algorithm(DPO)
    pairs = algorithm._drawn_pairs()
    conditioning = algorithm.generator.encode_prompts(list(pairs.prompts))
    with torch.no_grad():
        winner, loser = (algorithm.objective(x, pairs.prompts, conditioning=conditioning).total
                         for x in (pairs.winner, pairs.loser))  # fmt: skip
    assert winner.mean() > loser.mean() and len(set(pairs.prompts)) == 3
