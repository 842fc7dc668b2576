"""The synthetic sets as evaluation sets: truth, faults and pictures belong to the pairs they stand beside."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dina_lrm.backbones.base import Backbone
from dina_lrm.evaluation.sets import decoded_pair
from dina_lrm.evaluation.synthetic import evaluation_set, rendered_set, synthetic_sets
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.synthetic.comparisons import diagnostic, in_domain
from tests.models import tiny_reward_model


@pytest.fixture(scope="module")
def model(tiny_folder: Path) -> LatentRewardModel:
    return tiny_reward_model(tiny_folder)


def test_everything_known_stands_beside_its_pair(model: LatentRewardModel) -> None:
    (found,) = synthetic_sets(model.backbone, ["in_domain"], pairs=6, seed=3).values()
    drawn = in_domain(6, 3)
    assert found.name == "in_domain"
    assert found.ceiling == pytest.approx(np.maximum(drawn.probability, 1 - drawn.probability).mean())
    np.testing.assert_array_equal(found.true_probability, drawn.probability)
    np.testing.assert_allclose(found.data.preference.numpy(), drawn.preference)
    assert not found.diagnostic_only
    assert found.pictures is not None
    for pair in range(6):
        batch = found.encoded.batch(torch.tensor([pair]))
        shown = torch.from_numpy(np.stack(found.pictures(pair))).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = batch.latents[torch.cat([batch.first, batch.second])]
        torch.testing.assert_close(model.backbone.encode_images(shown).float(), latents, rtol=1e-4, atol=1e-4)
        assert (
            found.data.prompts[int(found.data.pairs.prompt[pair])] == drawn.prompts[drawn.group[drawn.pairs[pair, 0]]]
        )


def test_the_diagnostic_names_the_fault_of_every_pair(model: LatentRewardModel) -> None:
    drawn = diagnostic(each=1)
    found = evaluation_set(drawn, model.backbone)
    assert found.diagnostic_only
    assert found.groups is not None and found.groups.kind == drawn.kind
    assert {"wrong shape", "wrong colour", "blur", "grid"} <= set(found.groups.kind)


def test_pictures_of_latents_alone_are_decoded(model: LatentRewardModel) -> None:
    (found,) = synthetic_sets(model.backbone, ["unseen_defects"], pairs=2).values()
    first, second = decoded_pair(model, found.encoded, 1)
    assert first.shape == second.shape == (32, 32, 3)
    assert first.dtype == np.uint8
    assert (first != second).any()


def test_a_rendered_set_is_the_encoded_one_and_is_encoded_once_when_asked(model: LatentRewardModel) -> None:
    drawn, asked = in_domain(6, 3), []

    def backbone() -> Backbone:
        asked.append(1)
        return model.backbone

    lazy, eager = rendered_set(drawn, backbone), evaluation_set(drawn, model.backbone)
    assert list(lazy.data.pairs.rows()) == list(eager.data.pairs.rows())
    assert (lazy.data.prompts, lazy.data.images, len(lazy.data)) == (eager.data.prompts, eager.data.images, 6)
    assert lazy.data.content_hash != rendered_set(in_domain(6, 4), backbone).data.content_hash
    assert not asked
    assert lazy.encoded.content_hash == eager.encoded.content_hash
    assert lazy.encoded is lazy.encoded and asked == [1]


def test_an_unknown_set_is_answered_with_the_known_ones(model: LatentRewardModel) -> None:
    with pytest.raises(ValueError, match="synthetic set 'indomain'; accepted: in_domain, unseen_compositions"):
        synthetic_sets(model.backbone, ["indomain"])
