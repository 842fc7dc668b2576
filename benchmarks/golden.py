"""Golden values: the numbers of the whole path on the bundled world, to hold one tree against another bit for bit.

Each part runs commands as a user would and keeps what their files say: scores, losses, hashes of tensors, an
evaluation, without what was measured of the run itself. On one machine and with one thread two runs are equal to the
last bit, so that a change which alters no numbers can show that it does not:

    OMP_NUM_THREADS=1 python -m benchmarks.golden --write golden.json     # before the change
    OMP_NUM_THREADS=1 python -m benchmarks.golden --compare golden.json   # after it; exits with 1 when anything differs

`tests/golden/` holds such a file, which the tests compare to a tolerance since processors round differently, beside a
model, a cache and two runs that were stopped half way: all later versions read them and go on with them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

STORED = Path(__file__).resolve().parents[1] / "tests" / "golden"
"""Folders that an earlier version wrote, and the values that it found."""
VALUES = STORED / "golden.json"
PROMPTS = ("a small red ring on white", "two large blue bars on black", "a large green square on grey")
MEASURED = re.compile(r"second|memory|environment|command|version|^arguments$")
"""Keys of JSON whose values are of the run and not of the result."""
HASHED = re.compile(r"hash$|sha256$")
"""Keys of JSON whose values another processor's rounding changes altogether."""
_TRAIN = "train {recipe} --batch-size 4 --log.log-every 1 --log.trackers --quiet"
_SMALL = (
    "--model.depth 3 --model.visual-taps 1 3 --model.text-taps 1 2 --model.head.width 16 "
    "--model.head.attention-heads 2 --model.head.queries 2 --adaptation.rank 2 --adaptation.alpha 4"
)
_SMALLEST = (
    "--model.depth 1 --model.visual-taps 1 --model.text-taps 1 --model.head.width 4 --model.head.attention-heads 1 "
    "--model.head.queries 1 --adaptation.rank 1 --adaptation.alpha 2 --log.checkpoint-every 2 "
    "--log.keep-last 2 --steps 4"
)
_POOLED = "--model.pooled.width 8 --adaptation.rank 1 --steps 2"
_U_NET = "--model.head.width 16 --model.head.attention-heads 2 --model.head.queries 2 --adaptation.rank 1"
_ALIGN = (
    "align {algorithm} {recipe} --prompts {prompts} --micro-batch 2 --steps 2 --generator.rank 1 "
    "--generator.alpha 2 --generator.sampling-steps 3 --looks.prompts 1 --looks.images 1 --looks.every 2 "
    "--looks.golden None --checkpoint-every 1 --device cpu --quiet"
)
_ALGORITHMS = {
    "refl": "--batch-size 4 --refl.first 1 --refl.last 2",
    "flow-grpo": "--batch-size 4 --grpo.group 2 --grpo.window-steps 2",
    "lpo": "--batch-size 2 --lpo.candidates 3 --lpo.low 0 --lpo.high 0.01",
    "dpo": "--batch-size 2 --dpo.prompts 2 --dpo.candidates 2",
}
Json = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A working folder, and what several parts read there."""

    folder: Path

    @cached_property
    def pairs(self) -> Path:
        """Rendered comparisons of six pictures for two prompts, as files."""
        dina_lrm(f"synthetic generate --prompts 2 --images 3 --out {quoted(self.folder / 'pairs')} --quiet")
        return self.folder / "pairs"

    @cached_property
    def prompts(self) -> Path:
        """A text file with a prompt a line."""
        path = self.folder / "prompts.txt"
        path.write_text("\n".join(PROMPTS) + "\n")
        return path

    def train(self, recipe: str, options: str, data: Path, out: Path) -> Json:
        """Go on with a run of training, or start it, and say what came of it."""
        words = _TRAIN.format(recipe=recipe)
        dina_lrm(f"{words} {options} --data {quoted(data)} --out {quoted(out)} --resume")
        return _of_training(out)

    def align(self, algorithm: str, recipe: str, out: Path) -> Json:
        """Go on with two updates of a LoRA of rank 1, or start them, and say what came of them."""
        words = _ALIGN.format(algorithm=algorithm, recipe=recipe, prompts=quoted(self.prompts))
        dina_lrm(f"{words} {_ALGORITHMS[algorithm]} --out {quoted(out)} --resume")
        return _of_alignment(out)

    def begun(self, name: str) -> Path:
        """A copy of a run that an earlier version began: of all it wrote, or of its settings alone."""
        out = self.folder / name
        shutil.copytree(STORED / name, out)
        return out


def quoted(path: Path) -> str:
    """A path as one word of a command line."""
    return shlex.quote(str(path))


def dina_lrm(line: str) -> None:
    """Run a command of `dina-lrm` in this process. Raises RuntimeError where it does not end well."""
    from dina_lrm.cli.main import main as command

    code = command(shlex.split(line))
    if code:
        raise RuntimeError(f"dina-lrm {line}: exits with {code}")


def pictures(place: Place) -> Json:
    """Rendered pictures and their votes."""
    return {
        "comparisons": _json_lines(place.pairs / "comparisons.jsonl"),
        "images": {path.name: _of_picture(path) for path in sorted((place.pairs / "images").iterdir())},
    }


def encodings(place: Place) -> Json:
    """What the bundled generator's encoders make of pictures and prompts."""
    from safetensors.torch import load_file

    from dina_lrm.data.cache.prompt_layout import conditioning_tensors, unpacked

    out, table = place.folder / "cache", place.pairs / "comparisons.jsonl"
    words = f"--backbone synthetic --dtype float32 --out {quoted(out)} --quiet"
    dina_lrm(f"prepare {quoted(table)} {words}")
    found = {}
    for path in sorted(out.rglob("*.safetensors")):
        tensors = load_file(path)
        if path.parent.name == "prompts":  # however they are laid out
            tensors = conditioning_tensors(unpacked(tensors))
        # Called as in format 1, whose names the stored numbers have
        found[path.relative_to(out).as_posix().replace("/", "-")] = _of_named(tensors)
    return found


