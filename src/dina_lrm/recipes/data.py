"""The comparisons of a run, from the word a user gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dina_lrm.backbones.base import Backbone
from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.data.buckets import Sizes
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.remote.addresses import shown_address
from dina_lrm.data.encoding.comparisons import encode_comparisons
from dina_lrm.data.run_cache import check_unchanged, is_cache
from dina_lrm.data.sources import is_hub, read_comparisons
from dina_lrm.reward_model.assembly import backbone_of
from dina_lrm.runs.folder import CONFIG
from dina_lrm.runs.processes import join_processes
from dina_lrm.synthetic.comparisons import training_comparisons
from dina_lrm.synthetic.encoding import encode
from dina_lrm.training.assemble import reward_model_config
from dina_lrm.training.config import TrainConfig
from dina_lrm.training.holding_out import usual_fraction
from dina_lrm.training.run_folder import stored_run
from dina_lrm.typed import DinaError

IMAGES_PER_PROMPT = 8
_FEW_PROMPTS = 36
"""Prompts of the synthetic world that a run is measured on where nothing is said: a thousand pairs."""


@dataclass(frozen=True)
class LoadedData:
    """What a run is trained and measured on: `config` says which share of `pairs` is held out, where one is."""

    config: TrainConfig
    pairs: EncodedComparisons
    held_out: EncodedComparisons | None
    held_from: str
    """Where the held-out pairs come from that are none of the others."""


@dataclass(frozen=True)
class RunData:
    """The comparisons of a run, as a command names them.

    `data` and `validation` are names as `data_for` has them. Without a `validation`, and where the settings ask for no
    share of the data, a tenth is held out where there are 200 pairs (of the synthetic world: other prompts); "none"
    holds nothing out.
    """

    data: str
    validation: str | None = None
    synthetic_prompts: int | None = None
    columns: Mapping[str, str] | None = None
    encoders: EncoderSettings = EncoderSettings()  # noqa: RUF009 - it is frozen
    """How text encoders are held while comparisons are encoded."""

    def load(
        self, config: TrainConfig, folder: Path | None, resume: bool, progress: Callable[[int, int], None] | None = None
    ) -> LoadedData:
        """Encode what is not encoded yet, beside the run in `folder`; in memory where that is None.

        A run that goes on holds out what it began with.
        """
        if config.validation_by != "auto" and self.validation is not None:
            told = f"validation_by {config.validation_by}: has no effect with --validation"
            told = f"{told} {shown_address(self.validation)}"
            raise DinaError(f"{told}; accepted where a share of --data is held out")
        prompts = self.synthetic_prompts or 2_000
        cache, other = (None, None) if folder is None else (folder / "cache", folder / "validation-cache")
        pairs = data_for(config, self.data, cache, prompts, progress, 0, self.columns, self.encoders)
        config = with_sizes_of(pairs, config, shown_address(self.data), resume)
        if self.validation not in (None, "none"):
            name, tenth = str(self.validation), max(prompts // 10, 1)
            held = data_for(config, name, other, tenth, progress, 1, self.columns, self.encoders)
            return LoadedData(config, pairs, held, f"of {shown_address(name)}")
        if self.validation == "none" or config.validation_fraction > 0:
            return LoadedData(config, pairs, None, "")
        if self.data == "synthetic" and config.validation_by == "auto":
            few = min(max(prompts // 10, 1), _FEW_PROMPTS)
            held = data_for(config, self.data, None, few, progress, 1, encoders=self.encoders)
            return LoadedData(config, pairs, held, f"of {few} other prompts of the synthetic world")
        share = usual_fraction(len(pairs))
        if folder is not None and resume and (folder / CONFIG).is_file():
            share = stored_run(folder).train.get("validation_fraction", 0.0)
        return LoadedData(replace(config, validation_fraction=share), pairs, None, "")


def data_for(
    config: TrainConfig,
    name: str,
    cache: Path | None = None,
    synthetic_prompts: int = 2_000,
    progress: Callable[[int, int], None] | None = None,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    encoders: EncoderSettings | None = None,
) -> EncodedComparisons:
    """Encoded comparisons for the backbone of `config`.

    `name` is a cache folder, or the address of one; a table of comparisons in any layout, the folder of one or
    "hub:OWNER/NAME", which is encoded into `cache` (in memory when None) unless that was done before; or "synthetic":
    comparisons made by the renderer, a function of the run's seed and `seed`. `columns` says where values stand in a
    table with other columns; `encoders` how text encoders are held where there is anything to encode.
    Raises ValueError for a cache of another backbone, FileNotFoundError where there is nothing of that name.
    """
    if name == "synthetic":
        return _synthetic(config, synthetic_prompts, progress, seed, encoders)
    wanted = reward_model_config(config).backbone
    path = Path(name)
    if is_cache(name):
        return EncodedComparisons.load(name, wanted)
    if not (is_hub(name) or path.exists()):
        raise FileNotFoundError(
            f"--data {name}: no such file; give a cache folder or its address, a file of comparisons or "
            '"synthetic", or hub:ID'
        )
    # One process encodes; the others wait and read what it wrote
    with join_processes().main_process_first():
        if cache is not None:
            check_unchanged(name, cache, columns)
            if cache.is_dir():
                return EncodedComparisons.load(cache, wanted)
        comparisons = read_comparisons(path, columns=columns)
        backbone = encoding_backbone(config, encoders)
        return encode_comparisons(comparisons, backbone, cache, resolution=config.model.sizes, progress=progress)


def with_sizes_of(pairs: EncodedComparisons, config: TrainConfig, where: str, resume: bool = False) -> TrainConfig:
    """The run of `config` at the sizes that the pictures of `pairs` have, so that its model scores others at them too.

    Raises ValueError where the run's settings say others, with both; a run that goes on (`resume`) and was begun by an
    earlier version, which let pictures of another resolution pass, still may.
    """
    wanted, model = None if pairs.header is None else pairs.header.wanted_sizes, config.model
    if wanted is None or pairs.header is None or wanted.same_as(model.sizes):
        return config
    if wanted.resolution is not None:
        if resume:
            return config
        way = f"--model.resolution {wanted.resolution}"
    else:
        sizes = Sizes.of_model(0, [f"{width}x{height}" for width, height in pairs.header.sizes])
        if not model.buckets or sizes.same_as(model.sizes):
            return replace(config, model=replace(model, buckets=sizes.words))
        way = f"--model.buckets {' '.join(sizes.words)}, or none"
    raise DinaError(
        f"{where}: holds pictures of {wanted}, and the model would score them at {model.sizes}; accepted: {way}, or a "
        "cache of those sizes"
    )


def encoding_backbone(config: TrainConfig, encoders: EncoderSettings | None = None) -> Backbone:
    """The generator of `config` on this process's device, for its encoders."""
    backbone = backbone_of(reward_model_config(config), device=join_processes().device)
    backbone.hold_encoders(encoders or EncoderSettings())
    return backbone


def _synthetic(
    config: TrainConfig,
    prompts: int,
    progress: Callable[[int, int], None] | None,
    seed: int,
    encoders: EncoderSettings | None,
) -> EncodedComparisons:
    # Validation comparisons (seed > 0) must never be those of some other run's training
    made = training_comparisons(prompts, IMAGES_PER_PROMPT, seed=config.seed + 500_000 * seed)
    by_name = bool(config.model.scores)
    return encode(made, encoding_backbone(config, encoders), progress=progress, by_name=by_name)
