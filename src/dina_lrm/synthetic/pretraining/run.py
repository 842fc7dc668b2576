"""The stages in a row, and the folder that they leave: a diffusers pipeline with its model card."""

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dina_lrm.locate import locate_generator
from dina_lrm.runs.files import by_umask, replaced_when_complete, write_json, write_text
from dina_lrm.runs.folder import keep_settings
from dina_lrm.runs.json_files import read_json
from dina_lrm.runs.lock import held_folder
from dina_lrm.runs.ownership import check_replaceable, made_folder
from dina_lrm.synthetic.architecture import build_pipeline
from dina_lrm.synthetic.generated import generated_prompts
from dina_lrm.synthetic.oracle import oracle_parts
from dina_lrm.synthetic.pretraining.autoencoder import train_autoencoder
from dina_lrm.synthetic.pretraining.card import model_card
from dina_lrm.synthetic.pretraining.config import PretrainConfig
from dina_lrm.synthetic.pretraining.flow import train_flow
from dina_lrm.synthetic.pretraining.loop import Report
from dina_lrm.synthetic.pretraining.noise_prediction import train_unet
from dina_lrm.synthetic.tokenizer import write_vocabulary
from dina_lrm.synthetic.unet import build_unet_pipeline
from dina_lrm.synthetic.vocabulary import IMAGE_SIZE
from dina_lrm.synthetic.world import SyntheticPipeline, bundled_pipeline, sample_images
from dina_lrm.typed import to_plain

KIND = "generator"
"""What the marker of its folder says."""
GRID = (6, 12)
"""Rows and columns of the samples that are drawn and judged at the end."""
_ORIGIN = "_name_or_path"


def pretrain(config: PretrainConfig, folder: Path, report: Report, grid: tuple[int, int] = GRID) -> Path:
    """Run all stages, going on from what the folder holds; returns the pipeline's folder (bf16 safetensors).

    Raises ValueError for a folder of other settings, NotReplaceableError for folder/generator that is something else,
    BusyError where another process works in the folder, and `Interrupted` where a signal asks it to stop.
    """
    with held_folder(folder):
        check_replaceable(folder / "generator", KIND)
        keep_settings(folder, to_plain(config), ("compile", "checkpoint_seconds"))
        began = time.monotonic()
        stages = _pretrain_unet if config.architecture == "unet" else _pretrain_sd3
        pipeline, measured = stages(config, folder, report)
        facts = {"config": asdict(config), **measured, "seconds": time.monotonic() - began}
        return save_generator(pipeline, facts, folder / "generator", grid)


def _pretrain_sd3(config: PretrainConfig, folder: Path, report: Report) -> tuple[SyntheticPipeline, dict[str, float]]:
    pipeline, every = build_pipeline(config.seed), config.checkpoint_seconds
    decibels = train_autoencoder(pipeline.vae, config.vae, config.seed, folder / "autoencoder", every, report)
    pipeline.vae.requires_grad_(False)
    if config.compile:
        for module in (*pipeline.transformer.transformer_blocks, pipeline.text_encoder, pipeline.text_encoder_2):
            module.compile()
    loss = train_flow(pipeline, config.generator, config.seed, folder / "flow", every, report)
    return pipeline, {"vae_psnr_db": decibels, "flow_loss": loss}


def _pretrain_unet(config: PretrainConfig, folder: Path, report: Report) -> tuple[SyntheticPipeline, dict[str, float]]:
    pipeline = build_unet_pipeline(locate_generator("synthetic"), config.seed)
    pipeline.vae.requires_grad_(False)
    if config.compile:
        for module in (*pipeline.unet.down_blocks, pipeline.unet.mid_block, *pipeline.unet.up_blocks):
            module.compile()
    loss = train_unet(pipeline, config.unet, config.seed, folder / "unet", config.checkpoint_seconds, report)
    return pipeline, {"noise_loss": loss}


def save_generator(
    pipeline: SyntheticPipeline, facts: dict[str, object], folder: Path, grid: tuple[int, int] = GRID
) -> Path:
    """Save in bf16, draw a grid of samples with what was saved, judge them by the oracle, and write the card.

    Raises FileExistsError for a folder that holds anything but an earlier generator.
    """
    with made_folder(folder, KIND) as made:
        _save_generator(pipeline, facts, made, grid)
    return folder


def _save_generator(pipeline: SyntheticPipeline, facts: dict[str, object], folder: Path, grid: tuple[int, int]) -> None:
    pipeline.to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    for path in folder.rglob("*.json"):
        _forget_origin(path)
    for path in folder.glob("tokenizer*"):
        write_vocabulary(path)
    measured = {**facts, **sample_facts(bundled_pipeline(str(folder)), folder, grid)}
    captions = [prompt.caption() for prompt in generated_prompts(grid[1])]
    write_text(folder / "README.md", model_card(measured, captions))
    by_umask(folder)
    write_json(folder / "facts.json", measured)


def sample_facts(pipeline: SyntheticPipeline, folder: Path, grid: tuple[int, int]) -> dict[str, int | float]:
    """Draw a grid of samples as folder/samples.png; what the oracle finds in them."""
    rows, columns = grid
    prompts = generated_prompts(rows * columns)
    images = sample_images(pipeline, [prompt.caption() for prompt in prompts], range(len(prompts)))
    parts = oracle_parts(images, prompts)
    tiles = images.reshape(rows, columns, IMAGE_SIZE, IMAGE_SIZE, 3).transpose(0, 2, 1, 3, 4)
    sheet = Image.fromarray(np.ascontiguousarray(tiles.reshape(rows * IMAGE_SIZE, columns * IMAGE_SIZE, 3)))
    with replaced_when_complete(folder / "samples.png") as temporary:
        sheet.resize((3 * sheet.width, 3 * sheet.height), Image.Resampling.NEAREST).save(temporary, optimize=True)
    return {
        "samples": len(prompts),
        "samples_right": float((parts[:, 0] == 0).mean()),
        "samples_alignment": float(parts[:, 0].mean()),
        "samples_quality": float(parts[:, 1].mean()),
    }


def _forget_origin(path: Path) -> None:
    """Diffusers writes down the folder that a pipeline came from; it says nothing on another machine."""
    values = read_json(path)
    if isinstance(values, dict) and _ORIGIN in values:
        write_json(path, {key: value for key, value in values.items() if key != _ORIGIN})
