"""Any reward can score a table: whatever the batch, without a z, and never mixed with another's scores."""

import csv

import pytest
import torch
from PIL import Image

from dina_lrm.images import load_pixels
from dina_lrm.rewards.names import load_reward
from dina_lrm.rewards.scoring.files import score_files_by
from dina_lrm.rewards.scoring.judging import scorer_named
from dina_lrm.rewards.scoring.rows import read_score_rows


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "f").mkdir()
    for number, size in enumerate([(40, 30), (40, 30), (1700, 1200), (9, 70)]):
        pixels = torch.randint(0, 256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(number))
        Image.fromarray(pixels.to(torch.uint8).numpy()).save(tmp_path / "f" / f"{number}.png")
    (tmp_path / "f" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "f"


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_scores_are_those_of_the_reward_alone(folder, batch_size):
    out = folder.parent / "s.csv"
    rows = read_score_rows(folder, "a thing")
    summary = score_files_by("sharpness", rows, out, batch_size=batch_size)
    assert (summary.scored, summary.failed, summary.resized) == (4, 1, 0)
    reward = load_reward("sharpness")
    with out.open() as file:
        for row in csv.DictReader(file):
            if row["image"] == "broken.png":
                assert "broken.png" in row["error"] and not row["score"]
                continue
            alone = reward(load_pixels(folder / row["image"])[None], ["a thing"])
            assert float(row["score"]) == pytest.approx(float(alone), rel=1e-5) and row["z"] == ""
    again = score_files_by("sharpness", rows, out, batch_size=batch_size)
    assert (again.already, again.scored) == (4, 0)
    with pytest.raises(ValueError, match="model was 'sharpness', now 'colourfulness'"):
        score_files_by("colourfulness", rows, out)


def test_what_means_nothing_to_a_reward_is_refused_and_models_have_their_prefixes():
    for setting in ({"noise_level": 0.4}, {"backbone": "synthetic"}, {"revision": "main"}):
        with pytest.raises(ValueError, match=r"sharpness: .* accepted with a latent reward model"):
            scorer_named("sharpness", **setting)
    plain, made_by = scorer_named("synthetic")
    image, made_too = scorer_named("image:synthetic")
    assert made_by["weights"] == made_too["weights"] and plain.buckets == image.buckets is not None
