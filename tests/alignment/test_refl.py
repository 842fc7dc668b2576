"""ReFL on the bundled generators: whose weights learn, that a stopped run goes on exactly, what diffusers reads."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from dina_lrm.alignment.config import AlignConfig, GeneratorSettings, ReflSettings, RewardTerm
from dina_lrm.alignment.generator import Generator
from dina_lrm.alignment.objective import Objective
from dina_lrm.alignment.refl import Refl
from dina_lrm.alignment.trainer import AlignmentRun
from dina_lrm.cli.main import main
from dina_lrm.synthetic.world import bundled_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
PROMPTS = ["a small red ring on white", "two large blue bars on black", "a large green square on grey"]
CONFIG = AlignConfig(
    steps=4,
    batch_size=4,
    micro_batch=2,
    generator=GeneratorSettings("synthetic", 32, 0, rank=2, alpha=4.0, sampling_steps=4, guidance=3.0),
    rewards=(RewardTerm("latent:synthetic", noise_level=0.2),),
    refl=ReflSettings(first=2, last=3),
    lr=1e-2,
    ema_every=1,
    look_every=2,
    look_images=1,
    checkpoint_every=2,
)


def a_generator(name: str = "synthetic") -> Generator:
    settings = CONFIG.generator
    return Generator(bundled_pipeline(name), 32, settings.rank, settings.alpha, 0, settings.guidance)


def a_run(folder, resume=False, stop_after=None):
    run = AlignmentRun(CONFIG, a_generator(), PROMPTS, PROMPTS[:2], folder, resume)
    looks = []
    done = run.run(looks.append, lambda *_: None, stop_after)
    return run, looks, done


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return a_run(tmp_path_factory.mktemp("refl") / "run")


def test_a_run_leaves_what_it_should(straight):
    run, looks, done = straight
    assert done == 4 and [look.step for look in looks] == [0, 2, 4]
    assert looks[0].images.shape == (2, 32, 32, 3) and looks[0].images.dtype == np.uint8
    assert not np.array_equal(looks[0].images, looks[2].images)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line["reward"] == pytest.approx(line["parts"]["latent:synthetic"]) for line in lines)
    assert AlignConfig.from_dict(json.loads((run.folder / "config.json").read_text())) == CONFIG


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(straight, tmp_path):
    whole, _, _ = straight
    a_run(tmp_path / "run", stop_after=3)  # the checkpoint is of step 2
    resumed, _, _ = a_run(tmp_path / "run", resume=True)
    for name, parameter in whole.generator.parameters.items():
        assert torch.equal(resumed.generator.parameters[name], parameter), name
    for file in ("metrics.jsonl",):
        assert (tmp_path / "run" / file).read_text() == (whole.folder / file).read_text()
    with pytest.raises(FileExistsError, match="add --resume"):
        a_run(tmp_path / "run")


def test_plain_diffusers_reads_the_lora(straight):
    run, looks, _ = straight
    pipeline = bundled_pipeline()
    pipeline.load_lora_weights(run.folder / "lora")
    generator = run.generator
    image = pipeline(
        PROMPTS[0], num_inference_steps=4, guidance_scale=3.0, height=32, width=32, max_sequence_length=0,
        latents=generator.noise([1_000_000]), output_type="np",
    ).images  # fmt: skip
    difference = np.abs(np.round(image[0] * 255) - looks[-1].images[0].astype(float))
    assert difference.max() <= 1


def test_only_the_generators_lora_learns_and_the_reward_stays_as_it_is(straight):
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
        theirs = Objective(plain, CONFIG.rewards)(latents, PROMPTS[:2]).total
    torch.testing.assert_close(ours, theirs)
    learning = {name for name, p in run.generator.model.named_parameters() if p.requires_grad}
    assert learning == set(run.generator.parameters)


def test_generator_and_reward_hold_one_copy_of_the_weights(straight):
    run, _, _ = straight
    (reward,) = run.objective.rewards
    assert reward.model.backbone.transformer is run.generator.model
    own = sum(parameter.numel() for parameter in reward.model.parameters())
    assert own < sum(parameter.numel() for parameter in run.generator.model.parameters()) / 3


@pytest.mark.parametrize("name", ["synthetic", "synthetic-unet"])
def test_rewards_of_pixels_reach_the_lora_of_either_generator(name):
    generator = a_generator(name)
    config = replace(CONFIG, rewards=(RewardTerm("sharpness", weight=-1.0),))
    objective = Objective(generator, config.rewards)
    outcome = Refl(config, generator, objective, PROMPTS).backward(0)
    assert outcome.gradient_norm > 0 and outcome.reward == pytest.approx(-outcome.parts["sharpness"])
    touched = [p for p in generator.parameters.values() if p.grad is not None and p.grad.abs().sum() > 0]
    assert touched


def test_small_steps_up_the_gradient_raise_the_reward():
    generator = a_generator()
    refl = Refl(CONFIG, generator, Objective(generator, CONFIG.rewards), PROMPTS)
    optimizer = torch.optim.SGD(generator.parameters.values(), lr=0.02)
    before = refl.backward(0).reward
    for _ in range(3):
        optimizer.step()
        optimizer.zero_grad()
        after = refl.backward(0).reward
    assert after > before


def test_the_pretraining_loss_starts_at_the_generators_own_error_and_pulls_back():
    generator = a_generator()
    settings = replace(CONFIG.refl, pretraining_weight=1e6, pretraining_samples=4)
    config = replace(CONFIG, refl=settings)
    plain = Refl(CONFIG, generator, Objective(generator, CONFIG.rewards), PROMPTS).backward(0)
    mixed = Refl(config, generator, Objective(generator, config.rewards), PROMPTS).backward(0)
    assert mixed.loss != pytest.approx(plain.loss) and 0 < mixed.loss < 10  # a mean squared error, all but alone


def test_bad_input_is_refused_before_anything_is_computed(tmp_path, capsys):
    generator = a_generator()
    with pytest.raises(ValueError, match="prompt 1 is empty"):
        generator.encode_prompts(["a ring", "  "])
    with pytest.raises(ValueError, match="longer than the text encoders read"):
        generator.encode_prompts(["a small red ring right of a large blue bar " * 5])
    with pytest.raises(ValueError, match="has no gradient"):
        Objective(generator, (RewardTerm("jpeg-size"),))
    with pytest.raises(ValueError, match="names one twice"):
        Objective(generator, (RewardTerm("sharpness"), RewardTerm("sharpness")))
    with pytest.raises(ValueError, match="0 <= first <= last <= 3"):
        replace(CONFIG, refl=ReflSettings(first=2, last=4))
    with pytest.raises(ValueError, match="accepted are multiples of"):
        Generator(bundled_pipeline(), 33)
    assert main(["align", "refl", "synthetic", "--prompts", str(tmp_path / "no.txt"), "--out", str(tmp_path)]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_a_dry_run_checks_everything_and_leaves_nothing(tmp_path):
    target = tmp_path / "result.json"
    words = ["align", "refl", "synthetic", "--prompts", "synthetic", "--out", str(tmp_path / "run"), "--dry-run"]
    assert main([*words, "--micro-batch", "2", "--batch-size", "2", "--quiet", "--json", str(target)]) == 0
    assert not (tmp_path / "run").exists()
    found = json.loads(target.read_text())
    assert found["steps"] == 1 and "true utility" in found["looks"][0]


def test_diffusers_own_loading_is_what_a_folder_gets(tmp_path):
    bundled_pipeline().save_pretrained(tmp_path / "world")
    loaded = DiffusionPipeline.from_pretrained(tmp_path / "world", text_encoder_3=None, tokenizer_3=None)
    assert torch.equal(Generator(loaded, 32).levels(5), Generator(bundled_pipeline(), 32).levels(5))
