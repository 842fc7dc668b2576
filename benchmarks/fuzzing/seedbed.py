"""Good inputs, made once by the commands themselves: what every bad one is a copy of."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from dina_lrm.cli.main import main
from dina_lrm.locate import BUNDLED, BUNDLED_LORAS

FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tiff": "TIFF"}
TABLES = ("csv", "tsv", "json", "jsonl", "parquet")
COLOURS = ("red", "green", "blue", "yellow", "black", "orange")
TINY = ("--steps", "2", "--batch-size", "4", "--log.checkpoint-every", "1")


def build(folder: Path) -> None:
    """Pictures of every format, a table of comparisons in every format, a model, a cache, a run, a LoRA."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (suffix, name) in enumerate(FORMATS.items()):
        picture(folder / f"{COLOURS[number]}.{suffix}", COLOURS[number], name)
    for name, colour in (("a.png", "red"), ("b.png", "blue"), ("c.png", "green"), ("d.png", "black")):
        picture(folder / "images" / name, colour)
    for suffix in TABLES:
        write_table(folder / f"comparisons.{suffix}", comparisons())
    (folder / "prompts.txt").write_text("a red square\na blue circle\n\u00e9toile \u2b50\n", encoding="utf-8")
    shutil.copytree(BUNDLED["synthetic"]["reward_model"], folder / "model")
    shutil.copytree(BUNDLED_LORAS["synthetic-uncurated"][1], folder / "lora")
    run("prepare", folder / "comparisons.jsonl", "--backbone", "synthetic", "--out", folder / "cache")
    run("train", "synthetic", "--data", folder / "cache", "--out", folder / "run", *TINY)


def run(*words: str | Path) -> None:
    """A command that must succeed."""
    code = main([*map(str, words), "--quiet"])
    assert code == 0, f"a good input is refused: {words}"


def picture(path: Path, colour: str, format: str = "PNG") -> None:
    """A coloured square on white, 32 pixels wide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (32, 32), "white")
    ImageDraw.Draw(image).rectangle((6, 6, 24, 24), fill=colour)
    image.save(path, format=format)


def comparisons() -> list[dict[str, object]]:
    """Twelve rows over four pictures, every one of them accepted."""
    names = ("images/a.png", "images/b.png", "images/c.png", "images/d.png")
    pairs = [(one, other) for one in names for other in names if one != other]
    return [
        {"prompt": f"a {COLOURS[n % 6]} square", "image_a": one, "image_b": other, "preference": (1.0, 0.0, 0.5)[n % 3]}
        for n, (one, other) in enumerate(pairs)
    ]


def write_table(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """The rows in the format that the name's ending says."""
    suffix = path.suffix[1:]
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif suffix == "json":
        path.write_text(json.dumps(list(rows)), encoding="utf-8")
    elif suffix == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="," if suffix == "csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
