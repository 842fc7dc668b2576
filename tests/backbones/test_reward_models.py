"""A reward model on each family: saved, loaded, shared, trained for a step, and right about what it refuses."""

import pytest
import torch

from dina_lrm.backbones.registry import family_of_folder, family_of_pipeline
from dina_lrm.data.cache.prompt_layout import PromptLayout, packed, unpacked
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.model import LatentRewardModel
from tests.backbones.families import LONG, ONE_OF_EACH, PROMPTS, SETTINGS
from tests.models import randomised

pytestmark = pytest.mark.parametrize("case", ONE_OF_EACH, indirect=True, ids=lambda case: case.config.family)


@pytest.fixture
def model(case, folder):
    head = QFormerConfig(width=16, attention_heads=4, mask_text_padding=case.masked)
    backbone = case.standalone(folder).config
    return randomised(LatentRewardModel.build(RewardModelConfig(backbone, head, SETTINGS, resolution=32))).eval()


def test_families_are_recognised(case, folder, pipeline):
    assert family_of_pipeline(pipeline) == family_of_folder(folder) == case.config.family


def test_it_survives_a_save_and_a_load_and_shares_a_pipeline(case, model, pipeline, tmp_path):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    prompts = ["a red cube", "the ball", "green"]
    expected = model.score(images, prompts, (0.2, 0.7))
    assert expected.std() > 0
    model.save_pretrained(tmp_path / "saved")
    for other in (
        LatentRewardModel.from_pretrained(tmp_path / "saved"),
        LatentRewardModel.from_pretrained(tmp_path / "saved", pipeline=pipeline),
    ):
        assert other.config.backbone == model.config.backbone
        torch.testing.assert_close(other.score(images, prompts, (0.2, 0.7)), expected, rtol=1e-4, atol=1e-5)


def test_a_score_depends_on_prompt_latents_and_level_and_on_nothing_else(case, model, conditioning):
    latents = case.latents()
    score = model.score_latents(latents, conditioning, 0.4)
    order = torch.tensor([2, 0, 1])
    turned = model.score_latents(latents[order], conditioning[order], 0.4)
    torch.testing.assert_close(turned, score[order], rtol=1e-4, atol=1e-5)
    alone = model.score_latents(latents[1:2], conditioning[1], 0.4)
    torch.testing.assert_close(alone, score[1:2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model.score_latents(latents, conditioning[order], 0.4), score, rtol=1e-4)
    assert not torch.allclose(model.score_latents(latents, conditioning, 0.6), score, rtol=1e-4)


def test_a_score_is_the_same_to_the_bit_for_prompts_that_lay_in_a_shard(case, model):
    told = model.backbone.encode_prompts([*PROMPTS[:2], LONG])
    layout = PromptLayout.of(case.config.family, case.config.prompt_length, told.shape)
    again = unpacked(packed(told, layout))
    expected = model.score_latents(case.latents(), told, (0.2, 0.7))
    assert torch.equal(model.score_latents(case.latents(), again, (0.2, 0.7)), expected)


def test_one_step_of_training_changes_lora_and_head(case, model, conditioning):
    parameters = [*model.backbone.trainable_parameters(), *model.head.parameters()]
    before = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    scores = model.train()(case.latents(), torch.full((3,), 0.4), conditioning)
    (scores[0] - scores[1] + scores[2]).backward()
    optimizer.step()
    changed = sum(not torch.equal(a, b) for a, b in zip(parameters, before, strict=True))
    assert changed > 0.7 * len(parameters)


def test_latents_of_another_shape_are_refused(case, model, conditioning):
    with pytest.raises(ValueError, match=f"accepted: .batch, {case.channels}, height, width"):
        model.score_latents(torch.zeros(3, case.channels + 1, 8, 8), conditioning)
