"""The code released with the paper, imported as it is from a checkout of it, on the same weights' shapes as ours.

Its step and its score are called as its own scripts call them: `TrainingEngine.train_step` on a model that accelerate
prepared in bfloat16, `DRMInferencer.reward` on a LoRA that was loaded from a folder. Nothing of it is copied.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
from torch import Tensor, nn
from transformers import T5EncoderModel

from benchmarks.full_size.pipeline import T5_LAYERS

NEEDED: Final = {"omegaconf": "omegaconf", "wandb": "wandb", "sklearn": "scikit-learn"}
"""What the released modules import beyond what ours need."""
_CONFIG: Final = "config/sd3m/thurstone-12layer.yaml"


class Released:
    """The released training step and score on a generator's folder; `blocks` of its transformer are used."""

    def __init__(self, checkout: Path, generator: Path, place: Path, blocks: int) -> None:
        missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
        if missing:
            sys.exit(f"--against: the released code imports {', '.join(missing)}, which is not installed")
        if not (checkout / _CONFIG).is_file():
            sys.exit(
                f"--against {checkout}: has no {_CONFIG}; accepted: a checkout of the code released with the paper"
            )
        sys.path.insert(0, str(checkout))
        from omegaconf import OmegaConf

        self._generator, self._place, self._blocks = generator, place, blocks
        config = OmegaConf.load(checkout / _CONFIG)
        config.model.num_transformer_layers = blocks
        config.model.visual_head_idx = config.model.text_head_idx = taps(blocks)
        config.paths.save_dir = str(place)
        self._config = config

    def trainer(self, encoders: bool) -> Any:  # noqa: ANN401 - a class of the checkout
        """Its engine around its model, as `scripts/train_sd3.py` makes them; `encoders`: with text encoders."""
        from diffusion_rm.models.sd3_rm import SD3RewardModel
        from diffusion_rm.train.engine import TrainingEngine

        pipeline = self._pipeline(encoders)
        model = SD3RewardModel(pipeline, self._config.model, "cpu", torch.bfloat16)
        accelerator = Accelerator(mixed_precision="bf16", cpu=True)
        settings = self._config.training
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad],
            lr=float(settings.learning_rate),
            weight_decay=settings.weight_decay,
        )
        model.backbone, model.reward_head, optimizer = accelerator.prepare(model.backbone, model.reward_head, optimizer)
        engine = TrainingEngine(
            model=model,
            optimizer=optimizer,
            lr_scheduler=None,
            config=self._config,
            accelerator=accelerator,
            vae_processor=None,
            noise_scheduler=pipeline.scheduler,
        )
        # accelerate keeps its state with the class: ours, without mixed precision, is another one
        self._state = AcceleratorState._shared_state
        AcceleratorState._shared_state = type(self._state)()
        return engine

    @contextlib.contextmanager
    def state(self) -> Iterator[None]:
        """Inside, accelerate's state is that of the released engine: its calls belong here."""
        ours, AcceleratorState._shared_state = AcceleratorState._shared_state, self._state
        try:
            yield
        finally:
            AcceleratorState._shared_state = ours

    def scorer(self, engine: Any) -> Any:  # noqa: ANN401 - a class of the checkout
        """Its inferencer, with the LoRA and the head that `engine` holds read from files."""
        from diffusion_rm.infer.inference import DRMInferencer
        from omegaconf import OmegaConf

        stored = self._place / "released"
        engine.accelerator.unwrap_model(engine.model.backbone).save_pretrained(str(stored / "backbone_lora"))
        torch.save(engine.model.reward_head.state_dict(), stored / "rm_head.pt")
        OmegaConf.save(self._config, stored / "config.yaml")
        with contextlib.redirect_stdout(io.StringIO()):
            return DRMInferencer(
                self._pipeline(False), str(stored / "config.yaml"), str(stored), load_from_disk=True, device="cpu"
            )

    def _pipeline(self, encoders: bool) -> StableDiffusion3Pipeline:
        transformer = SD3Transformer2DModel.from_pretrained(
            self._generator, subfolder="transformer", dtype=torch.bfloat16
        )
        transformer.transformer_blocks = transformer.transformer_blocks[: self._blocks]
        absent = {} if encoders else dict.fromkeys(("text_encoder", "text_encoder_2", "text_encoder_3"))
        if encoders:
            absent["text_encoder_3"] = tied_t5(self._generator)
        pipeline = StableDiffusion3Pipeline.from_pretrained(
            self._generator, transformer=transformer, vae=None, dtype=torch.bfloat16, **absent
        )
        if not encoders:  # the model only switches off their gradients
            pipeline.text_encoder = pipeline.text_encoder_2 = pipeline.text_encoder_3 = nn.Identity()
        return pipeline


def tied_t5(generator: Path) -> T5EncoderModel:
    """T5 in its full depth, its layers sharing the weights of the first two: the same work in a tenth of the memory."""
    model = T5EncoderModel.from_pretrained(generator, subfolder="text_encoder_3", num_layers=2, dtype=torch.bfloat16)
    stack: Any = model.encoder
    stack.block = nn.ModuleList(list(stack.block) * (T5_LAYERS // 2))
    return model


def taps(blocks: int) -> list[int]:
    """Three of them, evenly: 4, 8, 12 of the paper's 12."""
    return [blocks * part // 3 for part in (1, 2, 3)]


def drawn_latents(count: int, side: int, seed: int) -> Tensor:
    """Latents as a cache holds them."""
    return torch.randn(count, 16, side, side, generator=torch.Generator().manual_seed(seed))
