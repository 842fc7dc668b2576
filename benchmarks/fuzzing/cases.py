"""A bad input of each kind: how it is made, and what may become of it."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzzing import honest, options, seedbed
from benchmarks.fuzzing.mutations import NAMES, WORDS, damage_file, damage_json

FINE, REFUSED = frozenset({0, 1, 2}), frozenset({2})
SCORE = ("score", "--images", "images", "--model", "synthetic", "--prompts", "a red square", "--out", "out.csv")
COMPARE = ("compare", "images/a.png", "images/b.png", "--prompt", "a red square")
SAMPLE = ("sample", "-n", "1", "--steps", "2", "--out", "out", "--prompts", "a red square")
TRAIN = ("train", "synthetic", "--out", "out", *seedbed.TINY)


@dataclass(frozen=True)
class Case:
    """Words of a command line in a folder of inputs, and what is right for them.

    A refusal must mention one of `names`, where there are any; `honest` says what is wrong with a result that was
    given with exit code 0, as it is what the changed input does not mean.
    """

    words: Sequence[str]
    told: str
    codes: frozenset[int] = FINE
    names: tuple[str, ...] = ()
    honest: Callable[[Path], str | None] | None = None


def make(kind: str, bed: Path, folder: Path, rng: random.Random) -> Case:
    """A case of a kind, in a new folder that holds copies of what it reads."""
    folder.mkdir(parents=True)
    return KINDS[kind](bed, folder, rng)


def _copy(bed: Path, folder: Path, *names: str) -> None:
    for name in names:
        if (bed / name).is_dir():
            shutil.copytree(bed / name, folder / name)
        else:
            shutil.copy2(bed / name, folder / name)


def _option(bed: Path, folder: Path, rng: random.Random) -> Case:
    _copy(bed, folder, "images", "comparisons.jsonl", "model", "cache", "prompts.txt")
    return Case(*options.nonsense(rng))


def _words(bed: Path, folder: Path, rng: random.Random) -> Case:
    _copy(bed, folder, "images", "comparisons.jsonl", "model", "cache", "prompts.txt")
    return Case(*options.misspelt(rng))


def _table(bed: Path, folder: Path, rng: random.Random) -> Case:
    suffix = rng.choice(seedbed.TABLES)
    name = f"comparisons.{suffix}"
    _copy(bed, folder, "images", name)
    told = damage_file(folder / name, rng) if rng.random() < 0.4 else _bad_cell(folder / name, rng)
    reader = rng.choice(("check", "check", "filter", "evaluate"))
    if reader == "check":
        words: list[str] = ["data", "check", name, "--json", "result.json"]
        return Case(words, told, names=(name,), honest=lambda place: honest.counts(place, name))
    if reader == "filter":
        words = ["data", "filter", name, "--deduplicate", "--out", "out.jsonl"]
        return Case(words, told, names=(name,), honest=lambda place: honest.filtered(place, name))
    words = ["evaluate", "sharpness", "--on", name, "--json", "result.json", "--out", "out"]
    return Case(words, told, names=(name, "comparisons"), honest=lambda place: honest.measured(place, name))


def _bad_cell(path: Path, rng: random.Random) -> str:
    """Write the table with one cell, one row or one column that is bad."""
    rows = seedbed.comparisons()
    number, column = rng.randrange(len(rows)), rng.choice(list(rows[0]))
    action = rng.choice(("cell", "cell", "cell", "row left out", "row twice", "column left out", "column more"))
    if action == "cell":
        value: object = rng.choice((*WORDS, *seedbed.COLOURS, "images", "images/none.png"))
        if path.suffix in (".json", ".jsonl") and rng.random() < 0.5:
            value = rng.choice((None, [], {}, 0, 0.3, 7, True, float("nan"), 10**40))
        rows[number][column] = value
        action = f"row {number + 1}, {column} = {value!r:.60}"
    elif action == "row left out":
        del rows[number]
    elif action == "row twice":
        rows.append(rows[number])
    else:
        for row in rows:
            row["more"] = 1
            if action == "column left out":
                del row["more"], row[column]
    try:
        seedbed.write_table(path, rows)
    except Exception:  # a value that the format cannot hold
        seedbed.write_table(path, seedbed.comparisons()[1:])
        action = "row left out"
    return f"{path.name}: {action}"


def _prompts(bed: Path, folder: Path, rng: random.Random) -> Case:
    _copy(bed, folder, "images", "prompts.txt")
    lines = (folder / "prompts.txt").read_text(encoding="utf-8").splitlines()
    if rng.random() < 0.5:
        told = damage_file(folder / "prompts.txt", rng)
    else:
        lines.insert(rng.randrange(4), told := rng.choice(WORDS))
        (folder / "prompts.txt").write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    words = rng.choice((SCORE, SAMPLE))
    given = {"a red square": "prompts.txt"}
    return Case([given.get(word, word) for word in words], f"prompts.txt: {told!r:.60}", names=("prompt",))


def _picture(bed: Path, folder: Path, rng: random.Random) -> Case:
    _copy(bed, folder, "images")
    number = rng.randrange(len(seedbed.FORMATS))
    name = f"{seedbed.COLOURS[number]}.{list(seedbed.FORMATS)[number]}"
    shutil.copy2(bed / name, folder / "images" / name)
    told = damage_file(folder / "images" / name, rng) if rng.random() < 0.8 else _bomb(folder / "images" / name, rng)
    if rng.random() < 0.3:
        words: tuple[str, ...] = ("compare", f"images/{name}", "images/b.png", "--prompt", "a red square")
        return Case([*words, "--json", "result.json"], told, names=(name,))
    return Case(SCORE, told, names=(name, "out.csv"), honest=lambda place: honest.scored(place, name))


def _bomb(path: Path, rng: random.Random) -> str:
    """A picture of few bytes and many pixels."""
    from PIL import Image

    size = rng.choice(((1, 400_000), (400_000, 1), (12_000, 12_000), (0xFFFF, 30), (60_000, 60_000)))
    if size[0] * size[1] > 2 * 10**8:
        _huge_png(path, size)
    else:
        Image.new("1", size).save(path, format="PNG")
    return f"{path.name}: {size[0]} x {size[1]} pixels"


def _huge_png(path: Path, size: tuple[int, int]) -> None:
    """A PNG whose head claims more than its data hold."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(10_000))), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def _model(bed: Path, folder: Path, rng: random.Random) -> Case:
    _copy(bed, folder, "images", "model")
    path = rng.choice(sorted(path for path in (folder / "model").rglob("*") if path.is_file() and path.suffix != ".md"))
    told = _damage(path, rng)
    words = rng.choice(([*COMPARE, "--model", "model", "--json", "result.json"], ["convert", "model", "out"]))
    return Case(words, told, names=("model",), honest=honest.finite)


