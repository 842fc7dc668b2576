"""What a job will take: equal to what is loaded and what learns; what does not fit is refused, and nothing is left."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from dina_lrm.backbones.at_once import DEVICE_PIXELS, HOST_PIXELS, pictures_at_once
from dina_lrm.backbones.settings import EncoderSettings
from dina_lrm.cli.main import main
from dina_lrm.generators.settings import usual_settings
from dina_lrm.profiling.encoders import vae_cost
from dina_lrm.profiling.estimates.estimate import LIBRARIES, JobEstimate, Load, Phase
from dina_lrm.profiling.estimates.generator import encoder_flops
from dina_lrm.profiling.estimates.learning import Aligning, Training
from dina_lrm.profiling.estimates.rate import measured_rate
from dina_lrm.profiling.estimates.reading import Evaluating, Preparing, Scoring
from dina_lrm.profiling.estimates.room import Room, free_room
from dina_lrm.profiling.estimates.sampling import Sampling
from dina_lrm.profiling.estimates.serving import Serving
from dina_lrm.recipes import RECIPES
from dina_lrm.recipes.alignment import REFL_RECIPES
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.training.assemble import build_model
from dina_lrm.typed import DinaError

SMALL = JobEstimate("score", "cpu", (Load("vae", "float32", 5),), (Phase("scoring", 5, 7), Phase("reading", 6, 1)))
ALL_ROOM = Room(2**50, 2**50)


def test_the_peak_is_that_of_the_largest_phase_beside_the_libraries():
    assert SMALL.peak == LIBRARIES + 12
    assert replace(SMALL, device="cuda:0").peak == 12  # of the device alone
    assert not SMALL.misfits(ALL_ROOM) and not SMALL.misfits(Room(None))
    assert "at least 600 MiB" in next(line for line in SMALL.lines(ALL_ROOM) if line.startswith("peak"))


def test_what_does_not_fit_is_refused_with_numbers_and_the_options_that_would():
    large = replace(SMALL, phases=(Phase("scoring", 2**40),), disk=2**41)
    ways = (("--batch-size 1", lambda: SMALL), ("--dtype bfloat16", lambda: large))
    with pytest.raises(DinaError, match=r"1\.00 TiB of memory \(scoring.*2\.00 TiB of disk") as told:
        replace(large, ways=ways).refuse(Room(2**30, 2**30))
    assert "accepted: --batch-size 1 (600 MiB); --force" in str(told.value) and "bfloat16" not in str(told.value)
    found = replace(large, ways=ways).to_dict(Room(2**30, 2**30))
    assert not found["fits"] and found["would_fit"] == [{"option": "--batch-size 1", "peak": SMALL.peak}]


def test_what_is_counted_of_the_bundled_model_is_what_is_loaded():
    found = Scoring("synthetic", pictures=3, prompts=1).estimate()
    model = LatentRewardModel.from_pretrained("synthetic")
    model.backbone.load_encoders()
    counted = {load.name: load.bytes for load in found.loads}
    assert {*counted} == {"transformer", "vae", "text_encoder", "text_encoder_2", "head and LoRA"}
    tensors = model.backbone.transformer.state_dict()
    held = sum(each.nbytes for name, each in tensors.items() if "lora_" not in name)
    assert counted["transformer"] == held
    assert found.seconds is not None and found.seconds > 0 and not found.misfits(free_room("cpu"))


def test_what_learns_is_counted_to_the_number():
    config = RECIPES["synthetic"].make()
    for kind in ("lora", "frozen"):
        chosen = replace(config, adaptation=replace(config.adaptation, kind=kind))
        model = build_model(chosen, torch.device("cpu"))
        learning = sum(each.numel() for each in (*model.head.parameters(), *model.backbone.trainable_parameters()))
        training = Training(chosen, encodes=False)
        [held] = [load for load in training.estimate().loads if load.name.startswith("what learns")]
        assert held.bytes == 20 * learning, kind


@pytest.mark.parametrize(
    "job",
    [
        Preparing("synthetic", pictures=20, prompts=5),
        Evaluating(("synthetic", "sharpness", "no-such-model")),
        Serving({"a": "synthetic", "b": "latent:synthetic", "c": "sharpness"}),
        Aligning(REFL_RECIPES["synthetic"]()),
        Training(RECIPES["synthetic"].make(), encodes=True),
        Sampling(usual_settings("synthetic"), 64, rewards=("sharpness",)),
    ],
    ids=lambda job: type(job).__name__,
)
def test_jobs_of_the_bundled_world_fit_and_are_said_in_plain_values(job):
    found = job.estimate()
    assert LIBRARIES < found.peak < 2**31
    assert json.dumps(found.to_dict(ALL_ROOM)) and list(found.lines(ALL_ROOM))


def test_text_encoders_that_wait_in_their_files_are_not_held():
    offloaded = EncoderSettings(offload=True)
    encoders = sum(load.bytes for load in Scoring("synthetic").estimate().loads if load.name.startswith("text_encoder"))
    assert encoders > 0
    for job in (Preparing("synthetic"), Scoring("synthetic"), Serving({"a": "synthetic"})):
        assert job.estimate().peak - replace(job, encoders=offloaded).estimate().peak == encoders, type(job).__name__
    rounded = replace(Scoring("synthetic"), t5_weights="8bit").estimate()  # as large as the largest is, by half
    assert 0 < Scoring("synthetic").estimate().peak - rounded.peak < encoders


def test_two_generators_side_by_side_take_twice_the_memory():
    one = Sampling(usual_settings("synthetic"), 4)
    two = replace(one, generators=2)
    assert two.estimate().peak - one.estimate().peak == sum(load.bytes for load in one.estimate().loads)
    assert replace(one, batch_size=8).estimate().peak > one.estimate().peak


def test_models_of_one_generator_are_served_from_one():
    one, two = (Serving(dict.fromkeys(names, "synthetic")).estimate() for names in ("a", "ab"))
    assert two.peak - one.peak == one.loads[0].bytes  # the second head and LoRA alone
    assert Serving({"a": "synthetic"}, text_encoders=False).estimate().peak < one.peak


def test_convolutions_of_the_autoencoder_are_those_that_the_counter_finds():
    published = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
    assert encoder_flops(published, 256**2) == pytest.approx(vae_cost(1, 256, False, False).forward, rel=0.05)
    assert encoder_flops({"encoder_block_out_channels": (128,)}, 256**2) == 0


def test_an_autoencoder_is_given_no_more_pictures_than_its_memory_is_used_for():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert [pictures_at_once(side**2, cpu) for side in (32, 512, 1024, 4096)] == [1024, 4, 1, 1]
    assert pictures_at_once(1024**2, cuda) == DEVICE_PIXELS // HOST_PIXELS


def test_the_rate_is_positive():
    assert measured_rate("cpu", torch.float32, 0.001) > 1e8


def test_a_command_says_what_it_takes_and_refuses_what_does_not_fit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32), "red").save("red.png")
    words = ["score", "--images", "red.png", "--prompts", "a cube", "--model", "synthetic", "--out", "s.csv"]
    assert main([*words, "--dry-run", "--json", "r.json"]) == 0
    told = capsys.readouterr().out
    assert "loads transformer" in told and "peak memory on cpu: at least" in told and "for 1 pictures" in told
    with open("r.json") as file:
        assert json.load(file)["estimate"]["fits"]
    assert {path.name for path in tmp_path.iterdir()} == {"red.png", "r.json"}
    many = [*words, "--batch-size", str(10**9)]
    assert main(many) == 2 and "--batch-size 1 (" in capsys.readouterr().err
    assert main([*many, "--force"]) == 0 and (tmp_path / "s.csv").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ["compare", "red.png", "red.png", "--prompt", "a cube"],
        ["rank", "pictures", "--model", "synthetic"],
        ["calibrate", "synthetic", "--out", "copy"],
        ["sample", "--prompts", "a red ring on white", "--out", "out"],
        ["evaluate-generator", "synthetic", "synthetic-uncurated", "--prompts", "synthetic", "--out", "out"],
        ["profile", "synthetic"],
    ],
    ids=lambda words: words[0],
)
def test_a_dry_run_says_what_it_takes_and_leaves_nothing(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for name in ("red.png", "pictures/red.png"):
        Image.new("RGB", (32, 32), "red").save(name)
    before = {*tmp_path.rglob("*")}
    assert main([*words, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "loads transformer" in told and "peak memory on cpu: at least" in told
    assert {*tmp_path.rglob("*")} == before


def test_a_dry_run_of_what_is_counted_without_weights_is_refused(capsys):
    assert main(["profile", "sd3.5-medium", "--dry-run"]) == 2
    assert "--dry-run with sd3.5-medium: is counted without weights" in capsys.readouterr().err
