"""The two generators that are set side by side, how they are sampled, and where their pictures are kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from dina_lrm.backbones.generator_folder import generator_folder
from dina_lrm.generators.generator import Generator
from dina_lrm.generators.samples import PicturePlan, StoredSamples
from dina_lrm.generators.settings import GeneratorSettings, as_asked, usual_settings
from dina_lrm.locate import BUNDLED_LORAS
from dina_lrm.precision import Precision
from dina_lrm.runs.content import content_of, content_of_folder
from dina_lrm.runs.files import write_json
from dina_lrm.runs.json_files import read_json_object
from dina_lrm.runs.lock import one_writer
from dina_lrm.runs.progress import TitledProgress
from dina_lrm.sampling.tuned import TuningRun, lora_file, tuning_run
from dina_lrm.typed import DinaError

SETTINGS = "settings.json"


@dataclass(frozen=True)
class GeneratorPair:
    """A generator, and what it is tuned to: a LoRA of it, or another generator.

    Both are sampled as the run that made the LoRA did, but for what is not None.
    """

    base: str
    tuned: str
    lora_scale: float = 1.0
    steps: int | None = None
    guidance: float | None = None
    resolution: int | None = None
    prompt_length: int | None = None
    precision: Precision | None = None

    @property
    def lora(self) -> Path | None:
        """The file of the LoRA; None where `tuned` is a generator. ValueError for a run that has not ended."""
        return lora_file(self.tuned)

    @property
    def run(self) -> TuningRun | None:
        """The run that made the LoRA, where it is known."""
        return None if self.lora is None else tuning_run(self.lora)

    def settings(self) -> GeneratorSettings:
        """How to sample: as asked for, else as the run did, else as the bundled world or the folder of `base` says."""
        run = self.run
        if run is not None:
            run.expect_base(self.base)
        return as_asked(
            usual_settings(self.base, self.resolution) if run is None else run.generator,
            sampling_steps=self.steps,
            guidance=self.guidance,
            resolution=self.resolution,
            prompt_length=self.prompt_length,
            precision=self.precision,
        )

    def described(self) -> dict[str, str]:
        """The settings in words."""
        settings = self.settings()
        return {
            "steps": str(settings.sampling_steps),
            "guidance": f"{settings.guidance:g}",
            "resolution": str(settings.resolution),
            "prompt length": str(settings.prompt_length),
            "LoRA scale": f"{self.lora_scale:g}",
        }


class Sides:
    """Both generators, ready to be drawn from. One copy of the weights where the tuned one is a LoRA.

    Raises ValueError where `folder` holds pictures of other settings or of other weights, and for a LoRA that does not
    fit. Nothing is written before `draw`.
    """

    def __init__(self, pair: GeneratorPair, plan: PicturePlan, folder: Path, device: str) -> None:
        settings = pair.settings()
        self._folder, self._decides = folder, _decides(pair, settings, plan)
        _check_settings(folder, self._decides)
        self.base, self.left_out = _generator(pair.base, settings, device), 0
        if pair.lora is None:
            self._tuned = _generator(pair.tuned, settings, device)
            self._tuned_weights: Callable[[], AbstractContextManager[None]] = self._tuned.reference
        else:
            self.left_out = self.base.load_lora(pair.lora, pair.lora_scale, finite=False).of_text_encoders
            self._tuned, self._tuned_weights = self.base, nullcontext
        self.stored = {name: StoredSamples(folder, name, plan) for name in ("base", "tuned")}

    def draw(self, progress: TitledProgress) -> int:
        """Draw what is missing of both; returns how many blocks were there already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with one_writer(self._folder):
            write_json(self._folder / SETTINGS, self._decides)
            with progress("pictures drawn, base") as report:
                found = self.stored["base"].draw(self.base, self.base.reference, report)
            with progress("pictures drawn, tuned") as report:
                return found + self.stored["tuned"].draw(self._tuned, self._tuned_weights, report)


def _decides(pair: GeneratorPair, settings: GeneratorSettings, plan: PicturePlan) -> dict[str, object]:
    """All that decides the pictures, as plain values: weights by what their files hold, not by their names."""
    # Earlier versions said nothing of it, and their pictures stay good
    precision = {} if pair.precision is None else {"precision": pair.precision}
    return {
        **precision,
        "base": weights_of(pair.base),
        "tuned": weights_of(pair.tuned) if pair.lora is None else content_of(pair.lora),
        "lora-scale": pair.lora_scale,
        "prompts": list(plan.prompts),
        "images-per-prompt": plan.images,
        "seed": plan.seed,
        "steps": plan.steps,
        "guidance": settings.guidance,
        "resolution": settings.resolution,
        "prompt-length": settings.prompt_length,
        "batch-size": plan.batch_size,
    }


def weights_of(name: str) -> str:
    """A hash of what a generator's folder holds, and of its LoRA where a bundled one has one."""
    pretrained, lora = BUNDLED_LORAS.get(name, (name, None))
    found = content_of_folder(generator_folder(pretrained), (".safetensors", ".json", ".txt", ".model"))
    return found if lora is None else f"{found} {content_of_folder(lora)}"


def _check_settings(folder: Path, wanted: dict[str, object]) -> None:
    path = folder / SETTINGS
    if not path.is_file() or not any(folder.glob("*.npz")):
        return
    found = read_json_object(path)
    different = sorted(name for name in wanted if found.get(name) != wanted[name])
    if different:
        raise DinaError(f"{folder}: holds pictures of other {', '.join(different)}; give another --out")


def _generator(name: str, settings: GeneratorSettings, device: str) -> Generator:
    from dina_lrm.generators.load import loaded_generator

    return loaded_generator(replace(settings, pretrained=name, rank=1, alpha=1.0), device)
