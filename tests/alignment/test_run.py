"""What every algorithm's run obeys: whose weights learn, that a stopped run goes on exactly, what diffusers reads."""

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from huggingface_hub import ModelCard
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dina_lrm.alignment.card import gain
from dina_lrm.alignment.monitor.monitor import MissingScoresWarning
from dina_lrm.alignment.monitor.records import read_records
from dina_lrm.alignment.monitor.settings import LookSettings
from dina_lrm.alignment.trainer import AlignmentRun
from dina_lrm.generators.generator import Generator
from dina_lrm.rewards.cnn import CnnReward
from dina_lrm.rewards.function import FunctionReward
from dina_lrm.rewards.mixture import Mixture, MixtureItem
from dina_lrm.rewards.names import load_reward
from dina_lrm.runs.ownership import changed_files, made_by
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.screen import number_text
from dina_lrm.synthetic.captions import distinct_captions
from dina_lrm.synthetic.world import bundled_pipeline
from tests.alignment.launched_run import two_updates
from tests.alignment.runs import CONFIGS, GRPO, LAUNCHED, PROMPTS, REFL, a_generator, a_run


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda config: config.algorithm)
def config(request):
    return request.param


@pytest.fixture(scope="module")
def straight(config, tmp_path_factory):
    return a_run(config, tmp_path_factory.mktemp("align") / "run")


def test_a_run_leaves_what_it_should(config, straight):
    run, looks, outcome = straight
    assert outcome.steps == outcome.lora_step == 4 and outcome.stopped is None
    assert [look.step for look in looks] == [0, 2, 4] == [record.step for record in read_records(run.folder)]
    assert looks[0].images.shape == (2, 32, 32, 3) and looks[0].images.dtype == np.uint8
    assert not np.array_equal(looks[0].images, looks[2].images)
    assert looks[0].record.extra["drift"] == 0 < looks[2].record.extra["drift"]
    assert looks[2].record.truth["utility"].counted == 2
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line["reward"] == pytest.approx(line["parts"]["latent:synthetic"]) for line in lines)
    assert lines[0]["gradient_norm"] > 0
    assert type(config).from_dict(json.loads((run.folder / "config.json").read_text())) == config


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(config, straight, tmp_path):
    whole, _, _ = straight
    _, _, half = a_run(config, tmp_path / "run", stop_after=3)  # the checkpoint is of step 2
    assert half.steps == 3 and half.lora_step is None
    resumed, _, _ = a_run(config, tmp_path / "run", resume=True)
    for name, parameter in whole.generator.parameters.items():
        assert torch.equal(resumed.generator.parameters[name], parameter), name
    for file in ("metrics.jsonl", "monitor.jsonl", "outcome.json"):
        assert (tmp_path / "run" / file).read_text() == (whole.folder / file).read_text()
    with pytest.raises(FileExistsError, match="holds a run already; resume it"):
        a_run(config, tmp_path / "run")
    other = replace(config, lr=2e-2)
    with pytest.raises(ValueError, match="started with other settings: lr"):
        a_run(other, tmp_path / "run", resume=True)


def test_a_finished_run_is_left_as_it_is(config, straight):
    run, _, outcome = straight
    before = (run.folder / "metrics.jsonl").read_bytes()
    _, looks, again = a_run(config, run.folder, resume=True)
    assert again == outcome and looks == [] and (run.folder / "metrics.jsonl").read_bytes() == before


