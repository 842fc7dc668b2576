import pytest
import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.shards import ShardedRows
from dina_lrm.preference.distributions import LogitNormal, Uniform
from dina_lrm.preference.noise_levels import NoiseLevelSampler
from dina_lrm.training.batching import Prefetcher, StepSource, split_by_prompt, weighted_by_prompt
from dina_lrm.training.randomness import mixed_seed, step_levels, step_noise
from tests.training.tiny_runs import sized_comparisons, tiny_comparisons

UNIFORM, NORMAL = NoiseLevelSampler(Uniform()), NoiseLevelSampler(LogitNormal(0.5, 1.0))


def rows(source, step):
    """(pair, level, noise) of a process's share of a step."""
    found = {}
    for micro in source(step).micro_batches:
        group = micro.batch.group[micro.batch.first]
        for n, name in enumerate(micro.pair_names):
            found[name] = (micro.noise_level[group[n]], micro.noise[0][group[n]])
    return found


def test_a_step_is_a_function_of_seed_and_step():
    data = tiny_comparisons(prompts=4)
    straight, again = (StepSource(data, UNIFORM, 5, seed=7) for _ in range(2))
    for step in range(9):
        straight(step)
    late, direct = straight(9), again(9)
    assert late.micro_batches[0].pair_names == direct.micro_batches[0].pair_names
    assert torch.equal(late.micro_batches[0].noise[0], direct.micro_batches[0].noise[0])
    assert torch.equal(late.micro_batches[0].noise_level, direct.micro_batches[0].noise_level)
    other = StepSource(data, UNIFORM, 5, seed=8)(9)
    assert not torch.equal(other.micro_batches[0].noise[0], direct.micro_batches[0].noise[0])


@pytest.mark.parametrize(("world", "accumulation"), [(1, 3), (2, 1), (2, 2), (3, 2)])
def test_cuts_over_processes_and_micro_batches_change_no_number(world, accumulation):
    data = tiny_comparisons(prompts=4)
    whole = StepSource(data, UNIFORM, 8, seed=1)
    cut = [StepSource(data, UNIFORM, 8, 1, True, accumulation, rank, world) for rank in range(world)]
    for step in range(4):
        merged = {name: row for source in cut for name, row in rows(source, step).items()}
        expected = rows(whole, step)
        assert merged.keys() == expected.keys()
        assert sum(len(rows(source, step)) for source in cut) == len(expected)
        for name, (level, noise) in expected.items():
            assert torch.equal(merged[name][0], level)
            assert torch.equal(merged[name][1], noise)
        assert {source(step).total_weight for source in cut} == {whole(step).total_weight}


def test_epochs_count_batches():
    source = StepSource(tiny_comparisons(prompts=4), UNIFORM, 4, seed=0)
    per_epoch = source.plan.first_step(1)
    assert source.steps_in(2.0) == source.plan.first_step(2)
    assert source.steps_in(0.5) == round(per_epoch / 2)
    assert source.steps_in(1e-6) == 1


def test_stratified_levels_cover_the_distribution_evenly():
    levels = step_levels(UNIFORM, seed=3, step=5, groups=10)
    assert sorted((levels * 10).long().tolist()) == list(range(10))
    assert levels.tolist() != sorted(levels.tolist())
    many = torch.cat([step_levels(NORMAL, 0, step, 8) for step in range(400)])
    plain = torch.cat([step_levels(NORMAL, 0, step, 8, stratified=False) for step in range(400)])
    torch.testing.assert_close(torch.logit(many).mean(), torch.tensor(0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(torch.logit(plain).mean(), torch.tensor(0.5), atol=0.06, rtol=0)


def test_noise_is_standard_normal_and_keyed_by_prompt():
    noise = step_noise((4, 8, 8), seed=0, step=2, keys=list(range(64)))
    assert abs(noise.mean().item()) < 0.02
    assert abs(noise.std().item() - 1) < 0.02
    assert torch.equal(step_noise((4, 8, 8), 0, 2, [9])[0], noise[9])
    assert not torch.equal(step_noise((4, 8, 8), 0, 3, [9])[0], noise[9])


def test_seeds_of_neighbours_are_unrelated():
    seeds = {mixed_seed(seed, step, use) for seed in range(10) for step in range(10) for use in range(3)}
    assert len(seeds) == 300
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_prefetching_gives_the_same_steps_and_raises_here():
    source = StepSource(tiny_comparisons(), UNIFORM, 4, seed=0)
    with Prefetcher(source, last=3) as inputs:
        for step in (1, 2, 3, 1):
            assert inputs(step).micro_batches[0].pair_names == source(step).micro_batches[0].pair_names

    def broken(step):
        raise ValueError(f"step {step} cannot be read")

    with Prefetcher(broken, last=3) as inputs, pytest.raises(ValueError, match="step 0 cannot"):
        inputs(0)


def test_held_out_prompts_are_held_out_whole():
    data = tiny_comparisons(prompts=10)
    rest, held = split_by_prompt(data, 0.3, seed=0)
    assert len(rest) + len(held) == len(data)
    assert len(held.pairs.prompt.unique()) == 3
    assert not set(rest.pairs.prompt.tolist()) & set(held.pairs.prompt.tolist())
    with pytest.raises(ValueError, match="holds out 0 of 30 pairs"):
        split_by_prompt(data, 0.01, seed=0)


def test_levels_read_together_are_drawn_for_each_prompt_and_cover_the_distribution():
    data = tiny_comparisons(prompts=4)
    (micro,) = StepSource(data, UNIFORM, 12, seed=3, together=2)(0).micro_batches
    assert micro.noise_level.shape == (micro.batch.groups, 2)
    spread = micro.noise_level.flatten().sort().values * micro.noise_level.numel()
    assert spread.floor().tolist() == list(range(micro.noise_level.numel()))
    (one,) = StepSource(data, UNIFORM, 12, seed=3)(0).micro_batches
    assert one.noise_level.shape == (one.batch.groups,)


def test_weighting_by_prompt_divides_by_its_comparisons():
    data = tiny_comparisons(prompts=4)
    weighted = weighted_by_prompt(data)
    for prompt in data.pairs.prompt.unique():
        rows = data.pairs.prompt == prompt
        torch.testing.assert_close(weighted.weight[rows] * rows.sum(), data.weight[rows])
    assert data.content_hash == tiny_comparisons(prompts=4).content_hash


def _values(inputs):
    """All tensors of a step."""
    return [
        values
        for micro in inputs.micro_batches
        for part in micro.batch.images
        for values in (part.latents, part.conditioning.prompt_embeds, part.conditioning.prompt_mask, part.member)
        if values is not None
    ]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_inputs_in_memory_that_is_used_again_are_those_in_fresh_memory(precision):
    """Also while the next step is built, as a run does; of sets of several sizes, in micro-batches."""
    data = sized_comparisons()
    latents = [
        ShardedRows.of_tensors({"latents": next(table.shards())["latents"].to(precision)}) for table in data.latents
    ]
    data = EncodedComparisons(latents, data.conditioning, data.prompts, data.truncated, data.pairs)
    fresh, again = (StepSource(data, UNIFORM, 9, 3, True, 2, reuses=reuses) for reuses in (False, True))
    places = []
    with Prefetcher(again, last=9) as inputs:
        for step in range(10):
            given = inputs(step)
            found, expected = _values(given), _values(fresh(step))
            assert len(found) == len(expected)
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
            places.append({values.untyped_storage().data_ptr() for values in found if values.dtype != torch.long})
    assert not places[0] & places[1], "two steps are held at once"
    assert any(places[step] & places[step + 2] for step in range(8)), "and memory is used again"