def scores(place: Place) -> Json:
    """The bundled reward model at three noise levels and as an ensemble."""
    return _scores("synthetic", place)


def training(place: Place) -> Json:
    """Ten steps of a small model on the stored cache."""
    return place.train("synthetic", f"{_SMALL} --steps 10", STORED / "cache", place.folder / "run")


def training_of_pooled_maps(place: Place) -> Json:
    """Two steps of LRM on the stored cache: another head, objective and choice of noise levels."""
    return place.train("synthetic-lrm", _POOLED, STORED / "cache", place.begun("training-of-pooled-maps"))


def training_on_the_u_net(place: Place) -> Json:
    """Two steps on a generator that is no flow, of pictures that are encoded on the way."""
    data = place.pairs / "comparisons.jsonl"
    return place.train("synthetic-unet", f"{_U_NET} --steps 2", data, place.folder / "run-u-net")


def alignment(algorithm: str) -> Callable[[Place], Json]:
    """The part of one algorithm: two updates of a LoRA, with looks."""
    return lambda place: place.align(algorithm, "synthetic", place.begun(f"align-{algorithm}"))


def best_of_two(place: Place) -> Json:
    """Samples of the bundled generator, of which the reward chooses."""
    out = place.folder / "samples"
    given = f"--prompts {quoted(place.prompts)} --n 2 --steps 4 --guidance 1 --device cpu"
    dina_lrm(f"sample {given} --out {quoted(out)} --quiet")
    chosen = {path.name: _of_picture(path) for path in sorted(out.glob("*.png")) if path.name != "sheet.png"}
    return {"samples": _json(out / "samples.json"), "chosen": chosen}


def evaluation(place: Place) -> Json:
    """A latent reward model and a measure of pixels on a test set."""
    out = place.folder / "evaluation"
    given = "--on synthetic:in_domain --pairs 24 --levels 0.2,0.4 --ensemble 0.2,0.4 --device cpu"
    dina_lrm(f"evaluate synthetic sharpness {given} --out {quoted(out)} --quiet")
    return _json(out / "evaluation.json")


def comparison_of_generators(place: Place) -> Json:
    """Two bundled generators side by side."""
    out = place.folder / "generators"
    given = f"--prompts {quoted(place.prompts)} --rewards cnn --images-per-prompt 2 --steps 4 --device cpu"
    dina_lrm(f"evaluate-generator synthetic-uncurated synthetic {given} --out {quoted(out)} --quiet")
    return _json(out / "evaluation.json")


