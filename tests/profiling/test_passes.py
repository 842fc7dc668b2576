"""The passes that are counted for an update are those that it makes."""

from dataclasses import replace

import pytest
import torch

from dina_lrm.alignment.algorithms.distill.settings import DistillSettings
from dina_lrm.alignment.algorithms.forward.settings import ForwardSettings
from dina_lrm.alignment.algorithms.grpo.dense_settings import DenseSettings
from dina_lrm.alignment.algorithms.grpo.flow_grpo import window_of
from dina_lrm.alignment.algorithms.refl_settings import ReflSettings
from dina_lrm.profiling.passes import passes_of
from dina_lrm.profiling.updates import full_size_objectives, update_costs
from dina_lrm.reports.cost.updates import updates_cost, updates_table
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.sampling.in_pass import InPass
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.sampling.step_scores import StepScorer
from tests.alignment.runs import (
    AWM,
    CRAFT,
    CRD,
    DGPO,
    DISTILL,
    DPO,
    GRPO,
    LPO,
    NFT,
    REFL,
    STEP_GROUPS,
    a_generator,
    an_algorithm,
)
from tests.profiling.test_profiling import shallow

HELD = {"kl_weight": 1.0, "pretraining_weight": 1.0, "pretraining_samples": 2}


def alone(config, steps=3, **changes):
    """A run of two images an update, without guidance."""
    generator = replace(config.generator, sampling_steps=steps, guidance=1.0)
    return replace(config, batch_size=2, micro_batch=2, generator=generator, **changes)


def guided(config):
    return replace(config, generator=replace(config.generator, guidance=3.0))


REFL_2 = replace(REFL, refl=ReflSettings(first=2, last=2, **HELD))
DENSE = replace(GRPO.grpo, updates=1, credit="dense", window_steps=2, dense=DenseSettings("noisy"))
READINGS = ("noisy", "clean", "look-ahead")
UPDATES = {
    "refl, guided": guided(alone(REFL_2)),
    "draft": alone(REFL_2, refl=ReflSettings(first=2, last=2, through="draft", through_steps=2, **HELD)),
    "drtune": alone(REFL_2, refl=ReflSettings(first=2, last=2, through="drtune", through_steps=2, **HELD)),
    "prfl": alone(REFL_2, refl=ReflSettings(first=1, last=2, through="prfl")),
    "flow-grpo, guided": guided(alone(GRPO, grpo=replace(GRPO.grpo, updates=1, kl_weight=1.0))),
    **{f"dense, {name}": alone(GRPO, grpo=replace(DENSE, dense=DenseSettings(name))) for name in READINGS},
    "dense, one step ahead": alone(GRPO, grpo=replace(DENSE, dense=DenseSettings("look-ahead", look_ahead=1))),
    "gated KL": alone(GRPO, grpo=replace(GRPO.grpo, updates=1, kl_weight=1.0, kl_gate=("sharpness",), kl_share=1.0)),
    "lpo, groups": alone(STEP_GROUPS),
    "lpo": alone(LPO, lpo=replace(LPO.lpo, low=0.0, high=0.0)),
    "dpo": alone(DPO, dpo=replace(DPO.dpo, prompts=2)),
    "nft": alone(NFT),
    "awm": alone(AWM, forward=ForwardSettings(group=2, old="copy", updates=1)),
    "crd": alone(CRD, forward=replace(CRD.forward, group=2)),
    "crd, held to the guided base": alone(
        CRD, forward=replace(CRD.forward, group=2, kl_weight=1e-2, kl_guidance=3.0, kl_by_reward=True)
    ),
    "dgpo": alone(DGPO),
    "craft": alone(CRAFT),
    "distill": alone(DISTILL),
    "distill, its teacher guided": alone(DISTILL, distill=DistillSettings(guidance=3.0)),
    "distill, guided": guided(alone(DISTILL, distill=DistillSettings(lowest=0.5))),
}


@pytest.fixture(scope="module")
def generator():
    return a_generator(alone(REFL_2))


@pytest.mark.parametrize("name", UPDATES)
def test_they_are_those_of_an_update(name, generator, monkeypatch):
    config = UPDATES[name]
    monkeypatch.setattr(generator, "guidance", config.generator.guidance)
    made, expected, size = passes_of_an_update(config, generator, monkeypatch), *counted(config)
    assert (made["sampled"], made["learned"]) == (size * expected.sampled, size * expected.learned)
    if name != "prfl":  # which reads states by another door
        assert (made["scores"], made["gradients"]) == (size * expected.scores, size * expected.gradients)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
