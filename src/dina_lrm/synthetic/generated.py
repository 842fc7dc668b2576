"""The fourth test set: samples of the bundled generator, judged by the analytic oracle.

The pictures are kept in the package as one lossless WebP sheet, because drawing them takes minutes on two cores;
`dina-lrm synthetic generate` draws them again from the same seeds.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dina_lrm.locate import ASSETS
from dina_lrm.runs.files import replaced_when_complete, write_json
from dina_lrm.synthetic.comparisons import TEST_IMAGES, Labelling, SyntheticComparisons, ranking_pairs
from dina_lrm.synthetic.oracle import OracleError, oracle_error, oracle_parts
from dina_lrm.synthetic.scene import Prompt, sample_prompt
from dina_lrm.synthetic.utility import PERSONALITIES, vote
from dina_lrm.synthetic.vocabulary import IMAGE_SIZE
from dina_lrm.typed import DinaError

PROMPTS = 667
SEED = 6_000_000
_COLUMNS = 69
FOLDER = ASSETS / "synthetic" / "generated"


def generated_prompts(n: int = PROMPTS) -> list[Prompt]:
    """The prompts of the set; every combination may occur, as in the generator's own training."""
    rng = np.random.default_rng(SEED)
    return [sample_prompt(rng) for _ in range(n)]


def save_generated(images: NDArray[np.uint8], folder: Path) -> None:
    """Write the sheet of pictures, what the oracle says of them, and how far the oracle errs on rendered pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = -(-len(images) // _COLUMNS)
    sheet = np.zeros((rows * _COLUMNS, *images.shape[1:]), np.uint8)
    sheet[: len(images)] = images
    tiled = sheet.reshape(rows, _COLUMNS, IMAGE_SIZE, IMAGE_SIZE, 3).transpose(0, 2, 1, 3, 4)
    with replaced_when_complete(folder / "sheet.webp") as temporary:
        Image.fromarray(tiled.reshape(rows * IMAGE_SIZE, _COLUMNS * IMAGE_SIZE, 3)).save(
            temporary, "WEBP", lossless=True, quality=100, method=6
        )
    prompts = [prompt for prompt in generated_prompts(len(images) // TEST_IMAGES) for _ in range(TEST_IMAGES)]
    parts = oracle_parts(images, prompts)
    facts: dict[str, object] = {
        "images": len(images),
        "alignment": parts[:, 0].round(4).tolist(),
        "quality": parts[:, 1].round(4).tolist(),
    }
    facts["error"] = asdict(oracle_error())
    write_json(folder / "oracle.json", facts, indent=None)


def stored_oracle_error(folder: Path = FOLDER) -> OracleError:
    """The oracle's own error, measured when the pictures were judged."""
    return OracleError(**json.loads((folder / "oracle.json").read_text())["error"])


def load_generated_images(folder: Path = FOLDER) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """(n, 32, 32, 3) pictures and their (n, 2) alignment and quality by the oracle."""
    sheet_path = folder / "sheet.webp"
    if not sheet_path.exists():
        raise FileNotFoundError(f"{sheet_path} is missing; `dina-lrm synthetic generate --out {folder}` makes it")
    facts = json.loads((folder / "oracle.json").read_text())
    # A sheet of few pictures is a strip, longer than pictures may be
    sheet = np.asarray(Image.open(sheet_path, formats=["WEBP"]))
    rows = sheet.shape[0] // IMAGE_SIZE
    tiles = sheet.reshape(rows, IMAGE_SIZE, _COLUMNS, IMAGE_SIZE, 3).transpose(0, 2, 1, 3, 4)
    images = tiles.reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3)[: facts["images"]]
    return images, np.array([facts["alignment"], facts["quality"]]).T


def generated(pairs: int = 2_000, seed: int = 0, folder: Path = FOLDER) -> SyntheticComparisons:
    """Pairs of the generator's own samples for the same prompt; the label is a vote on the oracle's utilities."""
    images, parts = load_generated_images(folder)
    prompts = generated_prompts(len(images) // TEST_IMAGES)
    chosen = ranking_pairs(len(prompts), TEST_IMAGES)
    if not 0 < pairs <= len(chosen):
        raise DinaError(f"generated: {pairs} pairs; accepted: 1 to {len(chosen)}")
    chosen = chosen[:pairs]
    person = PERSONALITIES["balanced"]
    probability = person.probability(parts[chosen[:, 0]], parts[chosen[:, 1]])
    return SyntheticComparisons(
        prompts=tuple(prompt.caption() for prompt in prompts),
        images=images,
        group=np.repeat(np.arange(len(prompts)), TEST_IMAGES),
        utility=person.utility(parts),
        pairs=chosen,
        preference=vote(probability, 1, 0.0, np.random.default_rng((SEED, seed))),
        probability=probability,
        source="generated",
        axes=Labelling().heard_by_axis(parts, chosen, np.random.default_rng((SEED, seed, 1))),
    )
