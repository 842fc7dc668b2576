"""A remote reward against a real server: every door gives what the model gives beside it."""

import asyncio
import threading

import pytest
import torch

from dina_lrm.reward_model.checks import LargeLatentsWarning
from dina_lrm.rewards.base import OnPictures
from dina_lrm.rewards.names import load_reward
from dina_lrm.rewards.remote import BoundRemote, RemoteReward, RemoteRewardError
from dina_lrm.sampling.objective import Objective
from dina_lrm.sampling.reward_term import RewardTerm
from tests.alignment.runs import PROMPTS, a_generator

OF_ITEM = [0, 0, 1, 2, 1, 0]


@pytest.fixture
def reward(address):
    return load_reward(f"remote:{address}/dina")


@pytest.fixture(scope="module")
def told(model):
    return model.encode_prompts(PROMPTS)[OF_ITEM]


def latents(count=6, side=8):
    return torch.randn(count, 16, side, side, generator=torch.Generator().manual_seed(count)) * 0.8


def same(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("level", [None, 0.2, (0.2, 0.5, 0.7)])
def test_items_of_one_seed_share_their_noise_as_in_this_process(reward, model, told, level):
    read = reward if level is None else reward.read_at(level)
    same(read.score(latents(), told, seed=5), model.score_latents(latents(), told, level, seed=5))
    twice = latents(1).repeat(2, 1, 1, 1)
    one, other = read.score(twice, told[[0, 0]], seed=7).tolist()
    assert one == other


def test_items_may_have_seeds_of_their_own(reward, model, told):
    seeds = [3, 1, 4, 1, 5, 9]
    own = [model.score_latents(latents()[row : row + 1], told[row], seed=seed) for row, seed in enumerate(seeds)]
    same(reward.score(latents(), told, seeds), torch.cat(own))
    with pytest.raises(ValueError, match="2 seeds for 6 latents; accepted: one, or one each"):
        reward.score(latents(), told, seeds[:2])


def test_noisy_states_z_scores_and_texts(reward, model, told):
    same(reward.score_noisy(latents(), 0.3, told), model.score_noisy(latents(), 0.3, told))
    own = model.score_latents(latents(), told, seed=2)
    same(reward.score(latents(), told, seed=2, kind="z"), model.normalize(own))
    same(reward.score_texts(latents(), [PROMPTS[row] for row in OF_ITEM], seed=2), own)


def test_prompts_are_sent_once_and_named_by_hash_from_then_on(address, told):
    reward = load_reward(f"remote:{address}/dina")
    reward.score(latents(), told)
    first = reward.traffic
    reward.score(latents(), told)
    later = reward.traffic - first
    assert (later.attempts, later.prompts_sent, later.connections) == (1, 0, 0)
    assert later.bytes_sent < latents().nbytes + 2_000
    other = load_reward(f"remote:{address}/dina")  # another client finds them there
    other.score(latents(), told)
    assert other.traffic.prompts_sent == 0


def test_pictures_are_scored_as_the_model_scores_them(reward, address, model):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255
    assert reward.kind == "pixel"
    same(reward(images, PROMPTS), model.score(images, PROMPTS))
    same(reward.read_at(0.5)(images, PROMPTS), model.score(images, PROMPTS, 0.5))
    same(load_reward(f"remote:{address}/sharp")(images, PROMPTS), load_reward("sharpness")(images, PROMPTS))
    same(asyncio.run(reward.score_pictures_async(images, PROMPTS)), model.score(images, PROMPTS))


def test_several_event_loops_ask_at_the_same_time(reward, model, told):
    x, own = latents(), model.score_latents(latents(), told, seed=1)

    async def ask():
        rows = [row % 6 for row in range(24)]
        asked = [reward.score_async(x[row : row + 1], told[row], seed=1) for row in rows]
        return rows, torch.cat(await asyncio.gather(*asked))

    found = []
    loops = [threading.Thread(target=lambda: found.append(asyncio.run(ask()))) for _ in range(3)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    assert len(found) == 3
    for rows, scores in found:
        same(scores, own[rows])
    assert reward.traffic.connections <= 33


def test_a_bound_reward_is_the_local_one(address, model):
    generator = a_generator()
    told = generator.encode_prompts(PROMPTS)
    near = Objective(generator, (RewardTerm("latent:synthetic"),), differentiable=False)
    far = Objective(generator, (RewardTerm(f"remote:{address}/dina"),), differentiable=False)
    assert isinstance(far._bound[0], BoundRemote)
    same(far(latents(3), PROMPTS, 5, told).total, near(latents(3), PROMPTS, 5, told).total)
    one, other = near.state_reward("noisy"), far.state_reward("noisy")
    same(other.noisy(latents(3), 0.4, PROMPTS, told), one.noisy(latents(3), 0.4, PROMPTS, told))
    margin = torch.tensor([-1.0, 0.0, 2.0])
    for level in (None, 0.1, 0.9):
        same(other.preferred(margin, level), one.preferred(margin, level))
    sharp = load_reward(f"remote:{address}/sharp", generator)
    assert isinstance(sharp.bound_to(generator), OnPictures)


@pytest.mark.parametrize("level", [0.4, (0.2, 0.7)])
def test_a_generators_own_latents_that_are_too_large_are_scored_with_a_warning(address, model, level):
    generator = a_generator()
    conditioning = generator.encode_prompts(PROMPTS[:2])
    wild = 10 * latents(2)
    remote, local = (
        load_reward(name, generator).read_at(level).bound_to(generator)
        for name in (f"remote:{address}/dina", "latent:synthetic")
    )
    with pytest.warns(LargeLatentsWarning, match="their scores mean little"):
        found = remote.raw(wild, PROMPTS[:2], 3, conditioning)
    with pytest.warns(LargeLatentsWarning, match="their scores mean little"):
        torch.testing.assert_close(found, local.raw(wild, PROMPTS[:2], 3, conditioning), rtol=1e-5, atol=1e-4)
    with pytest.raises(RemoteRewardError, match="bad_latents"):
        load_reward(f"remote:{address}/dina", generator).score(wild, conditioning)


def test_it_says_what_was_wrong_in_the_servers_words(address, reward, told):
    with pytest.raises(ValueError, match="the server has no model 'none'; accepted: dina, sharp"):
        load_reward(f"remote:{address}/none")
    before = reward.traffic
    with pytest.raises(RemoteRewardError, match=r"422 Unprocessable Entity: bad_latents: .*root mean square") as caught:
        reward.score(100 * latents(), told)
    assert (caught.value.code, caught.value.status) == ("bad_latents", 422)
    assert (reward.traffic - before).retries == 0
    with pytest.raises(RemoteRewardError, match="no_latents: sharp reads pictures"):
        load_reward(f"remote:{address}/sharp").score(latents(), told)
    with pytest.raises(ValueError, match="6 prompts for 2 latents"):
        reward.score(latents(2), told)


def test_without_the_token_it_says_where_that_is_looked_for(guarded, monkeypatch):
    monkeypatch.delenv("DINA_LRM_TOKEN_FILE", raising=False)
    with pytest.raises(RemoteRewardError, match=r"401 .*DINA_LRM_TOKEN or DINA_LRM_TOKEN_FILE"):
        load_reward(f"remote:{guarded}/dina")
    assert RemoteReward(f"{guarded}/dina", token="a-token-of-many-letters").service.model == "dina"


def test_what_it_holds_is_known_by_the_weights_of_the_server(address, reward):
    assert reward.content.startswith("sha256:")
    assert reward.content == load_reward(f"remote:{address}").content != reward.read_at(0.7).content