def stored_model(place: Place) -> Json:
    """Scores of the model that an earlier version wrote."""
    return _scores(str(STORED / "model"), place)


def resumed_training(place: Place) -> Json:
    """The last two steps of a run that an earlier version began."""
    return place.train("synthetic", _SMALLEST, STORED / "cache", place.begun("training"))


def resumed_alignment(place: Place) -> Json:
    """The second update of a run that an earlier version began."""
    return place.align("refl", "synthetic-unet", place.begun("alignment"))


PARTS: Mapping[str, Callable[[Place], Json]] = {
    "pictures": pictures,
    "encodings": encodings,
    "scores": scores,
    "training": training,
    "training of pooled maps": training_of_pooled_maps,
    "training on the U-Net": training_on_the_u_net,
    **{f"align {algorithm}": alignment(algorithm) for algorithm in _ALGORITHMS},
    "best of two": best_of_two,
    "evaluation": evaluation,
    "comparison of generators": comparison_of_generators,
    "stored model": stored_model,
    "resumed training": resumed_training,
    "resumed alignment": resumed_alignment,
}


def _scores(model: str, place: Place) -> Json:
    from dina_lrm import LatentRewardModel, read_comparisons

    pairs = list(read_comparisons(place.pairs / "comparisons.jsonl"))
    first, second, prompts = ([getattr(pair, name) for pair in pairs] for name in ("image_a", "image_b", "prompt"))
    loaded = LatentRewardModel.from_pretrained(model, device="cpu")
    levels = (0.1, 0.2, 0.5, (0.2, 0.5, 0.7))
    return {
        **{f"at {level}": loaded.score(first, prompts, noise_level=level).tolist() for level in levels},
        "wins": loaded.win_probability(first, second, prompts).tolist(),
    }


def _of_training(run: Path) -> Json:
    model = run / "model"
    lora = model / "reward_lora" / "adapter_model.safetensors"
    return {
        "metrics": _json_lines(run / "metrics.jsonl"),
        "head": _of_tensors(model / "head.safetensors"),
        "lora": _of_tensors(lora),
    }


def _of_alignment(run: Path) -> Json:
    return {
        "metrics": _json_lines(run / "metrics.jsonl"),
        "looks": _json_lines(run / "monitor.jsonl"),
        "lora": _of_tensors(run / "lora" / "pytorch_lora_weights.safetensors"),
    }


def _of_tensors(path: Path) -> Json:
    """One hash of all tensors of a safetensors file, and what little rounding changes little, by kind of tensor."""
    from safetensors.torch import load_file

    return _of_named(load_file(path))


def _of_named(tensors: Mapping[str, Any]) -> Json:
    import torch

    digest, kinds = hashlib.sha256(), dict[str, list[torch.Tensor]]()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        found = re.search(r"lora_[AB]|lora\.(down|up)", name)
        kinds.setdefault(found[0] if found else "all", []).append(tensor.double().flatten())
    return {"sha256": digest.hexdigest(), **{kind: _numbers(torch.cat(several)) for kind, several in kinds.items()}}


def _numbers(values: Any) -> Json:  # noqa: ANN401 - torch is imported late
    """Count, norm and cosine to a fixed direction: steps of Adam alone hardly change a norm."""
    import torch

    norm = values.norm().item()
    direction = torch.cos(torch.arange(len(values), dtype=torch.float64) ** 2)
    return {"count": len(values), "norm": norm, "cosine": (values @ direction / direction.norm()).item() / (norm or 1)}


def _of_picture(path: Path) -> Json:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    return {"sha256": hashlib.sha256(pixels.tobytes()).hexdigest(), "mean": float(pixels.mean())}


def _json(path: Path) -> Json:
    return _results(json.loads(path.read_text()))


def _json_lines(path: Path) -> list[Json]:
    return [_results(json.loads(line)) for line in path.read_text().splitlines()]


