"""The folder released with the paper: written here key by key as its table says, read as it is, scored the same.

The reference is a plain loop over the generator's blocks with PEFT's own wrapper, as the released model is described.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import SD3Transformer2DModel
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.preference.likelihood import BradleyTerry, Thurstone
from dina_lrm.reward_model.formats import ours as checkpoint
from dina_lrm.reward_model.model import LatentRewardModel
from tests.models import some_conditioning, some_latents
from tests.tiny import WIDTH

DEPTH = 3
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]
ENSEMBLE = (0.2, 0.5, 0.7)


class FirstBlocks(nn.Module):
    """The part of an SD3 transformer that the released model holds, under the names it has there."""

    def __init__(self, transformer: Any, taps: tuple[int, ...], text_taps: tuple[int, ...]) -> None:
        super().__init__()
        self.pos_embed = transformer.pos_embed
        self.time_text_embed = transformer.time_text_embed
        self.context_embedder = transformer.context_embedder
        self.transformer_blocks = nn.ModuleList(list(transformer.transformer_blocks)[:DEPTH])
        self.taps, self.text_taps = taps, text_taps

    def forward(self, latents: Tensor, noise_level: float, conditioning: Conditioning) -> Features:
        timestep = torch.full((len(latents),), 1000 * noise_level)
        visual = self.pos_embed(latents)
        temb = self.time_text_embed(timestep, conditioning.pooled_prompt_embeds)
        text = self.context_embedder(conditioning.prompt_embeds)
        states = {0: (text, visual)}
        for i, block in enumerate(self.transformer_blocks, 1):
            text, visual = block(hidden_states=visual, encoder_hidden_states=text, temb=temb)
            states[i] = (text, visual)
        return Features(
            tuple(states[tap][1] for tap in self.taps), tuple(states[tap][0] for tap in self.text_taps), temb
        )


@dataclass
class Released:
    """A folder, and what it must score."""

    folder: Path
    backbone: nn.Module
    head: QFormerHead

    def score(self, latents: Tensor, conditioning: Conditioning, noise: Tensor, *levels: float) -> Tensor:
        features = [self.backbone((1 - t) * latents + t * noise, t, conditioning) for t in levels]
        return self.head(features)[:, 0]


def random_tensors(like: dict[str, Tensor], seed: int, scale: float = 0.2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(tensor.shape, generator=generator) * scale for name, tensor in like.items()}


def release(
    generator: Path, folder: Path, visual=(1, 3), text=(2, 3), exclude: list[str] | None = None, **model: Any
) -> Released:
    """Write a released folder with random weights; `model` overrides entries of config.json's "model"."""
    values: dict[str, Any] = {
        "model_type": "thurstone",
        "backbone_model_id": str(generator),
        "num_transformer_layers": DEPTH,
        "freeze_backbone": False,
        "use_lora": True,
        "use_text_features": bool(text),
        "lora_config": {"r": 2, "lora_alpha": 4, "init_lora_weights": "gaussian"},
        "use_logistic": False,
        "visual_head_idx": list(visual),
        "text_head_idx": list(text),
        "use_t_embed": True,
        "reward_head": {
            "use_proj_in": False,
            "width": -1,
            "out_dim": 1,
            "num_queries": 4,
            "num_attn_heads": 8,
            "dropout": 0.0,
        },
    } | model
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model": values, "training": {"add_noise": True}}))
    weights = folder / "checkpoint"
    weights.mkdir()
    transformer = SD3Transformer2DModel.from_pretrained(generator / "transformer")
    backbone: nn.Module = FirstBlocks(transformer, visual, text).requires_grad_(False)
    shape = values["reward_head"]
    head = QFormerHead(
        QFormerConfig(
            width=None if shape["width"] == -1 else shape["width"],
            queries=shape["num_queries"],
            attention_heads=shape["num_attn_heads"],
            use_proj_in=shape["use_proj_in"],
            use_text=bool(text),
            logistic=values["use_logistic"],
        ),
        (WIDTH,) * len(visual),
        (WIDTH,) * len(text),
        WIDTH,
    )
    own = {name: t for name, t in head.state_dict().items() if name not in ("eta3", "eta4")}
    tensors = random_tensors(own, 0)
    head.load_state_dict(tensors, strict=False)
    if values["use_lora"] and not values["freeze_backbone"]:
        backbone = wrapped(backbone, exclude)
        backbone.save_pretrained(str(weights / "backbone_lora"))
    if values["use_lora"] or values["freeze_backbone"]:
        torch.save(tensors, weights / "rm_head.pt")
    else:
        changed = {name: t + 0.01 if t.is_floating_point() else t for name, t in backbone.state_dict().items()}
        backbone.load_state_dict(changed)
        full = {f"backbone.{name}": t for name, t in changed.items()}
        full |= {f"reward_head.{name}": t for name, t in tensors.items()}
        if values["use_logistic"]:
            etas = {"eta3": torch.tensor(0.3), "eta4": torch.tensor(-0.7)}
            head.load_state_dict(tensors | etas)
            full |= etas
        torch.save(full, weights / "full_model.pt")
    return Released(folder, backbone.eval(), head.eval())


