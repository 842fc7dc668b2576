"""Folders in the layout published with LRM: real classes at tiny size, their key names, and every fault named."""

import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from dina_lrm.heads.settings import PooledConfig
from dina_lrm.reward_model.formats import ours as checkpoint
from dina_lrm.reward_model.model import LatentRewardModel
from tests.tiny import TEXT_WIDTH
from tests.tiny_unets import POOLED, saved, tiny_sd_pipeline, tiny_sdxl_pipeline

KINDS = {"sd15": (tiny_sd_pipeline, TEXT_WIDTH, ("text_encoder",)),
         "sdxl": (tiny_sdxl_pipeline, POOLED, ("text_encoder", "text_encoder_2"))}  # fmt: skip


def published(folder: Path, kind: str):
    """What LRM's own `save` writes, of a pipeline that differs from the generator it was made from."""
    make, width, encoders = KINDS[kind]
    tuned = make(seed=7)
    tuned.unet.save_pretrained(folder / "unet")
    for name in encoders:
        tuned.components[name].save_pretrained(folder / name)
    generator = torch.Generator().manual_seed(1)
    state = {"visual_projection": {"weight": torch.randn(width, 8 + 16 + 16, generator=generator)},
             "logit_scale": torch.tensor(2.7)}  # fmt: skip
    if kind == "sd15":
        state["text_projection"] = {"weight": torch.randn(width, width, generator=generator)}
    torch.save(state, folder / "state_dict.pt")
    return tuned, state


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def base(kind, tmp_path):
    return saved(KINDS[kind][0](), tmp_path / "base")


def lrm_by_hand(pipeline, state, latents, timestep, prompt) -> torch.Tensor:
    """The published computation step by step, with plain hooks on the whole U-Net."""
    maps, scales = {}, []
    unet = pipeline.unet
    ends = [(b.attentions if vars(b).get("has_cross_attention") else b.resnets)[-1] for b in unet.down_blocks]
    for number, module in enumerate([*ends, unet.mid_block]):
        module.register_forward_hook(
            lambda m, args, out, n=number: maps.__setitem__(n, out if torch.is_tensor(out) else out[0])
        )
    for text in (prompt, ""):
        found = pipeline.encode_prompt([text], device=torch.device("cpu"), num_images_per_prompt=1,
                                       do_classifier_free_guidance=False)  # fmt: skip
        pooled = found[2] if len(found) == 4 else found[0][:, len(text.split()) + 1]
        sizes = torch.tensor([[32.0, 32, 0, 0, 32, 32]])
        added = {"text_embeds": pooled, "time_ids": sizes} if len(found) == 4 else None
        unet(latents, timestep, found[0], added_cond_kwargs=added)
        scales.append(([maps[n].mean(dim=(2, 3)) for n in range(3)], pooled))
    (conditional, pooled), (empty, _) = scales
    mid = empty[-1] + 7.5 * (conditional[-1] - empty[-1])
    visual = torch.cat([*conditional[:-1], mid], dim=-1) @ state["visual_projection"]["weight"].T
    text = pooled @ state["text_projection"]["weight"].T if "text_projection" in state else pooled
    return state["logit_scale"].exp() * F.cosine_similarity(visual, text)


def test_scores_are_those_of_the_published_computation(kind, base, tmp_path):
    tuned, state = published(tmp_path / "lrm", kind)
    model = LatentRewardModel.from_pretrained(tmp_path / "lrm", backbone=str(base))
    assert isinstance(model.config.head, PooledConfig) and model.config.own_text_encoders
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        wanted = lrm_by_hand(tuned, state, latents, torch.tensor(401), "a red cube")
    level = model.process.noise_level_from_timestep(401).item()
    conditioning = model.encode_prompts("a red cube")
    torch.testing.assert_close(model.score_noisy(latents, level, conditioning), wanted, atol=1e-4, rtol=1e-4)
    model.save_pretrained(tmp_path / "ours")
    again = LatentRewardModel.from_pretrained(tmp_path / "ours")
    torch.testing.assert_close(
        again.score_noisy(latents, level, again.encode_prompts("a red cube")), wanted, atol=1e-4, rtol=1e-4
    )


def test_faults_are_named(kind, base, tmp_path):
    _, state = published(tmp_path / "lrm", kind)
    path = tmp_path / "lrm" / "state_dict.pt"
    torch.save({**state, "vae": {}}, path)
    with pytest.raises(ValueError, match=r"state_dict.pt: holds .*'vae'.*; accepted: \['logit_scale'"):
        checkpoint.read(tmp_path / "lrm")
    torch.save({**state, "visual_projection": {"weight": torch.zeros(12, 17)}}, path)
    with pytest.raises(ValueError, match=r"takes 17 features; accepted: 40 .* and 16"):
        checkpoint.read(tmp_path / "lrm")
    torch.save(state, path)
    weights = tmp_path / "lrm" / "unet" / "diffusion_pytorch_model.safetensors"
    tensors, name = load_file(weights), "mid_block.resnets.0.conv1.weight"
    save_file({key: value for key, value in tensors.items() if key != name}, weights)
    with pytest.raises(ValueError, match=f"backbone: missing tensors: {name}"):
        LatentRewardModel.from_pretrained(tmp_path / "lrm", backbone=str(base))
    save_file(tensors, weights)
    encoder = tmp_path / "lrm" / "text_encoder" / "model.safetensors"
    whole = load_file(encoder)
    save_file({**whole, "text_model.another.weight": torch.zeros(2)}, encoder, {"format": "pt"})
    with pytest.raises(ValueError, match=r"text_encoder: unexpected tensors \['.*another"):
        LatentRewardModel.from_pretrained(tmp_path / "lrm", backbone=str(base)).encode_prompts("a")
    kept = {key: value for key, value in whole.items() if "final_layer_norm" not in key}
    save_file(kept, encoder, {"format": "pt"})
    with pytest.raises(ValueError, match=r"text_encoder: missing tensors \['.*final_layer_norm"):
        LatentRewardModel.from_pretrained(tmp_path / "lrm", backbone=str(base)).encode_prompts("a")
    shutil.rmtree(tmp_path / "lrm" / "text_encoder")
    with pytest.raises(FileNotFoundError, match="text_encoder"):
        checkpoint.read(tmp_path / "lrm")
