"""Pictures of a comparison that have a size each: laws of their batches, losses and runs."""

import dataclasses

import pytest
import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.tokens import pair_tokens
from dina_lrm.evaluation.readings import Reading
from dina_lrm.evaluation.scoring import score_comparisons
from dina_lrm.evaluation.sets import decoded_pair
from dina_lrm.preference.distributions import Uniform
from dina_lrm.preference.noise_levels import NoiseLevelSampler
from dina_lrm.preference.presets import PRESETS
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.runs.metrics import read_lines
from dina_lrm.training.assemble import reward_model_config
from dina_lrm.training.batching import StepSource, TokenBudget
from dina_lrm.training.config import HeterogeneousSettings
from dina_lrm.training.objective import comparison_loss
from dina_lrm.training.validation import in_order, measurable, validate
from tests.training.launched_sizes import run
from tests.training.launching import ended, start_group
from tests.training.tiny_runs import sized_comparisons, tiny_comparisons, tiny_config

UNIFORM, PAPER = NoiseLevelSampler(Uniform()), PRESETS["paper"]


@pytest.fixture(scope="module")
def model(tiny_folder):
    torch.manual_seed(0)
    return LatentRewardModel.build(reward_model_config(tiny_config(tiny_folder)), dtype=torch.float32, seed=0).train()


def micro_loss(model, micro, total=None, heterogeneous=None):
    return comparison_loss(
        model, model.process, PAPER, micro.batch, micro.noise_level, micro.noise, total, heterogeneous
    )


def gradients(model, steps, count=1):
    """Summed gradients of the micro-batches of a step, as processes that average theirs would have them."""
    model.zero_grad()
    for inputs in steps:
        for micro in inputs.micro_batches:
            (micro_loss(model, micro, inputs.total_weight / count).loss / count).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def mirrored(data):
    pairs = data.pairs
    return EncodedComparisons(
        data.latents,
        data.conditioning,
        data.prompts,
        data.truncated,
        dataclasses.replace(
            pairs,
            bucket_a=pairs.bucket_b,
            image_a=pairs.image_b,
            bucket_b=pairs.bucket_a,
            image_b=pairs.image_a,
            preference=1 - pairs.preference,
        ),
    )


def test_pairs_that_share_a_size_have_the_losses_of_a_set_of_that_size_to_the_bit(model):
    """A set of several buckets whose pairs are all of the first one, against the same set with one bucket alone."""
    several = sized_comparisons("one")
    pairs = several.pairs
    alone = EncodedComparisons.from_tensors(
        next(several.latents[0].shards())["latents"],
        several.conditioning_of(torch.arange(4)),
        *(pairs.image_a, pairs.image_b, pairs.prompt, pairs.preference),
        pair_id=pairs.pair_id,
    )
    for step in range(3):
        (one,), (other,) = (StepSource(data, UNIFORM, 9, seed=1)(step).micro_batches for data in (several, alone))
        assert one.pair_names == other.pair_names
        assert torch.equal(micro_loss(model, one).pair_loss, micro_loss(model, other).pair_loss)


def test_both_pictures_share_the_level_and_the_noise_is_that_of_the_prompt_and_the_shape():
    data = sized_comparisons()
    (own,) = StepSource(data, UNIFORM, 30, seed=2)(0).micro_batches
    batch = own.batch
    assert len(batch.images) == 3 and torch.equal(batch.group[batch.first], batch.group[batch.second])
    # The square pictures see what they see in a set of square pictures alone
    (square,) = StepSource(sized_comparisons("one"), UNIFORM, 30, seed=2)(0).micro_batches
    of_prompt = dict(zip(square.batch.prompts.tolist(), square.noise[0], strict=True))
    for group, noise in zip(batch.images[0].groups.tolist(), own.noise[0], strict=True):
        assert torch.equal(noise, of_prompt[int(batch.prompts[group])])
    for part, noise in zip(batch.images, own.noise, strict=True):
        assert noise.shape == (len(part.groups), *part.latents.shape[1:])


def test_a_loss_of_two_sizes_is_that_of_each_picture_scored_by_itself(model):
    (micro,) = StepSource(sized_comparisons(), UNIFORM, 30, seed=0)(1).micro_batches
    batch, found = micro.batch, micro_loss(model, micro)
    scores = torch.cat(
        [
            model(
                model.process.add_noise(part.latents, noise[part.member], level := micro.noise_level[part.group]),
                level,
                part.conditioning,
            )[:, 0]
            for part, noise in zip(batch.images, micro.noise, strict=True)
        ]
    )
    margin = scores[batch.first] - scores[batch.second]
    sigma = model.process.sigma(micro.noise_level[batch.group[batch.first]])
    assert torch.equal(found.margin, margin.detach())
    torch.testing.assert_close(found.pair_loss, PAPER(margin, sigma, batch.preference).detach())
    both = micro_loss(model, micro, heterogeneous=HeterogeneousSettings(weight=0.5, gap=0.1))
    torch.testing.assert_close(both.margin, found.margin, atol=1e-5, rtol=1e-4)
    assert (both.pair_loss > found.pair_loss).all()


