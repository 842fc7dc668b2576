"""Flow-GRPO with step rewards, FlowDPPO's mask, TempFlow's weights, GARDO's gate; LPO's candidates as groups."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dina_lrm.alignment.algorithms.grpo.credit import DenseCredit
from dina_lrm.alignment.algorithms.grpo.dense_settings import DenseSettings
from dina_lrm.alignment.algorithms.grpo.moving_reference import MovingReference
from dina_lrm.alignment.algorithms.grpo.readings import Asked, StateReader, states_of
from dina_lrm.alignment.algorithms.grpo.settings import GrpoSettings
from dina_lrm.alignment.algorithms.rollout import roll_out, step_of
from dina_lrm.generators.kernels import FlowSde
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import EVERYTHING, GRPO, PROMPTS, STEP_GROUPS, a_generator, a_run, an_algorithm
from tests.models import randomised

ONE = replace(GRPO, grpo=replace(GRPO.grpo, updates=1, group=4))
NOISE, KERNEL = [1, 2, 3], FlowSde(0.7)


def settled(**changes):
    return replace(ONE, grpo=replace(ONE.grpo, **changes))


def dense(**changes):
    return settled(credit="dense", dense=DenseSettings(**{"reading": "noisy", **changes}))


def gradients(config, generator=None):
    """The outcome of an update, and the gradient that it would follow."""
    algorithm, found = an_algorithm(config, generator or a_generator()), {}

    def learn():
        for name, parameter in algorithm.generator.parameters.items():
            found[name], parameter.grad = parameter.grad, None
        return 1.0

    outcome = algorithm.update(0, learn)
    return outcome, torch.cat([gradient.flatten() for gradient in found.values() if gradient is not None])


@pytest.fixture(scope="module")
def plain():
    return gradients(ONE)


@pytest.mark.parametrize(
    "config",
    [
        dense(),
        dense(level_scale="slope", scope="trajectory", mix=0.5),
        dense(reading="clean", first_gain=True),
        dense(reading="look-ahead", look_ahead=2, highest=0.9),
        settled(step_weights="tempflow"),
        settled(diverse=True),
        replace(STEP_GROUPS, batch_size=2),
    ],
    ids=["noisy", "slope", "clean", "look-ahead", "tempflow", "diverse", "step groups"],
)
def test_before_anything_was_learned_the_ratio_is_1_and_there_is_another_gradient(config, plain):
    outcome, found = gradients(config)
    assert outcome.details.get("ratio", 1) == pytest.approx(1, abs=1e-6) and found.isfinite().all()
    assert found.abs().max() > 0 and not torch.allclose(found, plain[1], rtol=1e-3)
    if "state_scores" in outcome.details:
        # Two steps have three states; from the last one the sample itself went the way of an ODE of two steps
        assert outcome.details["state_scores"] == (2 if config.grpo.dense.reading == "look-ahead" else 3)


def test_credit_of_the_end_alone_is_flow_grpo_bit_for_bit(plain):
    outcome, found = gradients(dense(reading="clean", mix=0.0, first_gain=True))
    assert torch.equal(found, plain[1]) and outcome.reward == plain[0].reward


def test_a_mask_that_is_never_reached_has_the_clips_gradient_where_that_is_not_reached(plain):
    _, found = gradients(settled(trust="divergence"))
    torch.testing.assert_close(found, plain[1], rtol=1e-5, atol=1e-8)


def learned_generator():
    generator = a_generator()
    with torch.no_grad():
        for name, parameter in generator.parameters.items():
            if "lora_B" in name:
                parameter += 0.02
    return generator


def test_a_gate_for_all_is_the_kl_of_today_and_a_narrow_one_is_less():
    kl = settled(kl_weight=10.0)
    today, found = gradients(kl, learned_generator())
    whole, gated = gradients(settled(kl_weight=10.0, kl_gate=("sharpness",), kl_share=1.0), learned_generator())
    assert torch.equal(found, gated) and whole.details["kl"] == today.details["kl"] and whole.details["held"] == 1
    some, _ = gradients(settled(kl_weight=10.0, kl_gate=("sharpness",), kl_share=0.25), learned_generator())
    assert 0 < some.details["kl"] < today.details["kl"] and some.details["held"] == 0.25
    nobody, free = gradients(settled(kl_weight=10.0, kl_gate=("latent:synthetic",)), learned_generator())
    assert nobody.details["held"] <= 0.25 and free.isfinite().all()


def test_a_reference_that_was_never_reset_is_the_base_model():
    kept, found = gradients(settled(kl_weight=10.0))
    moving, same = gradients(settled(kl_weight=10.0, reset_every=9))
    assert torch.equal(found, same) and moving.details.pop("reset") == 0 and moving.details == kept.details


def test_the_kl_is_to_the_policy_of_the_last_reset():
    algorithm = an_algorithm(settled(kl_weight=10.0, reset_every=2))
    kls, resets = [], []

    def learn():
        with torch.no_grad():
            for name, parameter in algorithm.generator.parameters.items():
                parameter += 0.02 * ("lora_B" in name)
                parameter.grad = None
        return 1.0

    for step in range(5):
        details = algorithm.update(step, learn).details
        kls.append(details["kl"])
        resets.append(details["reset"])
    assert resets == [0, 1, 0, 1, 0]
    # The KL of an update is that before it learned: of no move, of one, and of none again after a reset
    assert kls[1] > 0 and kls[0] == kls[2] == kls[4] == pytest.approx(0, abs=1e-9)
    assert kls[3] > 0
    reference = algorithm.state()["reference"]
    for name, parameter in algorithm.generator.parameters.items():
        torch.testing.assert_close(reference[name], parameter.detach() - 0.02 * ("lora_B" in name))


def test_a_reset_is_due_by_age_or_by_the_kl_and_nan_is_beyond_no_limit():
    parameters = {"weight": torch.nn.Parameter(torch.zeros(2))}
    far = MovingReference(parameters, limit=0.5)
    assert [far.follow(kl) for kl in (0.5, float("nan"), 0.6, 0.1)] == [False, False, True, False]
    both = MovingReference(parameters, every=3, limit=0.5)
    assert [both.follow(kl) for kl in (0.0, 0.6, 0.0, 0.0, float("nan"))] == [False, True, False, False, True]
    with torch.no_grad():
        parameters["weight"] += 1
    with both.acting():
        assert parameters["weight"].tolist() == [0, 0]
    assert both.follow(1.0) and both.tensors()["reference"]["weight"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="a number of updates, a KL, or both"):
        MovingReference(parameters)


def test_a_run_with_resets_goes_on_to_the_same_bytes(tmp_path):
    settings = replace(ONE.grpo, kl_weight=1.0, reset_every=2, reset_kl=1e3)
    config = replace(ONE, grpo=settings, steps=4, checkpoint_every=1, looks=replace(ONE.looks, every=4))
    a_run(config, tmp_path / "whole")
    a_run(config, tmp_path / "run", stop_after=1)  # in the middle of what is counted until a reset
    a_run(config, tmp_path / "run", resume=True)
    for file in ("metrics.jsonl", "monitor.jsonl", "lora/pytorch_lora_weights.safetensors"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["reset"] for row in rows] == [0, 1, 0, 1]


def a_rollout(generator, window=range(1, 3)):
    levels, conditioning = generator.levels(4), generator.encode_prompts(PROMPTS)
    rollout = roll_out(generator, conditioning, generator.noise(NOISE), levels, window, KERNEL, NOISE)
    return levels, rollout


def read(generator, objective, rollout, levels, base=False, **settings):
    final = objective(rollout.latents, PROMPTS, 5, rollout.conditioning).total
    reader = StateReader(generator, objective, DenseSettings(**{"reading": "noisy", **settings}), levels, KERNEL, base)
    return reader(rollout, Asked(PROMPTS, 5, rollout.conditioning, final)), final


def test_readings_agree_where_they_are_the_same():
    generator = a_generator()
    objective = Objective(generator, ONE.rewards, differentiable=False)
    levels, rollout = a_rollout(generator)
    clean, _ = read(generator, objective, rollout, levels, reading="clean")
    short, _ = read(generator, objective, rollout, levels, reading="look-ahead", look_ahead=1)
    torch.testing.assert_close(short.scores, clean.scores, rtol=1e-4, atol=1e-4)
    whole, final = read(generator, objective, rollout, levels, reading="look-ahead")
    # The last state is a step from the end, which the sample has taken
    assert torch.equal(whole.scores[:, -1], final) and (whole.passes, short.passes, clean.passes) == (2, 2, 3)
    noisy, _ = read(generator, objective, rollout, levels, reading="noisy")
    model = objective.rewards[0].model
    for column, state in zip(noisy.scores.unbind(1), states_of(rollout), strict=True):
        wanted = model.normalize(model.score_noisy(state.x, float(state.level), rollout.conditioning))
        torch.testing.assert_close(column, wanted)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute:UserWarning")
def test_the_pass_of_the_kl_reads_the_state_too_also_once_the_lora_has_learned(tmp_path):
    config = replace(LatentRewardModel.from_pretrained("synthetic").config, lora=None)
    randomised(LatentRewardModel.build(config)).save_pretrained(tmp_path / "frozen")
    generator, rewards = learned_generator(), (RewardTerm(f"latent:{tmp_path / 'frozen'}", -2.0, 0.2),)
    objective = Objective(generator, rewards, differentiable=False)
    levels, rollout = a_rollout(generator)
    apart, _ = read(generator, objective, rollout, levels)
    together, _ = read(generator, objective, rollout, levels, base=True)
    torch.testing.assert_close(together.scores, apart.scores, rtol=1e-4, atol=1e-4)
    assert (apart.passes, together.passes) == (3, 1)
    for taken in together.rollout.transitions:
        with torch.no_grad(), generator.reference():
            base = step_of(generator, KERNEL, taken.x, taken.level, taken.next_level, rollout.conditioning)
        torch.testing.assert_close(taken.base.mean, base.mean, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(taken.step.mean, base.mean, atol=1e-4)
    kl = replace(dense(), rewards=rewards)
    _, found = gradients(replace(kl, grpo=replace(kl.grpo, kl_weight=10.0)), generator)
    assert found.isfinite().all() and found.abs().max() > 0


def test_scores_of_a_level_count_in_the_unit_that_was_measured():
    algorithm = an_algorithm(dense(mix=1.0, first_gain=True))
    credit, ids = algorithm._credit, torch.tensor([0, 0, 1, 1])
    assert isinstance(credit, DenseCredit)
    measured = algorithm.measured()
    assert list(measured) == ["finished", "state 0", "state 1", "state 2", "state 3"]
    assert all(deviation > 0 for deviation, _ in measured.values()) and measured == algorithm.measured()
    doubled = {name: (2 * pair[0], pair[1]) for name, pair in measured.items()}
    rng = torch.Generator().manual_seed(0)
    scores, final = torch.randn(4, 3, generator=rng), torch.randn(4, generator=rng)
    algorithm.know(measured)
    before = credit.advantages(scores, final, range(2), ids)
    algorithm.know(doubled)
    torch.testing.assert_close(credit.advantages(2 * scores, final, range(2), ids).values, before.values)


def test_a_run_with_all_of_it_goes_on_to_the_same_bytes(tmp_path):
    config = replace(EVERYTHING, steps=2, checkpoint_every=1)
    whole, _, _ = a_run(config, tmp_path / "whole")
    a_run(config, tmp_path / "run", stop_after=1)
    resumed, _, _ = a_run(config, tmp_path / "run", resume=True)
    for file in ("metrics.jsonl", "measured.json", "monitor.jsonl"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    for name, parameter in whole.generator.parameters.items():
        assert torch.equal(resumed.generator.parameters[name], parameter), name
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < row["held"] <= 0.5 and row["state_scores"] == 3 and np.isfinite(row["loss"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GrpoSettings(trust="divergence", kernel="cps"), "clip with the kernel cps"),
        (lambda: GrpoSettings(trust="divergence", guard=True), "false with grpo.trust divergence"),
        (lambda: GrpoSettings(step_weights="tempflow", guard=True), "equal with grpo.guard, which has the same factor"),
        (lambda: GrpoSettings(step_weights="tempflow", kernel="cps"), "equal with the kernel cps"),
        (lambda: GrpoSettings(credit="dense", scope="batch"), "group with grpo.credit dense"),
        (lambda: GrpoSettings(credit="dense", combination="normalised"), "sum with grpo.credit dense"),
        (lambda: GrpoSettings(kl_gate=("sharpness",)), "grpo.kl_weight above 0"),
        (lambda: GrpoSettings(kl_weight=1.0, kl_gate=("cnn", "cnn")), "each auxiliary reward once"),
        (lambda: DenseSettings(mix=2.0), "grpo.dense.mix"),
        (lambda: replace(dense(), rewards=(RewardTerm("cnn"), RewardTerm("sharpness"))), "one latent reward, or clean"),
        (lambda: an_algorithm(replace(dense(), rewards=(RewardTerm("sharpness"),))), "accepted: one reward latent"),
        (
            lambda: replace(
                settled(kl_weight=1.0, kl_gate=("cnn",)), looks=replace(ONE.looks, golden="cnn")
            ),
            "grpo.kl_gate: got 'cnn'; accepted: rewards that are not looks.golden",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_golden_reward_that_shares_weights_with_an_auxiliary_one_is_refused(tmp_path):
    config = settled(kl_weight=1.0, kl_gate=("latent:synthetic",))
    config = replace(config, rewards=(RewardTerm("sharpness"),), looks=replace(ONE.looks, golden="image:synthetic"))
    with pytest.raises(ValueError, match=r"golden reward 'image:synthetic': shares .* with 'latent:synthetic'"):
        a_run(config, tmp_path / "run")
