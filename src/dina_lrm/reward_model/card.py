"""The card of a stored reward model: its base and licences, how it was trained and is used, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from huggingface_hub import ModelCard, ModelCardData

from dina_lrm.cards.bases import UNKNOWN, base_metadata, base_name, hub_id, licence_of, metadata
from dina_lrm.cards.measured import eval_results, measured_table, measurements
from dina_lrm.cards.text import PLACE, card_text, facts_table, measured_part, python, read_card, with_measured
from dina_lrm.locate import BUNDLED
from dina_lrm.reward_model.config import RewardModelConfig
from dina_lrm.reward_model.describing import adaptation, blocks
from dina_lrm.typed import DinaError

TASK: Final = "zero-shot-image-classification"
"""What the hub calls models that read a picture and words and answer with numbers; judges of pictures stand there."""
_NAME: Final = "latent reward model"


def model_card(config: RewardModelConfig) -> ModelCard:
    """The README of a stored model: base and licences, how it was trained, how to use it, and the measured table."""
    return ModelCard(card_text(_metadata(config), _text(config)))


def with_results(card: Path, config: RewardModelConfig) -> ModelCard:
    """A card that somebody wrote on, with the measurements of `config` in their place; all else stays as it is.

    Raises ValueError where it lacks the comments between which measurements stand, or is no card.
    """
    found = read_card(card)
    text = with_measured(found.text, measured_table(measurements(config.notes)))
    if text is None:
        raise DinaError(
            f"{card}: was changed, and has no comments '<!-- dina-lrm: measured -->' and '<!-- dina-lrm: end of "
            "measured -->' for the measurements to stand between; accepted: a card with both, or without this file"
        )
    kept = {name: value for name, value in found.data.to_dict().items() if name != "model-index"}
    data = ModelCardData(**{**kept, **_measured_metadata(config)})
    return ModelCard(card_text(data, text))


def _metadata(config: RewardModelConfig) -> ModelCardData:
    relation = "finetune" if config.own_backbone else "adapter"
    return metadata(
        license=config.notes.get("license"),
        library_name="dina-lrm",
        pipeline_tag=TASK,
        tags=["reward-model", "latent-reward-model", "preference", config.backbone.family],
        **base_metadata(config.backbone.pretrained, relation),
        **_measured_metadata(config),
    )


def _measured_metadata(config: RewardModelConfig) -> dict[str, Any]:
    found = eval_results(measurements(config.notes), TASK)
    return {"model_name": _NAME, "eval_results": found} if found else {}


def _text(config: RewardModelConfig) -> str:
    return (
        "# Latent reward model\n\n"
        "Scores images, or latents of the generator named below, for a prompt: higher is preferred by people.\n\n"
        f"{facts_table(_facts(config))}\n\n## Use\n\n{python(_usage(config))}\n\n"
        f"## Training\n\n{_training(config.notes.get('training'))}\n\n"
        f"{measured_part(measured_table(measurements(config.notes)))}\n"
    )


def _facts(config: RewardModelConfig) -> dict[str, object]:
    backbone, levels = config.backbone, ", ".join(f"{level:g}" for level in config.ensemble_levels)
    base = licence_of(backbone.pretrained, backbone.revision)
    return {
        "base model": f"{base_name(backbone.pretrained)} ({backbone.family}), {blocks(config)}",
        "licence of the base model": base,
        "licence of this model": config.notes.get("license", UNKNOWN),
        "taps": f"visual {list(backbone.visual_taps)}, text {list(backbone.text_taps)}",
        "adapted by": adaptation(config),
        "preference model": ", ".join(f"{key} {value}" for key, value in config.preference.to_dict().items()),
        "scores at noise level": f"{config.noise_level:g}; ensemble of {levels}",
        "scores": f"{', '.join(config.scores)}; the main one is {config.main}" if config.scores else None,
        "z-score": f"(raw - {config.score_mean:g}) / {config.score_std:g}",
        "T5 prompt length": backbone.prompt_length or "none",
        "sizes of pictures" if config.buckets else "resolution": str(config.sizes),
        "library version": config.library_version,
    }


def _training(notes: object) -> str:
    """The facts that training left, in a table; a model that was converted or built by hand has none."""
    if not isinstance(notes, Mapping):
        return "Nothing is known of the training."
    sources, measured = notes.get("sources"), notes.get("measured")
    steps = f"{notes['steps']:,} of {notes.get('batch_size')} pairs" if isinstance(notes.get("steps"), int) else None
    found = facts_table(
        {
            "data": ", ".join(map(str, sources)) if isinstance(sources, list) and sources else "not named",
            "pairs": f"{notes['pairs']:,}" if isinstance(notes.get("pairs"), int) else None,
            "content of the data": notes.get("data"),
            "recipe": notes.get("recipe"),
            "steps": steps,
            "seed": notes.get("seed"),
            "weights": "moving average" if notes.get("averaged") else None,
            "accuracy at the end": _at_the_end(notes, measured if isinstance(measured, Mapping) else {}),
        }
    )
    return f"{found}\n\nThe licence of the data is that of its sources."


def _at_the_end(notes: Mapping[str, Any], measured: Mapping[str, Any]) -> str | None:
    accuracy, pairs = measured.get("accuracy"), measured.get("pairs")
    if not isinstance(accuracy, float) or not isinstance(pairs, int):
        return None
    of = "held-out pairs" if notes.get("measured_on") == "validation" else "of the training pairs, none held out"
    return f"{100 * accuracy:.1f} % on {pairs:,} {of}"


def _usage(config: RewardModelConfig) -> str:
    name = config.backbone.pretrained
    there = "" if name in BUNDLED or hub_id(name) else ', backbone="FOLDER OR HUB ID OF THE BASE MODEL"'
    return (
        "from dina_lrm import LatentRewardModel\n\n"
        f'model = LatentRewardModel.from_pretrained("{PLACE}"{there})\n'
        'print(model.score(["a.png", "b.png"], "the prompt"))'
    )