def test_swapping_the_sides_mirrors(model):
    data = sized_comparisons()
    for step in range(2):
        (one,), (other,) = (StepSource(each, UNIFORM, 9, seed=1)(step).micro_batches for each in (data, mirrored(data)))
        assert one.pair_names == other.pair_names
        here, there = micro_loss(model, one), micro_loss(model, other)
        assert torch.equal(here.margin, -there.margin)
        torch.testing.assert_close(here.pair_loss, there.pair_loss, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("world", "tokens"), [(2, None), (5, None), (3, (300, None)), (3, (300, 90)), (5, (None, 60))], ids=str
)
def test_processes_read_the_same_sizes_and_have_the_gradient_of_one(model, world, tokens):
    data = sized_comparisons()
    budget = None if tokens is None else TokenBudget(pair_tokens(data, 2), *tokens)
    whole = StepSource(
        data, UNIFORM, 9, 3, tokens=None if budget is None else dataclasses.replace(budget, forward=None)
    )
    ranks = [StepSource(data, UNIFORM, 9, 3, True, 2, rank, world, tokens=budget) for rank in range(world)]
    beside = 0
    for step in range(2):
        shares = [source(step) for source in ranks]
        forwards = [
            [[tuple(part.latents.shape[1:]) for part in micro.batch.images] for micro in share.micro_batches]
            for share in shares
        ]
        assert all(each == forwards[0] for each in forwards), "processes that hold the weights together would wait"
        beside += sum(micro.batch.beside for share in shares for micro in share.micro_batches)
        names = [name for share in shares for micro in share.micro_batches for name in micro.pair_names]
        assert sorted(names) == sorted(n for micro in whole(step).micro_batches for n in micro.pair_names)
        if tokens is not None and tokens[1] is not None:
            spent = dict(zip(data.pairs.pair_id, budget.of_pair.tolist(), strict=True))
            parts = [micro.pair_names for share in shares for micro in share.micro_batches]
            assert all(sum(map(spent.get, part)) <= tokens[1] for part in parts if len(part) > 1)
        expected, found = gradients(model, [whole(step)]), gradients(model, shares, world)
        assert expected.keys() == found.keys()
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-3)
    assert beside > 0 or (world, tokens) != (5, None)


def test_more_processes_than_pairs_of_a_batch_are_refused():
    with pytest.raises(ValueError, match="batch_size is 4, for 5 processes; accepted: at least a pair each"):
        StepSource(tiny_comparisons(), UNIFORM, 4, 0, world=5)


def test_tokens_of_a_pair_are_those_of_both_pictures_and_of_the_prompt_beside_each():
    data = sized_comparisons()
    text = data.conditioning_of(torch.tensor([0])).prompt_embeds.shape[1]
    pairs = data.pairs
    for multiple, visual in ((2, [4, 6, 4]), (3, [4, 4, 3])):  # of 4x4, 4x6 and 8x2 latents
        expected = torch.tensor(visual)[torch.stack([pairs.bucket_a, pairs.bucket_b])].sum(0) + 2 * text
        assert torch.equal(pair_tokens(data, multiple), expected)


def test_evaluation_reads_each_picture_at_its_own_size(model):
    data = sized_comparisons()
    model.eval()
    try:
        scores = score_comparisons(model, data, (Reading((0.4,)),), batch_size=5)
        for pair in (0, 7, 20):
            for side, bucket, image in (
                (scores.first, data.pairs.bucket_a, data.pairs.image_a),
                (scores.second, data.pairs.bucket_b, data.pairs.image_b),
            ):
                latents = data.latents[int(bucket[pair])].rows(image[pair : pair + 1])["latents"]
                alone = model.score_latents(latents, data.conditioning_of(data.pairs.prompt[pair : pair + 1]), 0.4)
                assert side[pair, 0] == pytest.approx(alone.item(), abs=1e-5)
        found = validate(model, PAPER, data, 7)
        assert (found.pairs, found.missing) == (len(data), 0)
        assert measurable(data, 7) == (data, [])
        assert sum(map(len, in_order(data, 7))) == len(data)
        first, second = decoded_pair(model, data, 1)
        sizes = torch.tensor([[16, 16], [16, 24], [32, 8]])
        assert first.shape[:2] == tuple(sizes[data.pairs.bucket_a[1]].tolist())
        assert second.shape[:2] == tuple(sizes[data.pairs.bucket_b[1]].tolist())
    finally:
        model.train()


@pytest.mark.slow
def test_two_processes_train_on_several_sizes_what_one_does(tiny_folder, tmp_path, warm_programs):
    python = str(warm_programs / "python")
    command = [python, "-m", "tests.training.launched_sizes", str(tiny_folder), str(tmp_path / "two")]
    for code, said in ended(start_group(2, command)):
        assert code == 0, said[-3000:]
    run(tiny_folder, tmp_path / "one")
    lines = [list(read_lines(tmp_path / name / "metrics.jsonl")) for name in ("one", "two")]
    for one, two in zip(*lines, strict=True):
        for name in ("loss", "gradient_norm"):
            assert one[name] == pytest.approx(two[name], rel=1e-3)
    assert len(lines[0]) >= 3