def test_the_card_says_what_was_gained_and_its_code_loads_the_lora(straight):
    run, looks, _ = straight
    card = ModelCard.load(run.folder / "lora" / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("diffusers", "text-to-image")
    assert run.config.algorithm in card.data.tags and "| updates | 4 of 4 pictures |" in card.text
    assert "`latent:synthetic`, weight 1" in card.text and "| licence of the base model | apache-2.0 |" in card.text
    before, after = (look.record.truth["utility"] for look in (looks[0], looks[-1]))
    assert f"| true utility | {number_text(before.mean, '.3g')} | {number_text(after.mean, '.3g')} | " in card.text
    assert gain(before, after) in card.text
    [code] = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    names = {}
    exec(code.replace("PATH OR HUB ID", str(run.folder / "lora")), names)
    assert names["pipeline"].get_active_adapters()
    made = made_by(run.folder / "lora")
    assert made.kind == "LoRA" and changed_files(run.folder / "lora") == {}


def test_plain_diffusers_reads_the_lora(straight):
    run, looks, _ = straight
    pipeline = bundled_pipeline()
    pipeline.load_lora_weights(run.folder / "lora")
    image = pipeline(
        PROMPTS[0], num_inference_steps=4, guidance_scale=3.0, height=32, width=32, max_sequence_length=0,
        latents=run.generator.noise([1_000_000]), output_type="np",
    ).images  # fmt: skip
    difference = np.abs(np.round(image[0] * 255) - looks[-1].images[0].astype(float))
    assert difference.max() <= 1


def test_only_the_generators_lora_learns_and_the_reward_stays_as_it_is(config, straight):
    run, _, _ = straight
    untouched, latents = bundled_pipeline(), run.generator.noise([1, 2])
    conditioning = run.generator.encode_prompts(PROMPTS[:2])
    plain = Generator(untouched, 32, 2, 4.0, 0, 3.0)
    level = torch.tensor(0.5)
    with torch.no_grad(), run.generator.reference():
        torch.testing.assert_close(
            run.generator.velocity(latents, level, conditioning), plain.velocity(latents, level, conditioning)
        )
    with torch.no_grad():
        tuned = run.generator.velocity(latents, level, conditioning)
        assert not torch.allclose(tuned, plain.velocity(latents, level, conditioning))
        ours = run.objective(latents, PROMPTS[:2]).total
        theirs = Objective(plain, config.rewards)(latents, PROMPTS[:2]).total
    torch.testing.assert_close(ours, theirs)
    learning = {name for name, p in run.generator.model.named_parameters() if p.requires_grad}
    assert learning == set(run.generator.parameters)


def test_generator_and_reward_hold_one_copy_of_the_weights(straight):
    run, _, _ = straight
    (reward,) = run.objective.rewards
    assert reward.model.backbone.transformer is run.generator.model
    own = sum(parameter.numel() for parameter in reward.model.parameters())
    assert own < sum(parameter.numel() for parameter in run.generator.model.parameters()) / 3


def test_several_rewards_are_summed_as_z_scores(tmp_path):
    rewards = (RewardTerm("latent:synthetic", 2.0, noise_level=0.2), RewardTerm("sharpness", -1.0))
    config = replace(REFL, rewards=rewards, steps=1, looks=LookSettings(every=1, images=4))
    run, looks, _ = a_run(config, tmp_path / "run")
    scales = json.loads((run.folder / "scales.json").read_text())
    first, last = looks[0].record.judges, looks[-1].record.judges
    assert first["objective"].mean == pytest.approx(0, abs=1e-5)
    for name, (mean, deviation) in scales.items():
        assert first[name].mean == pytest.approx(mean, rel=1e-5)
        assert first[name].deviation == pytest.approx(deviation, rel=1e-5)
    z = {name: (last[name].mean - mean) / deviation for name, (mean, deviation) in scales.items()}
    assert last["objective"].mean == pytest.approx(2 * z["latent:synthetic"] - z["sharpness"], abs=1e-4)
    with pytest.raises(ValueError, match="deviation above 0"):
        run.objective.standardise({"latent:synthetic": (0.0, 1.0), "sharpness": (0.0, 0.0)})
    with pytest.raises(ValueError, match="the same names"):
        run.objective.standardise({"sharpness": (0.0, 1.0)})


def test_a_mixture_of_latent_rewards_shares_the_generator_and_is_the_sum_of_its_members(tmp_path):
    file = tmp_path / "mixture.json"
    file.write_text(json.dumps([{"reward": "latent:synthetic", "weight": 2.0, "mean": 1.0, "std": 0.5}]))
    generator = a_generator()
    objective = Objective(generator, (RewardTerm(f"mixture:{file}"),))
    (mixture,) = objective.rewards
    model = mixture.rewards[0].model
    assert model.backbone.transformer is generator.model and mixture.differentiable
    latents = generator.noise([1, 2]).requires_grad_()
    found = objective(latents, PROMPTS[:2], seed=3).total
    with torch.no_grad():
        raw = model.score_latents(latents, generator.encode_prompts(PROMPTS[:2]), seed=3)
    torch.testing.assert_close(found.detach(), 2 * (raw - 1) / 0.5, atol=1e-4, rtol=1e-4)
    assert torch.autograd.grad(found.sum(), latents)[0].abs().sum() > 0


def test_scores_come_to_where_the_generator_is_and_pictures_to_where_the_judge_is():
    """A device that holds no values tells where a tensor is."""
    judge, pictures = load_reward("cnn"), torch.rand(2, 3, 32, 32)
    there = CnnReward(judge.model.to("meta"))
    assert there(pictures, PROMPTS[:2]).device.type == "meta"
    counted = FunctionReward(lambda images, prompts: [1.0, 2.0])
    items = (MixtureItem("counted"), MixtureItem("cnn"))
    with torch.device("cpu"):
        assert Mixture(items, (counted, there)).combined([counted(pictures, PROMPTS[:2])] * 2).tolist() == [2.0, 4.0]


def test_a_golden_reward_is_recorded_and_must_not_be_in_the_objective(tmp_path):
    looks = replace(REFL.looks, golden="sharpness", judges=("colourfulness",))
    _, seen, _ = a_run(replace(REFL, steps=1, looks=looks), tmp_path / "run")
    assert {"sharpness", "colourfulness"} < set(seen[0].record.judges) and seen[0].record.golden == "sharpness"
    for golden in ("latent:synthetic", "image:synthetic"):
        with pytest.raises(ValueError, match=r"golden reward|read latents"):
            a_run(replace(REFL, looks=replace(REFL.looks, golden=golden)), tmp_path / "refused")
        assert not (tmp_path / "refused").exists()
    with pytest.raises(ValueError, match="roll-back with a golden reward"):
        LookSettings(on_alarm="roll-back")
    with pytest.raises(ValueError, match="is there twice"):
        a_run(replace(REFL, looks=replace(REFL.looks, golden="sharpness", judges=("sharpness",))), tmp_path / "twice")


def hacking(on_alarm):
    """A run that maximises sharpness with abandon, looked at every update."""
    looks = LookSettings(every=1, images=2, golden="jpeg-size", window=5, on_alarm=on_alarm)
    return replace(REFL, steps=12, lr=3e-2, ema_decay=0.0, rewards=(RewardTerm("sharpness"),), looks=looks)


def test_an_alarm_stops_a_run_that_hacks_its_reward_and_rolls_it_back(tmp_path):
    config = hacking("roll-back")
    run, looks, outcome = a_run(config, tmp_path / "run")
    assert outcome.stopped and outcome.steps < config.steps and looks[-1].alarms
    assert outcome.stopped == looks[-1].alarms[0].sentence
    since = min(finding.since for finding in looks[-1].alarms)
    golden = {look.step: look.record.judges["jpeg-size"].mean for look in looks if look.step <= since}
    best = max(golden, key=golden.__getitem__)
    assert outcome.lora_step == best < outcome.steps
    kept, chosen = (
        next(path.rglob("*.safetensors")) for path in (run.folder / f"loras/step-{best}", run.folder / "lora")
    )
    assert kept.read_bytes() == chosen.read_bytes()
    _, again, same = a_run(config, tmp_path / "run", resume=True)
    assert same == outcome and again == []


def test_a_run_that_was_killed_before_it_ended_by_an_alarm_ends_by_it(tmp_path):
    config = hacking("stop")
    run, _, outcome = a_run(config, tmp_path / "run")
    # What is left of a kill between the last checkpoint and the end
    (run.folder / "outcome.json").unlink()
    _, looks, again = a_run(config, tmp_path / "run", resume=True)
    assert again == outcome and again.stopped and looks == []


@pytest.mark.parametrize("which", [0, 1], ids=["trained", "looked at"])
def test_a_run_does_not_go_on_with_other_prompts(which, tmp_path):
    a_run(REFL, tmp_path / "run", stop_after=1)
    prompts = [PROMPTS, PROMPTS[:2]]
    prompts[which] = [*prompts[which][:-1], "a small blue cross on white"]
    with pytest.raises(ValueError, match=r"started with other (look )?prompts"):
        AlignmentRun(REFL, a_generator(), *prompts, tmp_path / "run", resume=True)


def test_trackers_get_what_the_files_get(tmp_path):
    with pytest.raises(ValueError, match="'trackio' is not installed"):
        replace(REFL, trackers=("trackio",))
    run, looks, _ = a_run(replace(REFL, steps=2, trackers=("tensorboard",)), tmp_path / "run")
    events = EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    told = {event.step: event.value for event in events.Scalars("loss")}
    assert told == pytest.approx({line["step"]: line["loss"] for line in lines}, rel=1e-5)
    assert [event.step for event in events.Scalars("look/true utility")] == [look.step for look in looks]
    # A run that goes on may have others
    assert a_run(replace(REFL, steps=3), tmp_path / "run", resume=True)[2].steps == 3


def test_a_run_is_prolonged_to_the_weights_of_a_longer_one(tmp_path):
    whole, _, _ = a_run(REFL, tmp_path / "whole")
    _, _, short = a_run(replace(REFL, steps=2), tmp_path / "run")
    longer, looks, outcome = a_run(REFL, tmp_path / "run", resume=True)
    assert short.steps == 2 and outcome.steps == outcome.lora_step == 4 and [look.step for look in looks] == [4]
    for name, parameter in whole.generator.parameters.items():
        assert torch.equal(longer.generator.parameters[name], parameter), name
    with pytest.raises(ValueError, match="started with other settings: steps"):
        a_run(replace(REFL, steps=2), tmp_path / "run", resume=True)


def test_a_golden_judge_without_a_score_stops_a_run_at_its_first_look(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "silent_judge.py").write_text("def silent(images, prompts):\n    return [None] * len(prompts)\n")
    looks = replace(REFL.looks, golden="python:silent_judge.silent")
    with (
        pytest.warns(MissingScoresWarning, match="gave no score for 2 of 2"),
        pytest.raises(ValueError, match=r"looks.golden: .* gave no score for any of 2 pictures"),
    ):
        a_run(replace(REFL, looks=looks), tmp_path / "run")


def test_looks_may_have_more_steps_than_what_is_learned(tmp_path):
    _, few, _ = a_run(replace(REFL, steps=1), tmp_path / "few")
    _, many, _ = a_run(replace(REFL, steps=1, looks=replace(REFL.looks, sampling_steps=8)), tmp_path / "many")
    assert (few[0].images != many[0].images).any()
    with pytest.raises(ValueError, match=r"looks\.sampling_steps"):
        LookSettings(sampling_steps=0)


def test_an_alarm_is_only_told_where_that_is_asked(tmp_path):
    _, looks, outcome = a_run(hacking("tell"), tmp_path / "run")
    assert outcome.stopped is None and outcome.steps == 12
    assert any(look.alarms for look in looks)


def test_bad_input_is_refused_before_anything_is_computed(tmp_path):
    generator = a_generator()
    with pytest.raises(ValueError, match="prompt 1 is empty"):
        generator.encode_prompts(["a ring", "  "])
    with pytest.raises(ValueError, match="longer than the text encoders read"):
        generator.encode_prompts(["a small red ring right of a large blue bar " * 5])
    with pytest.raises(ValueError, match="has no gradient"):
        Objective(generator, (RewardTerm("jpeg-size"),))
    with pytest.raises(ValueError, match="names one twice"):
        Objective(generator, (RewardTerm("sharpness"), RewardTerm("sharpness")))
    with pytest.raises(ValueError, match=r"noise_level 0.4; accepted for latent:, image:, remote:, and None"):
        Objective(generator, (RewardTerm("sharpness", noise_level=0.4),))
    with pytest.raises(ValueError, match="accepted: multiples of"):
        Generator(bundled_pipeline(), 33)
    with pytest.raises(ValueError, match="ema_every: got 5; accepted: at most steps, 4"):
        replace(REFL, ema_every=5)
    with pytest.raises(ValueError, match="algorithm: got 'refl'; accepted: flow-grpo"):
        type(GRPO).from_dict(REFL.to_dict())


@pytest.mark.parametrize("bad", ["a small red ring right of a large blue bar " * 5, " "], ids=["long", "empty"])
@pytest.mark.parametrize("looked_at", [False, True])
def test_a_prompt_that_cannot_be_read_stops_a_run_before_its_first_look(bad, looked_at, tmp_path):
    many = distinct_captions(np.random.default_rng(0), 1200)
    drawn, shown = (many, [*PROMPTS[:2], bad]) if looked_at else ([*many, bad], PROMPTS[:2])
    with pytest.raises(ValueError, match="longer than the text encoders read" if bad.strip() else "is empty"):
        AlignmentRun(REFL, a_generator(), drawn, shown, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_diffusers_own_loading_is_what_a_folder_gets(tmp_path):
    bundled_pipeline().save_pretrained(tmp_path / "world")
    loaded = DiffusionPipeline.from_pretrained(tmp_path / "world", text_encoder_3=None, tokenizer_3=None)
    assert torch.equal(Generator(loaded, 32).levels(5), Generator(bundled_pipeline(), 32).levels(5))


@pytest.fixture(scope="module")
def by_two(tmp_path_factory, warm_programs):
    """The folders of all runs by two processes, which are launched once."""
    folder, python = tmp_path_factory.mktemp("two"), str(warm_programs / "python")
    launch = [python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    environment = {**os.environ, "PYTHON_EXEC": python}
    words = [*launch, "tests.alignment.launched_run", str(folder)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", LAUNCHED)
def test_two_processes_learn_what_one_learns(algorithm, tmp_path, by_two):
    shutil.copytree(by_two / algorithm, tmp_path / "2")
    two_updates(algorithm, tmp_path / "1")
    one, two = (
        [json.loads(line) for line in (tmp_path / count / "metrics.jsonl").read_text().splitlines()]
        for count in ("1", "2")
    )
    for a, b in zip(one, two, strict=True):
        assert b["reward"] == pytest.approx(a["reward"], rel=1e-3)
        assert b["gradient_norm"] == pytest.approx(a["gradient_norm"], rel=5e-2)
    weights = [load_file(tmp_path / count / "lora/pytorch_lora_weights.safetensors") for count in ("1", "2")]
    moved = torch.cat([tensor.flatten() for name, tensor in weights[0].items() if "lora_B" in name])
    other = torch.cat([tensor.flatten() for name, tensor in weights[1].items() if "lora_B" in name])
    assert torch.nn.functional.cosine_similarity(moved, other, dim=0) > 0.99
