"""`dina-lrm prepare`: comparisons in, a cache of latents and conditioning out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import FlagCreatePairsOff, Positional

from dina_lrm.cli.common import CommonArguments, UserError, chosen_device, console, progress
from dina_lrm.cli.data_check import mapping, say_left_out
from dina_lrm.runs.places import check_folder

if TYPE_CHECKING:
    from dina_lrm.data.cache import EncodedComparisons
    from dina_lrm.data.cache_format import CacheHeader
    from dina_lrm.data.comparison import Comparison


@dataclass
class Arguments(CommonArguments):
    """Encode every image and prompt of a comparison file or a published data set once, for training and evaluation.

    All rows are checked before anything is encoded. A run that was stopped goes on when the same command is given.

    Examples:
        dina-lrm prepare comparisons.jsonl --backbone synthetic --out cache
        dina-lrm prepare HPDv3 --source hpdv3 --split train --backbone SD35 --out cache
    """

    comparisons: Positional[Path]
    """What to encode: JSONL, JSON, CSV or Parquet with prompt, image_a, image_b, preference; the folder of a data
    set."""
    backbone: str
    """The generator: "synthetic", a folder, or a Hugging Face Hub id."""
    out: Path
    """The cache's folder; it must not exist."""
    source: str = "ours"
    """Which data set it is: ours, hpdv3, hpdv2, imagereward, genai-bench, pick-a-pic, rankings or
    released-latents."""
    split: str | None = None
    """Which split of a data set; by default its test split."""
    images: Path | None = None
    """Folder that image paths are relative to, when it is not that of the table."""
    ignore_columns: list[str] = field(default_factory=list)
    """Columns of the file to leave out."""
    columns: str | None = None
    """Where our columns stand in a table with others, as for `data check`."""
    shuffle_sides: FlagCreatePairsOff[bool] = False
    """Swap the two images of each comparison on a fair coin: for files that list the preferred image first."""
    seed: int = 0
    """Of that coin, and of the sides of published pairs."""
    resolution: int | None = None
    """Side of the square image bucket in pixels; by default that of the generator."""
    prompt_length: int | None = None
    """Tokens of the long text encoder; by default 128 where the generator has one."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """How latents and conditioning are stored."""
    on_bad: Literal["skip", "raise"] = "skip"
    """Leave comparisons with an unreadable image out, and list them; or stop at the first."""
    batch_size: int = 16
    """Images or prompts encoded at once."""
    revision: str | None = None
    """Of a hub id."""
    device: str | None = None
    """Where to compute; by default the first GPU, else the CPU."""


def run(arguments: Arguments) -> dict[str, object]:
    """Check, encode, and say what the cache holds."""
    from dina_lrm.data.unfinished import check_free

    check_free(arguments.out)
    check_folder("--out", arguments.out.parent)
    from dina_lrm.data.sources import read_comparisons, tables_left_out

    columns = mapping(arguments.columns, arguments.source)
    unread = tables_left_out(arguments.source, arguments.comparisons, arguments.split)

    def comparisons() -> Iterator[Comparison]:
        given = (arguments.comparisons, arguments.source, arguments.ignore_columns)
        return read_comparisons(*given, arguments.split, arguments.images, arguments.seed, columns)

    total = sum(1 for _ in comparisons())
    if total == 0:
        raise UserError(f"{arguments.comparisons}: holds no comparisons")
    data, not_read = _encode(arguments, comparisons(), total)
    header = data.header
    assert header is not None
    shown = console(arguments.quiet)
    shown.print(
        f"{header.pairs} comparisons ({header.ties} ties) of {data.images} images and {len(data.prompts)} prompts in "
        f"{arguments.out}",
    )
    say_left_out(unread, shown)
    if header.missing_pairs:
        shown.print(
            f"{header.missing_pairs} comparisons are missing: {header.missing_images} images cannot be read, such as "
            f"{data.missing[0].reason}; all are listed in {arguments.out / 'missing.parquet'}",
        )
    if header.truncated_prompts:
        cut = next(filter(None, data.truncated))
        shown.print(f"{header.truncated_prompts} prompts were cut, such as by {cut}")
    if not_read:
        shown.print(f"{len(not_read)} prompts are not read whole, such as {not_read[0]}")
    return _result(arguments, data, header) | {"tables_left_out": unread, "unread_prompts": len(not_read)}


def _encode(
    arguments: Arguments, comparisons: Iterable[Comparison], total: int
) -> tuple[EncodedComparisons, list[str]]:
    """The cache, and what the generator's tokenizers cannot read in its prompts."""
    import torch

    from dina_lrm.data.comparison import shuffle_sides
    from dina_lrm.data.encoders import encoding_backbone, native_resolution
    from dina_lrm.data.encoding import encode_comparisons

    if arguments.shuffle_sides:
        comparisons = shuffle_sides(comparisons, arguments.seed)
    device = chosen_device(arguments.device)
    backbone = encoding_backbone(arguments.backbone, arguments.prompt_length, arguments.revision, device)
    with progress("encoding", arguments.quiet) as report:
        data = encode_comparisons(
            comparisons,
            backbone,
            arguments.out,
            resolution=native_resolution(backbone) if arguments.resolution is None else arguments.resolution,
            batch_size=arguments.batch_size,
            dtype=getattr(torch, arguments.dtype),
            on_bad=arguments.on_bad,
            total=total,
            progress=report,
        )
    return data, [told for told in backbone.unread_prompts(data.prompts) if told is not None]


def _result(arguments: Arguments, data: EncodedComparisons, header: CacheHeader) -> dict[str, object]:
    used = Counter(data.buckets.tolist())
    return {
        "cache": arguments.out,
        "backbone": asdict(header.backbone),
        "resolution": header.resolution,
        "dtype": header.dtype,
        "content": header.content,
        "pairs": header.pairs,
        "ties": header.ties,
        "images": data.images,
        "prompts": len(data.prompts),
        "truncated_prompts": header.truncated_prompts,
        "missing_pairs": header.missing_pairs,
        "missing_images": header.missing_images,
        "buckets": {f"{header.buckets[n].width}x{header.buckets[n].height}": used[n] for n in sorted(used)},
    }