def test_the_pass_of_a_kl_scores_states_by_the_head_alone(tmp_path, monkeypatch):
    frozen = replace(LatentRewardModel.from_pretrained("synthetic").config, lora=None)
    LatentRewardModel.build(frozen).save_pretrained(tmp_path / "frozen")
    rewards = (RewardTerm(f"latent:{tmp_path / 'frozen'}", noise_level=0.2),)
    config = alone(GRPO, grpo=replace(DENSE, kl_weight=1.0), rewards=rewards)
    made, expected, size = passes_of_an_update(config, a_generator(config), monkeypatch), *counted(config)
    assert made == {name: size * getattr(expected, name) for name in made} and expected.heads == 2


@pytest.mark.parametrize("window", ["first", "random", "sliding", "every"])
def test_states_are_looked_ahead_from_where_windows_begin(window):
    settings = replace(
        DENSE, window=window, window_until=0.8, window_period=1, dense=DenseSettings("look-ahead", look_ahead=3)
    )
    config, made = alone(GRPO, 6, grpo=settings), []
    for step in range(400):
        window = window_of(settings).steps(6, step)
        ahead = [min(3, 6 - first) for first in [*window, window.stop]]
        made.append(len(ahead) - (ahead[-1] == 6 - window.stop) + 1)
    assert passes_of(config, [1 - n / 6 for n in range(7)]).scores == pytest.approx(sum(made) / len(made), abs=0.05)


def counted(config):
    """The passes that are counted for each image, and the number of images."""
    return passes_of(config, an_algorithm(config, a_generator(config)).levels.tolist()), config.batch_size


def passes_of_an_update(config, generator, monkeypatch):
    """Passes and scores of the second update of a run."""
    algorithm = an_algorithm(config, generator)
    if config.algorithm in ("dpo", "craft"):
        algorithm.update(0, lambda: 0.0)  # which draws what is learned from
    made = {"sampled": 0, "learned": 0, "scores": 0, "gradients": 0, "heads": 0}
    velocity, scored, climbed = generator.backbone.velocity, Objective.__call__, Objective.gradients
    states, in_pass = StepScorer.noisy, InPass.__call__
    algorithm.know(algorithm.measured())

    def counted_velocity(x, *rest):
        made["learned" if torch.is_grad_enabled() else "sampled"] += len(x)
        return velocity(x, *rest)

    def counted_score(self, latents, *rest):
        made["gradients" if torch.is_grad_enabled() else "scores"] += len(latents)
        return scored(self, latents, *rest)

    def counted_states(self, x, *rest):
        made["scores"] += len(x)
        return states(self, x, *rest)

    def counted_gradients(self, latents, *rest, **named):
        made["gradients"] += len(latents)
        return climbed(self, latents, *rest, **named)

    def counted_in_pass(self, x, *rest):
        made["sampled"] += len(x)
        made["heads"] += len(x)
        return in_pass(self, x, *rest)

    monkeypatch.setattr(generator.backbone, "velocity", counted_velocity)
    monkeypatch.setattr(Objective, "__call__", counted_score)
    monkeypatch.setattr(Objective, "gradients", counted_gradients)
    monkeypatch.setattr(StepScorer, "noisy", counted_states)
    monkeypatch.setattr(InPass, "__call__", counted_in_pass)
    algorithm.update(1, lambda: 0.0)
    return made


def test_one_step_in_memory_whatever_their_number_or_each_of_them():
    updates = update_costs("few blocks", shallow("sd3.5-medium"), 64, 1, "clip-b32")
    found = {row.objective: row for row in updates.rows}
    assert sorted([*found, *updates.not_counted]) == sorted(name for name, _ in full_size_objectives())
    drtune, draft = ([found[f"refl, {way} {n}"] for n in (1, 2, 4)] for way in ("drtune", "draft"))
    assert len({row.latent_bytes for row in drtune}) == 1
    step = draft[1].latent_bytes - draft[0].latent_bytes
    assert step > 0 and draft[2].latent_bytes - draft[1].latent_bytes == pytest.approx(2 * step)
    assert drtune[2].latent_flops > drtune[1].latent_flops > drtune[0].latent_flops
    assert found["lpo"].pixel_flops is None and found["refl"].pixel_bytes > found["refl"].latent_bytes


def test_a_table_and_a_plot_show_every_objective():
    updates = update_costs("few blocks", shallow("sd3.5-medium"), 64, 1, "clip-b32")
    assert updates_table(updates).row_count == len(updates.rows)
    labels = [text.get_text() for text in updates_cost(updates).axes[0].get_yticklabels()]
    assert len(labels) == len(updates.rows) and "refl, drtune 4" in labels