def wrapped(backbone: nn.Module, exclude: list[str] | None) -> PeftModel:
    config = LoraConfig(
        r=2, lora_alpha=4, init_lora_weights="gaussian", target_modules=TARGETS, exclude_modules=exclude
    )
    model = get_peft_model(backbone, config)
    factors = {name: t for name, t in model.state_dict().items() if "lora_" in name}
    model.load_state_dict(random_tensors(factors, 1), strict=False)
    return model


@pytest.fixture(scope="module")
def as_the_paper(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Released:
    """A folder like the one on the hub; do not write into it."""
    return release(tiny_folder, tmp_path_factory.mktemp("paper") / "released")


VARIANTS: dict[str, dict[str, Any]] = {
    "as the paper": {},
    "text up to the second block": {
        "text": (1, 2),
        "exclude": [
            f"transformer_blocks.{DEPTH - 1}.attn.{name}"
            for name in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
        ],
    },
    "embeddings tapped": {"visual": (0, 3), "text": (0, 2, 3)},
    "no text": {"text": ()},
    "other head": {
        "reward_head": {"use_proj_in": True, "width": 16, "num_queries": 2, "num_attn_heads": 4, "out_dim": 1}
    },
    "frozen": {"freeze_backbone": True},
    "full": {"use_lora": False},
    "full, logistic": {"use_lora": False, "use_logistic": True},
    "logistic beside a lora": {"use_logistic": True},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_scores_ensembles_and_gradients_are_those_of_the_reference(
    name: str, tiny_folder: Path, tmp_path: Path
) -> None:
    released = release(tiny_folder, tmp_path / "released", **VARIANTS[name])
    model = LatentRewardModel.from_pretrained(released.folder)
    conditioning, noise = some_conditioning(3), some_latents(3, seed=9)
    for levels in ((0.4,), ENSEMBLE):
        ours, theirs = (some_latents(3).requires_grad_() for _ in range(2))
        score = model.score_latents(ours, conditioning, levels, noise=noise)
        expected = released.score(theirs, conditioning, noise, *levels)
        torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-6)
        score.sum().backward()
        expected.sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-4 * float(theirs.grad.abs().max()))
    noisy = some_latents(3)
    expected = released.head([released.backbone(noisy, 0.7, conditioning)])[:, 0]
    torch.testing.assert_close(model.score_noisy(noisy, 0.7, conditioning), expected, rtol=1e-4, atol=1e-6)


def test_lora_keys_are_those_of_the_table(as_the_paper: Released) -> None:
    keys = load_file(as_the_paper.folder / "checkpoint" / "backbone_lora" / "adapter_model.safetensors")
    assert "base_model.model.transformer_blocks.0.attn.to_out.0.lora_A.weight" in keys
    assert "base_model.model.transformer_blocks.0.attn2.to_q.lora_B.weight" in keys
    assert "base_model.model.transformer_blocks.2.attn.to_add_out.lora_B.weight" in keys


@pytest.mark.parametrize("name", ["as the paper", "text up to the second block", "frozen", "full, logistic"])
def test_conversion_keeps_every_score(name: str, tiny_folder: Path, tmp_path: Path) -> None:
    released = release(tiny_folder, tmp_path / "released", **VARIANTS[name])
    checkpoint.convert(released.folder, tmp_path / "ours")
    assert not list((tmp_path / "ours").rglob("*.pt"))
    latents, conditioning = some_latents(2), some_conditioning(2)
    scores = [
        LatentRewardModel.from_pretrained(folder).score_latents(latents, conditioning, ENSEMBLE)
        for folder in (released.folder, tmp_path / "ours")
    ]
    assert torch.equal(*scores)
    LatentRewardModel.from_pretrained(released.folder).save_pretrained(tmp_path / "saved")
    again = LatentRewardModel.from_pretrained(tmp_path / "saved").score_latents(latents, conditioning, ENSEMBLE)
    assert torch.equal(scores[0], again)


def test_the_facts_that_the_folder_does_not_say(as_the_paper: Released) -> None:
    config = checkpoint.read(as_the_paper.folder).config
    assert config.backbone.prompt_length == 128
    assert config.preference == Thurstone(k=2.0, variance_floor=0.05, epsilon=1e-6)
    assert (config.noise_level, config.ensemble_levels, config.resolution) == (0.4, ENSEMBLE, 1024)
    assert (config.score_mean, config.score_std) == (-10.0, 10.0)


