"""A stranger's first hour, from the wheel in a new environment: every line works at the first try."""

import csv
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dina_lrm.cli.main import main
from dina_lrm.locate import locate_generator
from tests.backbones.families import ONE_OF_EACH
from tests.stranger.environment import new_environment, required
from tests.tiny import saved_tiny_pipeline
from tests.warm.programs import programs as warm

HERE = Path(__file__).parent
MOST_BYTES = 33_000_000
PROMPTS = ("a red ring on white", "a small blue bar on black", "a green square on gray")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """What a stranger finds on a disk."""
    folder = tmp_path_factory.mktemp("stranger")
    words = ["synthetic", "generate", "--prompts", "3", "--images", "4", "--out", str(folder / "drawn"), "--quiet"]
    assert main(words) == 0
    (folder / "photos").mkdir()
    drawn = sorted((folder / "drawn" / "images").iterdir())
    for number, picture in enumerate(drawn):
        (folder / "photos" / f"{number}.png").write_bytes(picture.read_bytes())
        (folder / "photos" / f"{number}.txt").write_text(PROMPTS[number % 3] + "\n")
    rows = [(PROMPTS[a % 3], f"photos/{a}.png", f"photos/{b}.png") for a in range(12) for b in range(a + 3, 12, 3)]
    with open(folder / "votes.csv", "w", newline="") as file:
        csv.writer(file).writerows([("prompt", "chosen", "rejected"), *rows])
    (folder / "prompts.txt").write_text("a red cube\nthe ball\ngreen\n")  # tiny text encoders read few letters
    saved_tiny_pipeline(folder / "generators" / "sd3", t5=True)  # without T5 plain diffusers needs to be told so
    for case in ONE_OF_EACH:
        if case.config.family not in ("sd3", "stable-diffusion"):
            case.save(folder / "generators" / case.config.family)
    # A U-Net of random weights takes no noise away, and a latent reward refuses what is left
    shutil.copytree(locate_generator("synthetic-unet"), folder / "generators" / "stable-diffusion")
    return folder


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The programs of a new environment that holds the wheel."""
    folder = tmp_path_factory.mktemp("environment")
    found = new_environment(folder)
    (wheel,) = (folder / "wheel").glob("*.whl")
    assert wheel.stat().st_size <= MOST_BYTES
    return found


@pytest.fixture(scope="module")
def imported(programs):
    """The same programs, as forks of one process of that environment that has imported everything."""
    with warm(programs / "python") as found:
        yield found


def runs(script, place, programs):
    """Run a script with the programs first on the path; it must end well."""
    kept = {name: os.environ[name] for name in ("HOME", "OMP_NUM_THREADS", "LANG") if name in os.environ}
    environment = kept | {"PATH": f"{programs}:/usr/bin:/bin", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(["sh", str(HERE / script)], cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


@pytest.mark.slow
def test_every_line_works_at_the_first_try(place, programs, imported):
    runs("first_minutes.sh", place, programs)
    runs("first_hour.sh", place, imported)
    for page in ("ranked.html", "captioned.html"):
        assert (place / page).stat().st_size > 10_000
    assert len((place / "own.csv").read_text().splitlines()) == 13


@pytest.mark.slow
def test_each_family_is_trained_on_aligned_and_used_without_this_package(place, imported):
    runs("own_generators.sh", place, imported)
    assert len(list((place / "runs").glob("aligned-*/lora"))) == len(list((place / "generators").iterdir()))


def test_what_is_required_is_without_tools_of_development():
    names = {each.name.lower() for each in required("dina-lrm")}
    assert {"torch", "diffusers", "transformers", "peft"} <= names
    assert not names & {"pytest", "ruff", "mypy", "hypothesis", "beartype"}