def _damage(path: Path, rng: random.Random) -> str:
    if path.suffix == ".json" and rng.random() < 0.7:
        return damage_json(path, rng)
    if rng.random() < 0.1:
        path.unlink()
        return f"{path.name}: removed"
    return damage_file(path, rng)


def _lora(bed: Path, folder: Path, rng: random.Random) -> Case:
    _copy(bed, folder, "lora")
    told = _damage(rng.choice(sorted(path for path in (folder / "lora").rglob("*.*") if path.suffix != ".md")), rng)
    return Case([*SAMPLE, "--lora", "lora"], told, names=("lora",))


def _cache(bed: Path, folder: Path, rng: random.Random) -> Case:
    _copy(bed, folder, "cache")
    path = rng.choice(sorted(path for path in (folder / "cache").rglob("*") if path.is_file()))
    told = _damage(path, rng)
    changed = not path.is_file() or path.read_bytes() != (bed / path.relative_to(folder)).read_bytes()
    weighs = changed and path.suffix != ".json"
    words = rng.choice(([*TRAIN, "--data", "cache"], ["evaluate", "synthetic", "--on", "cache", "--out", "out"]))
    return Case(words, told, REFUSED if weighs else FINE, ("cache",), honest.trained)


def _run(bed: Path, folder: Path, rng: random.Random) -> Case:
    _copy(bed, folder, "cache", "run")
    suffixes = (".json", ".jsonl", ".safetensors", ".pt")
    path = rng.choice(sorted(path for path in (folder / "run").rglob("*") if path.suffix in suffixes))
    told = f"{path.parent.name}/{_damage(path, rng)}"
    words = ["train", "synthetic", "--data", "cache", "--out", "run", *seedbed.TINY, "--steps", "3", "--resume"]
    return Case(words, told, names=("run",), honest=honest.trained)


def _name(bed: Path, folder: Path, rng: random.Random) -> Case:
    _copy(bed, folder, "images", "comparisons.jsonl", "prompts.txt")
    name = rng.choice(NAMES)
    place = folder / name
    if rng.random() < 0.6 and len(name) < 200:
        place.parent.mkdir(parents=True, exist_ok=True)
        rng.choice((place.mkdir, lambda: shutil.copy2(folder / "images" / "a.png", place), place.touch))()
    return Case(*options.named(name, rng), names=())


KINDS: dict[str, Callable[[Path, Path, random.Random], Case]] = {
    "option": _option,
    "word": _words,
    "name": _name,
    "table": _table,
    "prompts": _prompts,
    "picture": _picture,
    "model": _model,
    "lora": _lora,
    "cache": _cache,
    "run": _run,
}
