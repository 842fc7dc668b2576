"""`dina-lrm cache info`: what made a cache, and what it holds."""

from __future__ import annotations

from dataclasses import asdict

from dina_lrm.cli.arguments.cache_info import Arguments
from dina_lrm.console.common import console
from dina_lrm.data.cache import EncodedComparisons
from dina_lrm.screen import table_of


def run(arguments: Arguments) -> dict[str, object]:
    """Open the cache, show a table."""
    data = EncodedComparisons.load(arguments.cache)
    header = data.header
    assert header is not None
    sizes = data.sizes()
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
