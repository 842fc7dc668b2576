"""`dina-lrm cache info`: what made a cache, and what it holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from tyro.conf import Positional

from dina_lrm.cli.common import CommonArguments, console
from dina_lrm.screen import table_of


@dataclass
class Arguments(CommonArguments):
    """Say which generator made a cache, of what size its pictures are, and what it holds and misses.

    Tables are compared with their hashes, shards by their heads alone; `cache verify` reads them whole.

    Example:
        dina-lrm cache info cache
    """

    cache: Positional[Path]
    """The folder that `prepare` made."""


def run(arguments: Arguments) -> dict[str, object]:
    """Open the cache, show a table."""
    from dina_lrm.data.cache import EncodedComparisons

    data = EncodedComparisons.load(arguments.cache)
    header = data.header
    assert header is not None
    used = Counter(data.buckets.tolist())
    sizes = {f"{header.buckets[n].width}x{header.buckets[n].height}": count for n, count in sorted(used.items())}
    stored = sum(path.stat().st_size for path in arguments.cache.iterdir())
    rows: dict[str, object] = {
        "generator": header.backbone,
        "library version": header.library_version,
        "type": header.dtype,
        "pairs": f"{header.pairs}, {header.ties} of them ties",
        "pairs of each size": ", ".join(f"{size} ({count})" for size, count in sizes.items()),
        "images": data.images,
        "prompts": f"{len(data.prompts)}, {header.truncated_prompts} of them cut",
        "missing": f"{header.missing_pairs} pairs, {header.missing_images} images",
        "size": f"{stored / 2**20:.1f} MiB",
        "content": header.content,
    }
    console(arguments.quiet).print(table_of(("", ""), list(rows.items()), str(arguments.cache)))
    plain = asdict(header) | {"images": data.images, "prompts": len(data.prompts), "sizes": sizes, "bytes": stored}
    return {name: value for name, value in plain.items() if name != "buckets"}
