"""Say what a reward model is: to programs as plain values, to people as a model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from huggingface_hub import ModelCard, ModelCardData

from dina_lrm.heads.base import Head
from dina_lrm.reward_model.config import RewardModelConfig

if TYPE_CHECKING:
    from dina_lrm.backbones.base import Backbone

_RESULT_COLUMNS = ("set", "accuracy", "low", "high", "ceiling", "pairs")


def describe(config: RewardModelConfig, backbone: Backbone, head: Head) -> dict[str, Any]:
    """The configuration, what the weights are and where, and what a score means; plain values, ready for JSON."""
    lora = backbone.lora_settings
    return config.to_dict() | {
        "lora": None if lora is None else {"rank": lora.rank, "alpha": lora.alpha, "targets": list(lora.targets or ())},
        "process": type(backbone.process).__name__,
        "shared": backbone.shared,
        "device": str(backbone.device),
        "backbone_dtype": str(backbone.dtype).removeprefix("torch."),
        "latent_channels": backbone.latent_channels,
        "latent_multiple": backbone.latent_multiple,
        "pixels_per_latent": backbone.pixels_per_latent,
        "parameters": {
            "head": sum(p.numel() for p in head.parameters()),
            "lora": 0 if lora is None else sum(t.numel() for t in backbone.lora_state_dict().values()),
        },
        "score": {
            "raw": "unbounded; compare scores of one prompt and one noise level",
            "z": f"(raw - {config.score_mean:g}) / {config.score_std:g}",
            "win_probability": "P(a preferred) of the margin raw_a - raw_b under the preference model, "
            f"margins divided by the temperature {config.temperature:g}",
        },
    }


def model_card(config: RewardModelConfig) -> ModelCard:
    """The README of a stored model: what it is, how it scores, how to use it, and the measured table."""
    backbone = config.backbone
    base = backbone.pretrained if _is_hub_id(backbone.pretrained) else None
    data = ModelCardData(library_name="dina-lrm", base_model=base, tags=["reward-model", "preference", backbone.family])
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(config)}")


def _text(config: RewardModelConfig) -> str:
    backbone, levels = config.backbone, ", ".join(f"{level:g}" for level in config.ensemble_levels)
    facts = {
        "generator": f"`{backbone.pretrained}` ({backbone.family}), first {backbone.depth} blocks",
        "taps": f"visual {list(backbone.visual_taps)}, text {list(backbone.text_taps)}",
        "adapted by": _adaptation(config),
        "preference model": ", ".join(f"{key} {value}" for key, value in config.preference.to_dict().items()),
        "scores at noise level": f"{config.noise_level:g}; ensemble of {levels}",
        "z-score": f"(raw - {config.score_mean:g}) / {config.score_std:g}",
        "T5 prompt length": backbone.prompt_length or "none",
        "resolution": f"{config.resolution} pixels",
        "library version": config.library_version,
    }
    table = _table(("fact", "value"), [{"fact": key, "value": value} for key, value in facts.items()])
    usage = 'model = LatentRewardModel.from_pretrained("PATH OR HUB ID")\nmodel.score(["a.png", "b.png"], "the prompt")'
    return (
        "# Latent reward model\n\n"
        "Scores images, or latents of the generator named below, for a prompt: higher is preferred by people.\n\n"
        f"{table}\n\n## Use\n\n```python\nfrom dina_lrm import LatentRewardModel\n\n{usage}\n```\n\n"
        f"## Measured\n\n{_results(config.notes.get('results'))}\n"
    )


def _adaptation(config: RewardModelConfig) -> str:
    if config.own_backbone:
        return "training every weight"
    return "the head alone" if config.lora is None else f"LoRA of rank {config.lora.rank}, alpha {config.lora.alpha:g}"


def _results(results: object) -> str:
    rows = [row for row in results if isinstance(row, Mapping)] if isinstance(results, Sequence) else []
    if not rows:
        return "No results were recorded with this model."
    columns = [name for name in _RESULT_COLUMNS if any(name in row for row in rows)]
    columns += [name for row in rows for name in row if name not in columns]
    return _table(list(dict.fromkeys(columns)), rows)


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    lines = [columns, ["---"] * len(columns), *([_cell(row.get(name, "")) for name in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))
