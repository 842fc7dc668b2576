"""Votes teach a model: what it holds likelier, how it ranks others, and what it asks next follow them."""

import itertools
import queue
import threading

import numpy as np
import pytest
from scipy.stats import spearmanr

from dina_lrm import LatentRewardModel
from dina_lrm.collecting.asking.learning import Learner, noise_of
from dina_lrm.collecting.asking.opinions import Seen
from dina_lrm.data.votes import NewPair, Vote, VoteStore
from dina_lrm.data.votes.shares import shares
from dina_lrm.data.votes.trust import Weighed
from dina_lrm.synthetic.photographs import write_photographs
from tests.collecting.asking.pages import asked

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model():
    return LatentRewardModel.from_pretrained("synthetic", device="cpu")


def test_the_noise_of_a_model_is_that_of_its_own_probabilities(model):
    margin = 0.7 * model.config.score_std
    from scipy.special import ndtr

    assert ndtr(margin / noise_of(model)) == pytest.approx(float(model.margin_probability(_tensor(margin))), abs=1e-4)


def _tensor(value):
    import torch

    return torch.tensor(value, dtype=torch.float64)


def test_votes_move_chances_and_ranking_towards_the_taste(model, tmp_path):
    likes = write_photographs(tmp_path / "photos", 44, seed=0)
    names = sorted(likes)
    voted, others = names[:30], names[30:]
    with VoteStore.open(tmp_path / "votes.sqlite") as store:
        new = [
            NewPair("a picture", tmp_path / "photos" / one, tmp_path / "photos" / other)
            for one, other in itertools.combinations(voted, 2)
        ]
        store.add_pairs(new)
        pairs = {pair.id: pair for pair in store.pairs()}
        content = {store.stored(one).path.name: one for pair in pairs.values() for one in (pair.image_a, pair.image_b)}
        known = {one: likes[name] for name, one in content.items()}
        ids = list(pairs)
        answered, unasked = ids[::2], ids[1::2]
        votes = [
            Vote(number, id, 1, "overall", "a" if _a_is_liked(pairs[id], known) else "b", "a", 900, 0.0, *[None] * 2,
                 str(number), None)
            for number, id in enumerate(answered)
        ]  # fmt: skip
        held_out = {name: (tmp_path / "photos" / name).read_bytes() for name in others}
        seen, heard = [Seen(pairs, unasked, [])], queue.Queue()
        read = lambda one: held_out.get(one) or store.picture(one)  # noqa: E731
        weigh = lambda: shares([Weighed(one, pairs[one.pair], 1.0) for one in seen[0].votes], "overall")  # noqa: E731
        learner = Learner(
            lambda: model, lambda: seen[0], weigh, read, heard.put, [(one, "a picture") for one in others]
        )
        learner.start()
        found = {0: _opinion_of(heard, 0, len(unasked))}
        seen[0] = Seen(pairs, unasked, votes)
        learner.look()
        found[len(votes)] = _opinion_of(heard, len(votes), len(unasked))
        learner.close()
        assert not learner.fault and learner.learnt.votes == len(votes)
    right = {count: _right(opinion, pairs, known) for count, opinion in found.items()}
    order = [place.content for place in found[len(votes)].places]
    assert right[len(votes)] > 0.8 and right[len(votes)] > right[0]
    assert spearmanr([-likes[name] for name in order], range(len(order))).statistic > 0.6
    chosen = list(found[len(votes)].chosen.values())
    assert {one.chosen_by for one in chosen} == {"eig", "random"} and all(one.eig >= 0 for one in chosen)


def _opinion_of(heard, votes, tasks):
    """The first opinion of so many votes on so many tasks."""
    while True:
        found = heard.get(timeout=600)
        if found.votes == votes and len(found.chances) == tasks:
            return found


def _a_is_liked(pair, known):
    return known[pair.image_a] > known[pair.image_b]


def _right(opinion, pairs, known):
    return np.mean([(chance > 0.5) == _a_is_liked(pairs[id], known) for id, chance in opinion.chances.items()])


def test_a_collection_learns_asks_by_it_and_reveals_it(tmp_path):
    write_photographs(tmp_path / "others", 4, seed=1)
    more = {"learn": "synthetic", "learn_every": 3, "held_out": tmp_path / "others", "reveal": True, "device": "cpu"}
    with asked(tmp_path, count=8, **more) as server:
        for _ in range(4):
            server.vote(server.event(server.asks()[0]))
        server.vote(server.event(server.asks()[0], ms=100))
        for _ in range(6000):
            progress = server.post("votes", annotator="Ada", events=[])["progress"]
            if progress["ranking"] and progress["ranking"]["version"] >= 3:
                break
            threading.Event().wait(0.05)
        ask, *_ = server.asks(count=4)
        chosen = {server.collection.store.pair(one["pair"]).chosen_by for one in server.asks(count=8)}
        status, _, picture = server("GET", f"/api/pictures/{progress['ranking']['pictures'][0]['key']}")
    assert [one["place"] for one in progress["ranking"]["pictures"]] == [1, 2, 3, 4]
    assert 0 < ask["chance"] < 1 and chosen <= {"eig", "random"} and "eig" in chosen and status == 200 and picture
    written = LatentRewardModel.from_pretrained(tmp_path / "votes-model", device="cpu")
    assert written.config.notes["learnt"]["votes"] == 4 and written.config.head.statistics
    assert f"what 4 votes taught is a model: {tmp_path / 'votes-model'}" in server.collection.notes()
    assert "learn: 1 votes teach nothing: 1 too fast" in server.collection.notes()
