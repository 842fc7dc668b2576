"""LRM's head: hand-derived scores, guidance, and the same laws on a transformer and a U-Net."""

import math
from dataclasses import replace

import pytest
import torch

from dina_lrm.backbones.conditioning import Features
from dina_lrm.backbones.settings import BackboneConfig, LoraSettings
from dina_lrm.heads.base import HeadTokens
from dina_lrm.heads.grids import on_one_grid
from dina_lrm.heads.pooled import PooledHead
from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.reading import read_features
from dina_lrm.heads.settings import PooledConfig, QFormerConfig
from dina_lrm.preference.likelihood import BradleyTerry
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.model import LatentRewardModel
from tests.tiny import tiny_sd3_pipeline
from tests.tiny_unets import saved, tiny_sd_pipeline, tiny_sdxl_pipeline


def features_of(*visual, pooled, unconditional=None):
    return Features(visual, (), torch.zeros(len(pooled), 3), pooled_text=pooled, unconditional=unconditional)


def head_with(weight, **config) -> PooledHead:
    head = PooledHead(PooledConfig(text_projection=False, **config), (1, 1), pooled_width=2)
    with torch.no_grad():
        head.visual_projection.weight.copy_(torch.tensor(weight))
    return head


def test_a_score_by_hand():
    # Means 3 and 4 go through the identity: the vector (3, 4); the prompt (4, 3); cosine 24 / 25
    head = head_with([[1.0, 0.0], [0.0, 1.0]], guidance=1.0, logit_scale=0.0)
    first, second = torch.tensor([[[2.0], [4.0]]]), torch.tensor([[[4.0]]])
    features = features_of(first, second, pooled=torch.tensor([[4.0, 3.0]]))
    assert head([features]).item() == pytest.approx(24 / 25)
    with torch.no_grad():
        head.logit_scale.fill_(math.log(10))
    assert head([features]).item() == pytest.approx(9.6)


@pytest.mark.parametrize(("guided", "vector"), [("last", (3.0, 1 + 7.5 * 3)), ("all", (1 + 7.5 * 2, 1 + 7.5 * 3))])
def test_guidance_moves_away_from_the_empty_prompt(guided, vector):
    head = head_with([[1.0, 0.0], [0.0, 1.0]], guided=guided, logit_scale=0.0)
    ones = torch.ones(1, 1, 1)
    features = features_of(3 * ones, 4 * ones, pooled=torch.tensor([[1.0, 0.0]]), unconditional=(ones, ones))
    assert head([features]).item() == pytest.approx(vector[0] / math.hypot(*vector))


def test_the_start_is_the_published_one():
    head = PooledHead(PooledConfig(), (8, 16), pooled_width=12)
    assert head.logit_scale.item() == pytest.approx(math.log(1 / 0.07), abs=1e-4)
    assert head.visual_projection.weight.shape == (12, 24) and head.visual_projection.bias is None
    rows = head.text_projection.weight @ head.text_projection.weight.T
    torch.testing.assert_close(rows, torch.eye(12), atol=1e-5, rtol=0)


def test_levels_are_averaged():
    head = head_with([[1.0, 0.0], [0.0, 1.0]], guidance=1.0)
    levels = [
        features_of(x * torch.ones(2, 3, 1), torch.ones(2, 1, 1), pooled=torch.tensor([[1.0, 2.0]] * 2))
        for x in (1.0, -2.0)
    ]
    alone = torch.stack([head([level]) for level in levels])
    torch.testing.assert_close(head(levels), alone.mean(dim=0))
    assert isinstance(head.tokens(levels[0]), HeadTokens)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="no pooled prompt"):
        PooledHead(PooledConfig(), (8,), pooled_width=0)
    with pytest.raises(ValueError, match="width=5 without text_projection; accepted: 2"):
        PooledHead(PooledConfig(width=5, text_projection=False), (8,), pooled_width=2)
    with pytest.raises(ValueError, match="guidance=-1"):
        PooledConfig(guidance=-1.0)
    head = head_with([[1.0, 0.0], [0.0, 1.0]])
    ones = torch.ones(1, 1, 1)
    with pytest.raises(ValueError, match="guidance needs the features of the empty prompt"):
        head([features_of(ones, ones, pooled=torch.ones(1, 2))])
    with pytest.raises(ValueError, match="no pooled_prompt_embeds"):
        head([Features((ones, ones), (), torch.zeros(1, 3))])