def test_the_generator_can_be_elsewhere_or_shared(
    as_the_paper: Released, tiny_folder: Path, tmp_path: Path, tiny_pipeline
) -> None:
    folder = Path(shutil.copytree(as_the_paper.folder, tmp_path / "copy"))
    path = folder / "config.json"
    path.write_text(path.read_text().replace(str(tiny_folder), "stabilityai/stable-diffusion-3.5-medium"))
    latents, conditioning = some_latents(2), some_conditioning(2)
    elsewhere = LatentRewardModel.from_pretrained(folder, backbone=str(tiny_folder))
    shared = LatentRewardModel.from_pretrained(folder, pipeline=tiny_pipeline)
    expected = as_the_paper.score(latents, conditioning, torch.zeros_like(latents), 0.3)
    for model in (elsewhere, shared):
        score = model.score_latents(latents, conditioning, 0.3, noise=torch.zeros_like(latents))
        torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-6)


def _edit_head(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "checkpoint" / "rm_head.pt"
        tensors = torch.load(path, weights_only=True)
        change(tensors)
        torch.save(tensors, path)

    return damage


def _edit_config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_text())
        change(values)
        (folder / "config.json").write_text(json.dumps(values))

    return damage


class Anything:
    """What a pickle may run."""


DAMAGE: dict[str, tuple[Callable[[Path], object], type[Exception], str]] = {
    "missing head": (lambda f: (f / "checkpoint/rm_head.pt").unlink(), FileNotFoundError, r"rm_head\.pt: missing"),
    "missing lora": (
        lambda f: (f / "checkpoint/backbone_lora").rename(f / "gone"),
        FileNotFoundError,
        "backbone_lora: missing",
    ),
    "missing tensor": (_edit_head(lambda t: t.pop("agg_text.bias")), ValueError, r"missing tensors: agg_text\.bias"),
    "unexpected tensor": (
        _edit_head(lambda t: t.update(extra=torch.zeros(1))),
        ValueError,
        "unexpected tensors: extra",
    ),
    "wrong shape": (
        _edit_head(lambda t: t.update(query_tokens=torch.zeros(1, 4, 8))),
        ValueError,
        r"query_tokens has shape \(1, 4, 8\); accepted: \(1, 4, 32\)",
    ),
    "code in the pickle": (
        lambda f: torch.save(Anything(), f / "checkpoint/rm_head.pt"),
        ValueError,
        r"rm_head\.pt: .*accepted: tensors as torch\.save writes them",
    ),
    "no state dict": (
        lambda f: torch.save([1], f / "checkpoint/rm_head.pt"),
        ValueError,
        r"rm_head\.pt: holds no state dict",
    ),
    "truncated pickle": (
        lambda f: (f / "checkpoint/rm_head.pt").write_bytes(b"PK\x03\x04"),
        ValueError,
        r"rm_head\.pt: .*accepted: tensors as torch\.save writes them",
    ),
    "other generator": (
        _edit_config(lambda v: v["model"].update(backbone_model_id="Qwen/Qwen-Image")),
        ValueError,
        r"Qwen-Image' \(family qwen-image\); accepted: Stable Diffusion 3",
    ),
    "no noise": (_edit_config(lambda v: v.update(training={"add_noise": False})), ValueError, "add_noise is false"),
    "several outputs": (
        _edit_config(lambda v: v["model"]["reward_head"].update(out_dim=2)),
        ValueError,
        "out_dim is 2; accepted: 1",
    ),
    "other loss": (_edit_config(lambda v: v["model"].update(model_type="elo")), ValueError, "model_type is 'elo'"),
    "no depth": (
        _edit_config(lambda v: v["model"].pop("num_transformer_layers")),
        ValueError,
        r"model\.num_transformer_layers is missing",
    ),
    "no model": (_edit_config(lambda v: v.update(model=3)), ValueError, "'model' is 3; accepted: an object"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_folder_is_an_error_that_names_it(name: str, as_the_paper: Released, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(as_the_paper.folder, tmp_path / "damaged"))
    damage, error, message = DAMAGE[name]
    damage(folder)
    with pytest.raises(error, match=message):
        LatentRewardModel.from_pretrained(folder)


def test_other_losses_of_the_released_code(tiny_folder: Path, tmp_path: Path) -> None:
    fixed = checkpoint.read(release(tiny_folder, tmp_path / "a", model_type="thurstone-constant").folder)
    assert fixed.config.preference == Thurstone(k=0.0, variance_floor=0.5, epsilon=1e-6)
    assert (
        checkpoint.read(release(tiny_folder, tmp_path / "b", model_type="bt").folder).config.preference
        == BradleyTerry()
    )
