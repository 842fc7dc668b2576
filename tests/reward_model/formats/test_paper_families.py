"""Folders of the FLUX and Z-Image reward models released with the paper: random weights in the released layout.

The references follow what the released code computes: FLUX's embedding of the bare t and guidance; Z-Image one image
at a time, its own padding tokens included. Everything else of the format is in `test_released.py`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from einops import rearrange
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from dina_lrm.backbones.conditioning import Conditioning, Features
from dina_lrm.heads.qformer import QFormerHead
from dina_lrm.heads.settings import QFormerConfig
from dina_lrm.reward_model.formats import ours as checkpoint
from dina_lrm.reward_model.model import LatentRewardModel
from tests.tiny import LATENT_CHANNELS, WIDTH
from tests.tiny.flux import saved_flux_pipeline, tiny_flux_pipeline
from tests.tiny.z_image import saved_z_image_pipeline, tiny_z_image_pipeline

TAPS = (1, 2)
HEAD = {"use_proj_in": True, "width": 16, "out_dim": 1, "num_queries": 4, "num_attn_heads": 4, "dropout": 0.0}
TARGETS = {
    "flux": ["to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"],
    "z-image": ["to_q", "to_k", "to_v", "to_out.0"],
}


class FluxReference(nn.Module):
    """The modules that the released backbone holds, and its loop over the double blocks."""

    def __init__(self) -> None:
        super().__init__()
        transformer = tiny_flux_pipeline().transformer
        self.pos_embed, self.time_text_embed = transformer.pos_embed, transformer.time_text_embed
        self.context_embedder, self.x_embedder = transformer.context_embedder, transformer.x_embedder
        self.transformer_blocks = nn.ModuleList(list(transformer.transformer_blocks)[: TAPS[-1]])

    def forward(self, latents: Tensor, level: float, conditioning: Conditioning) -> Features:
        batch, _, height, width = latents.shape
        t, guidance = torch.full((batch,), level), torch.tensor([3.5])
        temb = self.time_text_embed(t, guidance, conditioning.pooled_prompt_embeds)
        visual = self.x_embedder(rearrange(latents, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2))
        text = self.context_embedder(conditioning.prompt_embeds)
        image = [[0.0, row, column] for row in range(height // 2) for column in range(width // 2)]
        rotary = self.pos_embed(torch.tensor([[0.0, 0.0, 0.0]] * text.shape[1] + image))
        states = []
        for block in self.transformer_blocks:
            text, visual = block(hidden_states=visual, encoder_hidden_states=text, temb=temb, image_rotary_emb=rotary)
            states.append((text, visual))
        return Features(tuple(v for _, v in states), tuple(t for t, _ in states), temb)


class ZImageReference(nn.Module):
    """A transformer of the first layers, called for a single image and caption."""

    def __init__(self) -> None:
        super().__init__()
        transformer = tiny_z_image_pipeline().transformer
        transformer.layers = nn.ModuleList(list(transformer.layers)[: TAPS[-1]])
        self.transformer = transformer

    def forward(self, latents: Tensor, level: float, conditioning: Conditioning) -> Features:
        states: list[Tensor] = []
        embedding: list[Tensor] = []
        layers = self.transformer.get_submodule(
            "layers" if not wrapped(self.transformer) else "base_model.model.layers"
        )
        handles = [layer.register_forward_hook(lambda m, a, output: states.append(output)) for layer in layers]
        handles.append(layers[0].register_forward_pre_hook(lambda m, args: embedding.append(args[3])))
        captions = [conditioning.prompt_embeds[0][conditioning.prompt_mask[0]]]
        self.transformer(x=list(latents.unsqueeze(2)), t=torch.full((1,), (1000 - 1000 * level) / 1000),
                         cap_feats=captions)  # fmt: skip
        for handle in handles:
            handle.remove()
        image = latents[0, 0].numel() // 4
        padded = image + -image % 32
        return Features(tuple(s[:, :padded] for s in states), tuple(s[:, padded:] for s in states), embedding[0])


def wrapped(module: Any) -> bool:
    return isinstance(module, nn.Module) and "base_model" in dict(module.named_children())


class Released:
    """A folder, and what it must score."""

    def __init__(self, family: str, generator: Path, folder: Path, **model: Any) -> None:
        self.family, self.folder = family, folder
        values = {
            "model_type": "thurstone",
            "backbone_model_id": str(generator),
            "num_transformer_layers": TAPS[-1],
            "freeze_backbone": False,
            "use_lora": True,
            "use_text_features": True,
            "lora_config": {"r": 2, "lora_alpha": 4, "init_lora_weights": "gaussian"},
            "use_logistic": False,
            "visual_head_idx": list(TAPS),
            "text_head_idx": list(TAPS),
            "use_t_embed": True,
            "reward_head": HEAD | ({"t_emb_dim": 256} if family == "z-image" else {}),
        } | model
        weights = folder / "checkpoint"
        weights.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"model": values, "training": {"add_noise": True}}))
        self.reference = FluxReference() if family == "flux" else ZImageReference()
        config = QFormerConfig(width=16, attention_heads=4, use_proj_in=True)
        self.head = QFormerHead(config, (WIDTH,) * 2, (WIDTH,) * 2, WIDTH).eval()
        tensors = draw(self.head.state_dict(), 0)
        self.head.load_state_dict(tensors)
        if values["freeze_backbone"]:
            torch.save(tensors, weights / "rm_head.pt")
        elif values["use_lora"]:
            torch.save(tensors, weights / "rm_head.pt")
            self._adapt(weights / "backbone_lora")
        else:
            own = {name.removeprefix("transformer."): t + 0.01 for name, t in self.reference.state_dict().items()}
            (self.reference if family == "flux" else self.reference.transformer).load_state_dict(own)
            full = {f"backbone.{name}": t for name, t in own.items()}
            torch.save(full | {f"reward_head.{name}": t for name, t in tensors.items()}, weights / "full_model.pt")
        self.reference.eval()

    def _adapt(self, folder: Path) -> None:
        config = LoraConfig(r=2, lora_alpha=4, target_modules=TARGETS[self.family], exclude_modules=[])
        inner = self.reference if self.family == "flux" else self.reference.transformer
        model = get_peft_model(inner, config)
        factors = {name: t for name, t in model.state_dict().items() if "lora_" in name}
        model.load_state_dict(draw(factors, 1), strict=False)
        model.save_pretrained(str(folder))
        if self.family == "flux":
            self.reference = model
        else:
            self.reference.transformer = model

    def score(self, latents: Tensor, conditioning: Conditioning, noise: Tensor, levels: Sequence[float]) -> Tensor:
        scores = []
        for row in range(len(latents)):
            item = slice(row, row + 1)
            features = [self.reference((1 - t) * latents[item] + t * noise[item], t, conditioning[row]) for t in levels]
            scores.append(self.head(features)[:, 0])
        return torch.cat(scores)


def draw(like: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(tensor.shape, generator=generator) * 0.2 for name, tensor in like.items()}


def inputs(family: str) -> tuple[Tensor, Conditioning, Tensor]:
    generator = torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(3, LATENT_CHANNELS, 8, 4, generator=generator) for _ in range(2))
    if family == "flux":
        return latents, Conditioning(torch.randn(3, 5, 24, generator=generator), torch.randn(3, 12)), noise
    # Captions of one and of two of the model's multiples of 32.
    mask = torch.arange(40) < torch.tensor([[7], [33], [40]])
    return latents, Conditioning(torch.randn(3, 40, 24, generator=generator), prompt_mask=mask), noise


@pytest.fixture(scope="module", params=["flux", "z-image"])
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def generator(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    save = saved_flux_pipeline if family == "flux" else saved_z_image_pipeline
    return save(tmp_path_factory.mktemp(family) / "generator")


@pytest.mark.parametrize(
    "variant", [{}, {"freeze_backbone": True}, {"use_lora": False}], ids=["lora", "frozen", "full"]
)
def test_scores_are_those_of_the_reference(family: str, generator: Path, tmp_path: Path, variant: dict) -> None:
    released = Released(family, generator, tmp_path / "released", **variant)
    model = LatentRewardModel.from_pretrained(released.folder)
    assert (model.config.backbone.family, model.config.backbone.reading) == (family, "released")
    latents, conditioning, noise = inputs(family)
    for levels in ((0.4,), (0.2, 0.5, 0.7)):
        ours = model.score_latents(latents, conditioning, levels, noise=noise)
        torch.testing.assert_close(ours, released.score(latents, conditioning, noise, levels), rtol=1e-4, atol=1e-5)


def test_it_is_kept_when_converted_and_shared(family: str, generator: Path, tmp_path: Path) -> None:
    released = Released(family, generator, tmp_path / "released")
    written = checkpoint.convert(released.folder, tmp_path / "ours")
    assert (written.backbone.reading, written.score_mean, written.score_std) == ("released", 0.0, 1.0)
    latents, conditioning, noise = inputs(family)
    pipeline = tiny_flux_pipeline() if family == "flux" else tiny_z_image_pipeline()
    expected = released.score(latents, conditioning, noise, (0.4,))
    for model in (
        LatentRewardModel.from_pretrained(tmp_path / "ours"),
        LatentRewardModel.from_pretrained(released.folder, pipeline=pipeline),
    ):
        score = model.score_latents(latents, conditioning, 0.4, noise=noise)
        torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-5)


def test_the_generators_own_reading_is_another(family: str, generator: Path, tmp_path: Path) -> None:
    released = Released(family, generator, tmp_path / "released")
    checkpoint.convert(released.folder, tmp_path / "ours")
    path = tmp_path / "ours" / "config.json"
    path.write_text(path.read_text().replace('"reading": "released"', '"reading": "own"'))
    latents, conditioning, noise = inputs(family)
    score = LatentRewardModel.from_pretrained(tmp_path / "ours").score_latents(latents, conditioning, 0.4, noise=noise)
    assert not torch.allclose(score, released.score(latents, conditioning, noise, (0.4,)), rtol=1e-3)