def test_maps_of_several_sizes_come_to_the_coarsest_grid():
    coarse, fine = torch.randn(2, 2, 3), torch.arange(8.0).reshape(1, 8, 1).repeat(2, 1, 3)
    same = on_one_grid([coarse, fine], [(1, 2), (2, 4)])
    # The rows 0 1 2 3 and 4 5 6 7: squares of mean 2.5 and 4.5
    assert same[0] is coarse and same[1][0, :, 0].tolist() == [2.5, 4.5]
    equal = [torch.randn(1, 4, 2), torch.randn(1, 4, 3)]
    assert all(a is b for a, b in zip(on_one_grid(equal, None), equal, strict=True))
    with pytest.raises(ValueError, match=r"\[2, 8\] tokens and no grids"):
        on_one_grid([coarse, fine], None)


GENERATORS = {
    "sd3": (tiny_sd3_pipeline, BackboneConfig("sd3", "", 3, (1, 3), (), 0), True),
    "sd15": (tiny_sd_pipeline, BackboneConfig("stable-diffusion", "", 3, (1, 2, 3), (), 0), True),
    "sdxl": (tiny_sdxl_pipeline, BackboneConfig("stable-diffusion", "", 3, (1, 2, 3), (), 0), False),
}


@pytest.fixture(scope="module", params=GENERATORS)
def generator(request, tmp_path_factory):
    make, config, projected = GENERATORS[request.param]
    folder = saved(make(), tmp_path_factory.mktemp("generator") / request.param)
    return replace(config, pretrained=str(folder)), projected


def model_of(generator, head):
    config = RewardModelConfig(generator[0], head, LoraSettings(rank=2), preference=BradleyTerry(), resolution=32)
    model = LatentRewardModel.build(config).eval()
    tensors = {n: torch.randn(t.shape) * 0.2 for n, t in model.backbone.lora_state_dict().items()}
    model.backbone.load_lora_state_dict(tensors)
    return model


HEADS = (PooledConfig(), QFormerConfig(width=16, attention_heads=4, use_text=False))


@pytest.mark.parametrize("head", HEADS, ids=["pooled", "qformer"])
def test_both_heads_score_train_and_come_back_on_every_family(generator, head, tmp_path):
    torch.manual_seed(0)
    head = replace(head, text_projection=generator[1]) if isinstance(head, PooledConfig) else head
    model = model_of(generator, head)
    backbone = model.backbone
    conditioning = model.encode_prompts(["a red cube", "the blue ball", "a table"])
    latents = torch.randn(3, backbone.latent_channels, 8, 8)
    scores = model.score_latents(latents, conditioning, noise_level=(0.2, 0.5))
    one = model.score_latents(latents[1:2], conditioning[1], noise_level=(0.2, 0.5))
    torch.testing.assert_close(one, scores[1:2], atol=1e-5, rtol=1e-4)
    # A state's own level: adding noise to the clean latent and scoring it there is the same
    noise = torch.randn(latents.shape)
    noisy = model.process.add_noise(latents, noise, 0.4).requires_grad_()
    own = model.score_noisy(noisy, 0.4, conditioning)
    torch.testing.assert_close(own, model.score_latents(latents, conditioning, 0.4, noise))
    own.sum().backward()
    assert noisy.grad.abs().max() > 0
    model.save_pretrained(tmp_path / "model")
    again = LatentRewardModel.from_pretrained(tmp_path / "model")
    assert again.config.head == head
    torch.testing.assert_close(
        again.score_latents(latents, conditioning, (0.2, 0.5)), scores.detach(), atol=1e-4, rtol=1e-4
    )


def test_guidance_runs_the_generator_on_the_empty_prompt(generator):
    head = PooledHead(PooledConfig(), (1,), 1)
    backbone = model_of(generator, PooledConfig(text_projection=generator[1])).backbone
    conditioning = backbone.encode_prompts(["a red cube", "the blue ball"])
    latents, levels = torch.randn(2, backbone.latent_channels, 8, 8), torch.tensor([0.3, 0.4])
    read = read_features(backbone, head, latents, levels, conditioning)
    empty = backbone.features(latents, levels, backbone.encode_prompts([""])[[0, 0]])
    for found, wanted in zip(read.unconditional, empty.visual, strict=True):
        assert torch.equal(found, wanted)
    plain = QFormerHead(QFormerConfig(width=8, attention_heads=2, use_text=False), (8,), (), 4)
    assert read_features(backbone, plain, latents, levels, conditioning).unconditional is None
