"""What a changed input honestly means, found out by other means than those of the library."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

from PIL import Image

from benchmarks.fuzzing.seedbed import FORMATS


def read_plainly(path: Path) -> list[dict[str, object]] | None:
    """The rows of a table by the readers of Python and pyarrow; None where they cannot read it."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return list(pq.read_table(path).to_pylist())
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        if path.suffix == ".json":
            return list(json.loads(text))
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [dict(row) for row in csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t")]
    except Exception:
        return None


def counts(folder: Path, name: str) -> str | None:
    """`data check`: rows, ties and prompts are those of the file, as far as it can be read."""
    rows, found = read_plainly(folder / name), json.loads((folder / "result.json").read_text())
    if rows is None:
        return None if found["problems"] or not found["rows"] else "no problem in a table that cannot be read"
    if found["rows"] != len(rows) and not found["problems"]:
        return f"{found['rows']} rows of {len(rows)}, and no problem"
    faults = sum(not _good(row, folder) for row in rows)
    if faults and not found["problems"]:
        return f"{faults} rows are bad, and no problem"
    ties = sum(_number(row.get("preference")) == 0.5 for row in rows if _good(row, folder))
    if not found["problems"] and found["ties"] != ties:
        return f"{found['ties']} ties of {ties}"
    return None


def filtered(folder: Path, name: str) -> str | None:
    """`data filter --deduplicate`: every row that is kept stands in the file, with its label."""
    rows, kept = read_plainly(folder / name), read_plainly(folder / "out.jsonl")
    if rows is None or kept is None:
        return "a table that cannot be read was filtered"
    known = {_identity(row) for row in rows}
    strange = [row for row in kept if _identity(row) not in known]
    return f"a row that is not in the file: {strange[0]}" if strange else None


def _identity(row: dict[str, object]) -> tuple[str, str, float | None]:
    return str(row.get("prompt")), Path(str(row.get("image_a") or "")).name, _number(row.get("preference"))


def measured(folder: Path, name: str) -> str | None:
    """`evaluate`: as many pairs are measured or missing as the file has rows."""
    rows, found = read_plainly(folder / name), json.loads((folder / "result.json").read_text())
    if rows is None:
        return "a table that cannot be read was evaluated"
    sets = [one for result in found["results"] for one in result["sets"]]
    pairs = [one["pairs"] for one in sets]
    return None if pairs == [len(rows)] else f"{pairs} pairs of {len(rows)} rows"


def scored(folder: Path, name: str) -> str | None:
    """`score`: the changed picture is left out with a reason, or has the score of the pixels that Pillow reads."""
    with (folder / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = {Path(row["image"]).name: row for row in csv.DictReader(file)}
    if name not in rows:
        return f"{name} is not in the table"
    try:
        with Image.open(folder / "images" / name, formats=[*FORMATS.values(), "MPO"]) as image:
            image.load()
            if image.size != (32, 32) or image.mode not in ("RGB", "P", "L"):
                return None
            pixels = image.convert("RGB")
    except Exception as error:
        return f"Pillow cannot read {name} ({error}), and it has a score"
    from dina_lrm.reward_model.model import LatentRewardModel

    plain = folder / "plain.png"
    pixels.save(plain)
    wanted = float(LatentRewardModel.from_pretrained("synthetic").score([plain], "a red square")[0])
    plain.unlink()
    got = float(rows[name]["score"])
    return None if abs(got - wanted) < 1e-3 else f"{name} has the score {got}, its pixels {wanted}"


def finite(folder: Path) -> str | None:
    """`compare`: numbers, where a result was given."""
    path = folder / "result.json"
    if not path.exists():
        return None
    found = json.loads(path.read_text())
    values = [found["probability_a"], *(row["score"] for row in found["images"])]
    good = all(isinstance(value, float) and math.isfinite(value) for value in values)
    return None if good else f"{values} is given as a result"


def trained(folder: Path) -> str | None:
    """`train`: every loss that is written down is a number."""
    for path in folder.glob("*/metrics.jsonl"):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if "loss" in row and not (isinstance(row["loss"], float) and math.isfinite(row["loss"])):
                return f"{path.name}: loss {row['loss']}"
    return None


def _good(row: object, folder: Path) -> bool:
    if not isinstance(row, dict):
        return False
    preference = _number(row.get("preference"))
    images = [row.get(side) for side in ("image_a", "image_b")]
    return (
        preference is not None
        and 0 <= preference <= 1
        and isinstance(row.get("prompt"), str)
        and bool(str(row["prompt"]).strip())
        and all(isinstance(image, str) and _is_file(folder / image) for image in images)
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _number(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except ValueError:
        return None
