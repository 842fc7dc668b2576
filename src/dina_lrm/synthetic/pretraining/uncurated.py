"""A LoRA that makes the bundled generator what it would be, had it learned from uncurated pictures.

The bundled generator has seen few damaged pictures, and leaves a reward little to mend. With this LoRA it draws as a
generator does that learned from a crawl of the web: most pictures are damaged, some are not what their captions say.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import StableDiffusion3Pipeline
from diffusers.loaders.lora_base import LORA_WEIGHT_NAME_SAFE
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn

from dina_lrm.backbones.adapters import peft_config
from dina_lrm.backbones.sd3 import SD3Backbone
from dina_lrm.backbones.settings import LoraSettings
from dina_lrm.runs.files import save_tensors, write_json, write_text
from dina_lrm.runs.folder import keep_settings
from dina_lrm.runs.lock import held_folder
from dina_lrm.runs.ownership import check_replaceable, made_folder
from dina_lrm.synthetic.draws import corpus
from dina_lrm.synthetic.pretraining.autoencoder import unscaled_latents
from dina_lrm.synthetic.pretraining.card import uncurated_card
from dina_lrm.synthetic.pretraining.config import UncuratedConfig
from dina_lrm.synthetic.pretraining.flow import loss_with_dropped_prompts, optimizer_of
from dina_lrm.synthetic.pretraining.loop import Report, Schedule, Stage
from dina_lrm.synthetic.pretraining.run import GRID, sample_facts
from dina_lrm.synthetic.world import bundled_pipeline

KIND = "LoRA"
"""What the marker of its folder says."""
_NAME = "uncurated"
_TARGETS = (*SD3Backbone.lora_targets, "ff.net.0.proj", "ff.net.2", "proj_out")
_SEED = 9_000_000


def train_uncurated(
    pipeline: StableDiffusion3Pipeline, config: UncuratedConfig, seed: int, folder: Path, every: float, report: Report
) -> float:
    """Add the LoRA to the pipeline's transformer and train it; checkpoints in `folder`; returns the smoothed loss."""
    images, captions = corpus(config.images, _SEED + seed, config.mismatched, config.damaged)
    vae = pipeline.vae.config
    latents = (unscaled_latents(pipeline.vae, images) - vae.shift_factor) * vae.scaling_factor
    for part in (pipeline.text_encoder, pipeline.text_encoder_2, pipeline.transformer):
        part.requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline.transformer.add_adapter(peft_config(LoraSettings(config.rank, config.rank, _TARGETS)), _NAME)
    learning = nn.ParameterDict(
        {
            name.replace(".", "-"): parameter
            for name, parameter in pipeline.transformer.named_parameters()
            if parameter.requires_grad
        }
    )

    loss_of = loss_with_dropped_prompts(pipeline, latents, captions, config.prompt_dropout, seed)
    schedule = Schedule(config.steps, config.batch_size, config.learning_rate, config.warmup)
    stage = Stage(_NAME, learning, optimizer_of(learning, config.learning_rate), schedule, folder)
    return stage.run(len(latents), seed, loss_of, every, report)


def uncurate(
    config: UncuratedConfig,
    seed: int,
    folder: Path,
    report: Report,
    every: float = 60.0,
    grid: tuple[int, int] = GRID,
) -> Path:
    """Train the LoRA, going on from what the folder holds; returns folder/lora (bf16, as diffusers reads it).

    Raises ValueError for a folder of other settings, NotReplaceableError for folder/lora that is something else,
    BusyError where another process works in the folder, and `Interrupted` where a signal asks it to stop.
    """
    with held_folder(folder):
        check_replaceable(folder / "lora", KIND)
        keep_settings(folder, {"seed": seed, **asdict(config)}, ())
        began = time.monotonic()
        pipeline = bundled_pipeline()
        assert isinstance(pipeline, StableDiffusion3Pipeline)
        loss = train_uncurated(pipeline, config, seed, folder / "checkpoints", every, report)
        # A run that went on from its last step has no loss of its own
        known = loss if math.isfinite(loss) else None
        with made_folder(folder / "lora", KIND) as lora:
            facts = {"config": asdict(config), "seed": seed, "flow_loss": known, **_saved(pipeline, lora, grid)}
            facts["seconds"] = time.monotonic() - began
            write_json(lora / "facts.json", facts)
            write_text(lora / "README.md", uncurated_card(facts))
    return folder / "lora"


def _saved(pipeline: StableDiffusion3Pipeline, lora: Path, grid: tuple[int, int]) -> dict[str, int | float]:
    """Write the LoRA of the pipeline; what the oracle finds in samples that are drawn with what was written."""
    found = get_peft_model_state_dict(pipeline.transformer, adapter_name=_NAME)
    tensors = {name: tensor.bfloat16() for name, tensor in found.items()}
    pipeline.save_lora_weights(lora, transformer_lora_layers=tensors, save_function=_save_whole)
    saved = bundled_pipeline()
    saved.load_lora_weights(lora, weight_name=LORA_WEIGHT_NAME_SAFE)
    return sample_facts(saved, lora, grid)


def _save_whole(tensors: Mapping[str, Tensor], path: str) -> None:
    save_tensors(Path(path), tensors, {"format": "pt"})
