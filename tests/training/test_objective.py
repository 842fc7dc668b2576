import math

import pytest
import torch
from torch import nn

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.data.cache.batch import ComparisonBatch
from dina_lrm.diffusion.process import RectifiedFlow
from dina_lrm.preference.presets import PRESETS
from dina_lrm.training.config import HeterogeneousSettings
from dina_lrm.training.objective import comparison_loss

PAPER = PRESETS["paper"]


class MeanScorer(nn.Module):
    """Scores a state by its scaled mean, and remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.seen = []

    def forward(self, noisy_latents, noise_level, conditioning):
        self.seen.append((noisy_latents.detach(), noise_level, conditioning))
        return self.scale * noisy_latents.mean(dim=(1, 2, 3))[:, None]


def a_batch(preference=(1.0, 0.0, 0.5), weight=(1.0, 1.0, 1.0)):
    """Images 0, 1, 2 of group 0 and 3, 4 of group 1; pairs (0, 1), (2, 1), (3, 4)."""
    latents = torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    return ComparisonBatch.of_one_size(
        latents=latents,
        conditioning=Conditioning(torch.zeros(5, 3, 2)),
        first=torch.tensor([0, 2, 3]),
        second=torch.tensor([1, 1, 4]),
        group=torch.tensor([0, 0, 0, 1, 1]),
        preference=torch.tensor(preference),
        weight=torch.tensor(weight),
    )


LEVEL = torch.tensor([0.3, 0.8])
NOISE = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1))


def loss_of(batch, model=None, level=LEVEL, noise=NOISE, **options):
    return comparison_loss(model or MeanScorer(), RectifiedFlow(), PAPER, batch, level, [noise], **options)


def test_one_forward_with_common_noise_and_level_in_a_group():
    model, batch = MeanScorer(), a_batch()
    loss_of(batch, model)
    ((noisy, level, conditioning),) = model.seen
    assert len(noisy) == len(conditioning) == 5
    assert torch.equal(level, torch.tensor([0.3, 0.3, 0.3, 0.8, 0.8]))
    used = (noisy - (1 - level).view(-1, 1, 1, 1) * batch.latents) / level.view(-1, 1, 1, 1)
    torch.testing.assert_close(used, NOISE[batch.group], atol=1e-6, rtol=1e-5)


def test_value_by_hand():
    batch = a_batch()
    found = loss_of(batch)
    x = [0.7 * batch.latents[i].mean() + 0.3 * NOISE[0].mean() for i in range(3)]
    x += [0.2 * batch.latents[i].mean() + 0.8 * NOISE[1].mean() for i in (3, 4)]
    margins = [2 * (x[0] - x[1]), 2 * (x[2] - x[1]), 2 * (x[3] - x[4])]
    variances = [2 * 0.3**2 + 0.01, 2 * 0.3**2 + 0.01, 2 * 0.8**2 + 0.01]
    wins = [
        0.5 * (1 + math.erf(float(m) / math.sqrt(2 * v) / math.sqrt(2)))
        for m, v in zip(margins, variances, strict=True)
    ]
    losses = [
        1 - math.sqrt(wins[0]),
        1 - math.sqrt(1 - wins[1]),
        1 - math.sqrt(wins[2] / 2) - math.sqrt((1 - wins[2]) / 2),
    ]
    assert found.pair_loss.tolist() == pytest.approx(losses, abs=1e-5)
    assert found.loss.item() == pytest.approx(sum(losses) / 3, abs=1e-5)
    torch.testing.assert_close(found.margin, torch.stack(margins))


def test_ties_count_in_the_loss_and_not_in_the_accuracy():
    found = loss_of(a_batch(preference=(1.0, 1.0, 0.5)))
    ahead = found.margin > 0
    assert found.decided.tolist() == [True, True, False]
    assert found.correct.tolist() == [bool(ahead[0]), bool(ahead[1]), False]
    assert found.accuracy.item() == pytest.approx(ahead[:2].float().mean().item())
    assert torch.isnan(loss_of(a_batch(preference=(0.5, 0.5, 0.5))).accuracy)


def test_equal_scores_are_wrong():
    batch = a_batch()
    same = ComparisonBatch(**{**batch.__dict__, "second": batch.first})
    assert not loss_of(same).correct.any()


def test_swapping_sides_changes_nothing():
    batch = a_batch(preference=(0.9, 0.2, 0.5))
    swapped = ComparisonBatch(
        **{**batch.__dict__, "first": batch.second, "second": batch.first, "preference": 1 - batch.preference}
    )
    torch.testing.assert_close(loss_of(batch).pair_loss, loss_of(swapped).pair_loss)
    assert torch.equal(loss_of(batch).correct, loss_of(swapped).correct)


def test_weights_are_relative_and_zero_removes_a_pair():
    whole, heavy = loss_of(a_batch(weight=(1.0, 2.0, 0.0))), loss_of(a_batch(weight=(10.0, 20.0, 0.0)))
    assert whole.loss.item() == pytest.approx(heavy.loss.item())
    expected = (whole.pair_loss[0] + 2 * whole.pair_loss[1]) / 3
    assert whole.loss.item() == pytest.approx(expected.item())


def test_parts_with_the_weight_of_the_whole_add_up_to_it():
    batch, model = a_batch(), MeanScorer()
    whole = loss_of(batch, model).loss
    parts = [
        ComparisonBatch(**{**batch.__dict__, **{name: getattr(batch, name)[row : row + 1] for name in PAIR_FIELDS}})
        for row in range(3)
    ]
    summed = sum(loss_of(part, model, total_weight=3.0).loss for part in parts)
    torch.testing.assert_close(whole, summed)


PAIR_FIELDS = ("first", "second", "preference", "weight")


def test_loss_is_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        found = loss_of(a_batch())
    assert found.loss.dtype == found.margin.dtype == torch.float32
    found.loss.backward()


class JointScorer(nn.Module):
    """Adds up the scores of the levels that it reads together."""

    def __init__(self):
        super().__init__()
        self.one = MeanScorer()

    def forward(self, noisy_latents, noise_level, conditioning):
        states = zip(noisy_latents.unbind(1), noise_level.unbind(1), strict=True)
        return sum(self.one(noisy, level, conditioning) for noisy, level in states)


def test_levels_read_together_share_the_noise_and_have_the_mean_of_their_variances():
    batch, model = a_batch(), JointScorer()
    levels = torch.tensor([[0.3, 0.6], [0.8, 0.1]])
    found = loss_of(batch, model, level=levels)
    first, second = model.one.seen
    for (noisy, level, _), column in ((first, 0), (second, 1)):
        assert torch.equal(level, levels[:, column][batch.group])
        used = (noisy - (1 - level).view(-1, 1, 1, 1) * batch.latents) / level.view(-1, 1, 1, 1)
        torch.testing.assert_close(used, NOISE[batch.group], atol=1e-5, rtol=1e-4)
    sigma = levels.square().mean(dim=1).sqrt()[batch.group][batch.first]
    torch.testing.assert_close(found.pair_loss, PAPER(found.margin, sigma, batch.preference))


def test_one_level_twice_has_the_variance_of_one():
    batch = a_batch()
    alone, twice = loss_of(batch), loss_of(batch, JointScorer(), level=LEVEL[:, None].expand(-1, 2))
    torch.testing.assert_close(twice.margin, 2 * alone.margin)
    expected = PAPER(2 * alone.margin, LEVEL[batch.group][batch.first], batch.preference)
    torch.testing.assert_close(twice.pair_loss, expected)


class LevelScorer(MeanScorer):
    """Prefers clean states: minus `scale` times the noise level."""

    def forward(self, noisy_latents, noise_level, conditioning):
        super().forward(noisy_latents, noise_level, conditioning)
        return -self.scale * noise_level[:, None]


def test_heterogeneous_pairs_compare_an_image_with_itself_under_more_of_the_same_noise():
    model, batch = MeanScorer(), a_batch()
    loss_of(batch, model, heterogeneous=HeterogeneousSettings(weight=0.5, gap=0.1))
    ((noisy, level, conditioning),) = model.seen
    assert len(noisy) == len(conditioning) == 10
    torch.testing.assert_close(level, torch.tensor([0.3, 0.3, 0.3, 0.8, 0.8, 0.4, 0.4, 0.4, 0.9, 0.9]))
    used = (noisy[5:] - (1 - level[5:]).view(-1, 1, 1, 1) * batch.latents) / level[5:].view(-1, 1, 1, 1)
    torch.testing.assert_close(used, NOISE[batch.group], atol=1e-6, rtol=1e-5)


def test_the_loss_of_heterogeneous_pairs_by_hand():
    plain, both = (
        loss_of(a_batch(), LevelScorer(), heterogeneous=HeterogeneousSettings(weight, 0.1)) for weight in (0.0, 0.5)
    )
    for pair, t in enumerate((0.3, 0.3, 0.8)):
        variance = t**2 + (t + 0.1) ** 2 + 0.01  # 2 s'^2 + variance floor
        win = 0.5 * (1 + math.erf(0.2 / math.sqrt(2 * variance) / math.sqrt(2)))
        assert both.pair_loss[pair] - plain.pair_loss[pair] == pytest.approx(0.5 * (1 - math.sqrt(win)), abs=1e-6)
    assert torch.equal(plain.margin, both.margin)
    assert both.loss.item() == pytest.approx(both.pair_loss.mean().item())


def test_heterogeneous_pairs_teach_that_clean_is_better():
    model = LevelScorer()
    loss_of(a_batch(), model, heterogeneous=HeterogeneousSettings(1.0, 0.1)).loss.backward()
    assert model.scale.grad < 0  # a step down the gradient makes the score fall faster with the level
    with pytest.raises(ValueError, match="one level a state"):
        loss_of(a_batch(), level=LEVEL[:, None].expand(2, 2), heterogeneous=HeterogeneousSettings(1.0))


def test_no_level_is_above_one():
    model = MeanScorer()
    loss_of(a_batch(), model, level=torch.tensor([0.97, 1.0]), heterogeneous=HeterogeneousSettings(1.0, 0.1))
    assert model.seen[0][1].max() == 1