def _results(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {key: _results(item) for key, item in value.items() if not MEASURED.search(key)}
    return [_results(item) for item in value] if isinstance(value, list) else value


def differences(stored: Any, found: Any, tolerance: float = 0.0, where: str = "") -> Iterator[str]:  # noqa: ANN401
    """A line for each value that is not as stored.

    Without a tolerance all must be equal to the last bit. With one, numbers may differ by that much of themselves or
    that much outright, hashes are not compared, and values may be new.
    """
    if isinstance(stored, dict) and isinstance(found, dict):
        for key in [*stored, *(key for key in found if key not in stored)]:
            if tolerance and (key not in stored or HASHED.search(key)):
                continue
            if key not in found or key not in stored:
                yield f"{where}/{key}: is {'no more' if key in stored else 'new'}"
            else:
                yield from differences(stored[key], found[key], tolerance, f"{where}/{key}")
    elif isinstance(stored, list) and isinstance(found, list) and len(stored) == len(found):
        for at, (one, other) in enumerate(zip(stored, found, strict=True)):
            yield from differences(one, other, tolerance, f"{where}/{at}")
    elif not _same(stored, found, tolerance):
        yield f"{where}: stored {_short(stored)}, found {_short(found)}"


def _same(stored: Any, found: Any, tolerance: float) -> bool:  # noqa: ANN401 - any JSON value
    if tolerance and type(stored) is type(found) is float:
        return math.isclose(stored, found, rel_tol=tolerance, abs_tol=tolerance)
    return type(stored) is type(found) and stored == found


def _short(value: Any) -> str:  # noqa: ANN401 - any JSON value
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def measured(names: Sequence[str], report: Callable[[str], None] = lambda _: None) -> dict[str, Json]:
    """The values of parts by name."""
    import torch

    torch.set_num_threads(1)  # how many there are decides in which order sums are taken
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for name in names:
            report(name)
            found[name] = PARTS[name](place)
    return found


def write_folders(target: Path) -> None:
    """Write the stored cache, model and runs anew, as the present version writes them; runs as a kill leaves them."""
    with tempfile.TemporaryDirectory() as scratch:
        place, cache = Place(Path(scratch)), target / "cache"
        encodings(place)
        shutil.copytree(place.folder / "cache", cache)
        run = place.folder / "training"
        place.train("synthetic", _SMALLEST, cache, run)
        shutil.copytree(run / "model", target / "model")
        _stop(run, 2, target / "training")
        run = place.folder / "alignment"
        place.align("refl", "synthetic-unet", run)
        _stop(run, 1, target / "alignment")
        run = place.folder / "training-of-pooled-maps"
        place.train("synthetic-lrm", _POOLED, cache, run)
        _stop(run, 0, target / run.name)
        for algorithm in _ALGORITHMS:
            run = place.folder / f"align-{algorithm}"
            place.align(algorithm, "synthetic", run)
            _stop(run, 0, target / run.name)


def _stop(run: Path, step: int, target: Path) -> None:
    """Copy of a finished run as it was when the checkpoint of `step` was complete; at 0 when its settings were."""
    target.mkdir(parents=True)
    shutil.copy(run / "config.json", target)
    if not step:
        return
    shutil.copytree(run / f"checkpoints/step-{step}", target / f"checkpoints/step-{step}")
    if (run / "prompts.json").is_file():
        shutil.copy(run / "prompts.json", target)
        shutil.copytree(run / "samples", target / "samples", ignore=shutil.ignore_patterns(f"step-{step + 1}.*"))
    for lines in run.glob("*.jsonl"):
        kept = [line for line in lines.read_text().splitlines() if json.loads(line)["step"] <= step]
        (target / lines.name).write_text("".join(f"{line}\n" for line in kept))


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Measure, then write or compare; without either option, compare with the values that the tests know."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the values")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="say what is not as in this file, to the last bit")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--folders", type=Path, metavar="FOLDER", help="write cache, model and runs anew and stop")
    given = parser.parse_args(arguments)
    os.environ |= {"ACCELERATE_USE_CPU": "1", "TQDM_DISABLE": "1"}
    if given.folders is not None:
        write_folders(given.folders)
        return {"differences": []}
    found = measured(given.parts, lambda name: print(f"  {name}", flush=True))
    if given.write is not None:
        given.write.write_text(json.dumps(found, indent=1) + "\n")
        return {"differences": []}
    stored = json.loads((given.compare or VALUES).read_text())
    told = list(differences({name: stored.get(name) for name in given.parts}, found))
    print("\n".join(told) if told else f"{len(given.parts)} parts are equal to the last bit")
    return {"differences": told}


if __name__ == "__main__":
    sys.exit(bool(main()["differences"]))
