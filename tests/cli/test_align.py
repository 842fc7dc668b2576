"""`dina-lrm align ...`: dry runs, prompts, bad input, a run that is killed and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from dina_lrm.cli.main import main
from dina_lrm.recipes.alignment import DPO_RECIPES, GRPO_RECIPES, LPO_RECIPES, REFL_RECIPES
from dina_lrm.recipes.distillation import BEST_RECIPES, DISTILL_RECIPES
from dina_lrm.recipes.forward_alignment import AWM_RECIPES, CRAFT_RECIPES, CRD_RECIPES, DGPO_RECIPES, NFT_RECIPES
from dina_lrm.sampling.reward_term import RewardTerm, named_term

RECIPES = {
    "refl": REFL_RECIPES,
    "flow-grpo": GRPO_RECIPES,
    "lpo": LPO_RECIPES,
    "dpo": DPO_RECIPES,
    "nft": NFT_RECIPES,
    "awm": AWM_RECIPES,
    "craft": CRAFT_RECIPES,
    "crd": CRD_RECIPES,
    "dgpo": DGPO_RECIPES,
    "distill": DISTILL_RECIPES,
    "best": BEST_RECIPES,
}
SYNTHETIC = [(kind, name) for kind, recipes in RECIPES.items() for name in recipes if name.startswith("synthetic")]


FEW = {
    "refl": ("--refl.first", "4", "--refl.last", "5"),
    "flow-grpo": ("--grpo.group", "4", "--grpo.updates", "1"),
    "nft": ("--forward.group", "4"),
    "awm": ("--forward.group", "4"),
    "crd": ("--forward.group", "4"),
    "dgpo": ("--forward.group", "4"),
}
"""Less than recipes have, where an algorithm has settings of its own for that."""
ALGORITHM = {"best": "distill"}
"""The algorithm of a command that is not called by it."""


@pytest.mark.parametrize(("algorithm", "recipe"), SYNTHETIC)
def test_a_dry_run_checks_everything_and_leaves_nothing(algorithm, recipe, tmp_path):
    target = tmp_path / "result.json"
    words = ["align", algorithm, recipe, "--prompts", "synthetic", "--out", str(tmp_path / "run"), "--dry-run"]
    few = ["--batch-size", "4", "--micro-batch", "4", "--generator.sampling-steps", "6", *FEW.get(algorithm, ())]
    assert main([*words, *few, "--quiet", "--json", str(target)]) == 0
    assert not (tmp_path / "run").exists()
    found = json.loads(target.read_text())
    assert found["steps"] == 2 and found["algorithm"] == ALGORITHM.get(algorithm, algorithm) and "lora" not in found
    assert 0 < found["seconds_per_update"] < found["estimated_seconds"] and found["peak_memory_bytes"] > 2**20
    assert [look["step"] for look in found["looks"]] == [0, 2] and "true utility" in found["looks"][0]


@pytest.mark.parametrize("recipe", [make for recipes in RECIPES.values() for make in recipes.values()])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_smallest_update_of_every_recipe_is_accepted_by_so_many_processes(recipe, processes):
    whole, few = recipe(), recipe().smallest(processes)
    assert few.steps == 2 and few.micro_batch == whole.micro_batch and few.looks.on_alarm == "tell"
    assert few.batch_size % (few.micro_batch * processes) == 0 and few.batch_size <= 18 * 9 * processes


@pytest.mark.parametrize("recipe", [make for recipes in RECIPES.values() for make in recipes.values()])
def test_an_alarm_can_sound_in_every_recipe(recipe):
    config = recipe()
    assert config.number_of_looks() >= config.looks.window and config.looks.golden
    with pytest.raises(ValueError, match=r"got .stop with 2 looks.; accepted: \d+ looks"):
        replace(config, looks=replace(config.looks, every=config.steps, on_alarm="stop"))


def test_a_rehearsal_of_several_rewards_has_pictures_to_standardise_them_by(tmp_path, capsys):
    words = ["align", "refl", "synthetic", "--prompts", "synthetic", "--out", str(tmp_path), "--dry-run", "--quiet"]
    few = ["--batch-size", "4", "--micro-batch", "1", "--generator.sampling-steps", "4", "--refl.first", "2",
           "--refl.last", "3"]  # fmt: skip
    assert main([*words, *few, "--more-rewards", "sharpness"]) == 0
    assert main([*words, *few, "--reward", "high-frequency=-1", "sharpness"]) == 0
    capsys.readouterr()
    assert main([*words, *few, "--reward", "high-frequency=-1", "sharpness", "--looks.prompts", "1"]) == 2
    assert "at least 2 to standardise" in capsys.readouterr().err


def test_a_rehearsal_that_is_stopped_says_so(tmp_path, warm_programs):
    (tmp_path / "stops.py").write_text(
        "import os\nimport signal\n\n\ndef once(images, prompts):\n"
        "    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n    return -images.mean(dim=(1, 2, 3))\n"
    )
    command = [str(warm_programs / "dina-lrm"), "align", "refl", "synthetic", "--prompts", "synthetic"]
    command += ["--out", "run", "--dry-run", *SHORT, "--reward", "python:stops.once"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "stopped by SIGTERM" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_function_of_the_working_directory_is_a_reward(tmp_path, warm_programs):
    (tmp_path / "own_reward.py").write_text(
        "def dark(images, prompts):\n    return -images.mean(dim=(1, 2, 3))\n\n\n"
        "def counted(images, prompts):\n    return [float(len(prompt)) for prompt in prompts]\n"
    )
    command = [str(warm_programs / "dina-lrm"), "align", "refl", "synthetic", "--prompts", "synthetic"]
    command += ["--out", "run", "--dry-run", *SHORT]
    subprocess.run([*command, "--reward", "python:own_reward.dark"], cwd=tmp_path, check=True, capture_output=True)
    refused = subprocess.run(
        [*command, "--reward", "python:own_reward.counted"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2 and "its scores have no gradient with respect to the inputs" in refused.stderr


SHORT = (
    "--steps 6 --batch-size 2 --micro-batch 2 --generator.sampling-steps 4 --refl.first 2 --refl.last 3 "
    "--looks.every 3 --looks.prompts 2 --looks.images 1 --checkpoint-every 1 --generator.rank 2 --lr 1e-2"
).split()


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_lora(tmp_path, warm_programs):
    words = [str(warm_programs / "dina-lrm"), "align", "refl", "synthetic", "--prompts", "synthetic", *SHORT]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*words, "--out", str(whole)], check=True, capture_output=True)
    with subprocess.Popen([*words, "--out", str(killed)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 300
        while not list(killed.glob("checkpoints/step-*")) and time.monotonic() < deadline and run.poll() is None:
            time.sleep(0.05)
        os.kill(run.pid, signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL and not (killed / "lora").exists()
    # A new interpreter, which seeds its hashes anew
    fresh = [sys.executable, "-m", "dina_lrm", *words[1:]]
    subprocess.run([*fresh, "--out", str(killed), "--resume"], check=True, capture_output=True)
    for file in ("metrics.jsonl", "monitor.jsonl", "lora/pytorch_lora_weights.safetensors"):
        assert (killed / file).read_bytes() == (whole / file).read_bytes(), file
    for file in ("report.html", "vote.html", "plots/alignment.png", "plots/gallery.png", "samples/step-6.png"):
        assert (killed / file).stat().st_size > 1_000


def test_all_prompts_that_are_too_long_are_counted_with_their_lines(tmp_path, capsys):
    file = tmp_path / "prompts.txt"
    long = " ".join(["ring"] * 90)
    file.write_text("".join(f"{long} {n}\n" if n in (3, 8) else f"prompt {n}\n" for n in range(40)))
    words = ["align", "refl", "synthetic", "--prompts", str(file), "--out", str(tmp_path / "run"), "--quiet"]
    assert main([*words, "--looks.prompts", "16"]) == 2
    told = capsys.readouterr().err
    assert "2 of 40 prompts are longer than the text encoders read" in told and "prompts.txt, line 9" in told
    assert "line 4" in told and "accepted: shorter ones" in told and not (tmp_path / "run").exists()


def test_prompts_that_are_too_long_are_left_out_where_that_is_asked(tmp_path, capsys):
    file = tmp_path / "prompts.txt"
    long = " ".join(["ring"] * 90)
    file.write_text("".join(f"{long} {n}\n" if n in (1, 7) else f"a small red ring {n}\n" for n in range(8)))
    words = ["align", "refl", "synthetic", "--prompts", str(file), "--out", str(tmp_path / "run"), *SHORT]
    target = ["--json", str(tmp_path / "result.json")]
    assert main([*words, "--steps", "1", "--ema-every", "1", "--long-prompts", "skip", *target]) == 0
    said = capsys.readouterr().out
    assert (
        f"2 of 8 prompts are longer than the text encoders read, and are left out: {file}, line 2; {file}, line 8"
        in said
    )
    looks = json.loads((tmp_path / "result.json").read_text())["looks"]
    assert [look["images"] for look in looks] == [1, 1]


def test_the_lora_of_a_run_is_written_for_other_tools_too(tmp_path, capsys):
    words = ["align", "refl", "synthetic", "--prompts", "synthetic", "--steps", "2", "--batch-size", "4", "--quiet",
             "--micro-batch", "4", "--ema-every", "1", "--looks.prompts", "2", "--looks.images", "1", "--looks.every",
             "2", "--generator.sampling-steps", "4", "--refl.first", "2", "--refl.last", "3"]  # fmt: skip
    unet = ["--generator.pretrained", "synthetic-unet", "--generator.guidance", "1", "--reward", "sharpness"]
    target = tmp_path / "result.json"
    given = [*words, *unet, "--out", str(tmp_path / "run"), "--export", "kohya", "--json", str(target)]
    assert main(given) == 0
    file = tmp_path / "run" / "lora-kohya.safetensors"
    names = load_file(file).keys()
    assert names and all(name.startswith("lora_unet_") for name in names)
    assert json.loads(target.read_text())["export"] == str(file)
    assert main([*words, "--out", str(tmp_path / "other"), "--export", "kohya"]) == 2
    assert "export kohya: got a generator of the family 'sd3'" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_more_rewards_come_with_their_weights():
    assert named_term("--reward", "sharpness") == RewardTerm("sharpness")
    assert named_term("--reward", "image:runs/a=b/model=-0.5") == RewardTerm("image:runs/a=b/model", -0.5)
    with pytest.raises(ValueError, match="--reward sharpness=much: the weight is 'much'; accepted: NAME or NAME="):
        named_term("--reward", "sharpness=much")


def test_bad_input_names_the_option(tmp_path, capsys):
    empty = tmp_path / "empty.txt"
    empty.write_text("a ring\n\n")
    for given, message in ((tmp_path / "no.txt", "there is no such file"), (empty, "line 2")):
        words = ["align", "refl", "synthetic", "--prompts", str(given), "--out", str(tmp_path / "run")]
        assert main(words) == 2
        assert message in capsys.readouterr().err
    words = ["align", "refl", "synthetic", "--prompts", "synthetic", "--out", str(empty), "--dry-run"]
    assert main(words) == 2
    assert "empty.txt is a file; accepted: a folder" in capsys.readouterr().err
    words = ["align", "flow-grpo", "synthetic", "--prompts", "synthetic", "--out", str(tmp_path / "run")]
    assert main([*words, "--dry-run", "--looks.golden", "image:synthetic"]) == 2
    assert "golden reward 'image:synthetic'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--prompts: is missing; accepted: a file of prompts, synthetic, or --pairs FILE"),
        (["--prompts", "synthetic", "--dpo.kind", "kto"], "--dpo.kind kto: has no effect without --pairs"),
        (["--pairs", "{place}/x.jsonl", "--dpo.candidates", "7"], "--dpo.candidates 7: has no effect with --pairs"),
        (["--pairs", "{place}/x.jsonl", "--dpo.liked-weight", "2"], "--dpo.liked-weight: would have no effect"),
        (["--pairs", "{place}/gone.jsonl"], "gone.jsonl: no such file; accepted: comparisons, a store of votes"),
        (["--pairs", "{place}/x.jsonl"], "different prompts, fewer --looks.prompts, or --look-prompts"),
    ],
)
def test_what_goes_with_pairs_alone_or_without_them_is_refused(words, said, tmp_path, capsys):
    (tmp_path / "x.jsonl").write_text('{"prompt": "a", "image_a": "1.png", "image_b": "2.png", "preference": 1}\n')
    given = [word.format(place=tmp_path) for word in words]
    assert main(["align", "dpo", "synthetic", *given, "--out", str(tmp_path / "run")]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()
