"""A model of each person learns from what that person said alone, and is found by who it is of."""

import pytest
import torch

from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.votes import Question, VoteStore
from dina_lrm.recipes.personal import personal_votes
from dina_lrm.reward_model.personal import add_personal_model, personal_model, personal_models
from tests.data.votes.drawn import said, store_of
from tests.models import some_conditioning, some_latents

ANSWERS = {"Ada": "abat", "Bert": "ba-a", "Cleo": "----"}
"""Of four pairs; t is a tie, - no answer."""


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """A store, and its pairs encoded, in another order and with one that could not be read."""
    place = tmp_path_factory.mktemp("votes") / "votes.sqlite"
    questions = (Question("overall", "Which is better?"), Question("quality", "Which is cleaner?"))
    with store_of(place, questions=questions) as store:
        for name, answers in ANSWERS.items():
            number = store.join(name)
            for pair, answer in zip(store.pairs(), answers, strict=True):
                if answer != "-":
                    told = "tie" if answer == "t" else answer
                    store.record(said(pair.id, number, told, f"{name} {pair.id}", ms=2000, question="overall"))
        store.record(said(store.pairs()[0].id, 1, "b", "quality", ms=2000, question="quality"))
        ids = [pair.id for pair in store.pairs()]
    rows = torch.arange(3)
    pairs = EncodedComparisons.from_tensors(
        some_latents(6), some_conditioning(3), rows, rows + 3, rows, torch.full((3,), 0.5), pair_id=ids[2::-1]
    )
    return place, ids, pairs


def test_each_learns_from_their_own_votes_alone(collection):
    place, ids, pairs = collection
    found = personal_votes(pairs, place, "all")
    assert [own.number for own in found.votes] == [1, 2]
    (told,) = found.left_out
    assert told.startswith("annotator 3: no vote of theirs counts")
    labels = {
        own.number: dict(zip(own.pairs.pairs.pair_id, own.pairs.preference.tolist(), strict=True))
        for own in found.votes
    }
    assert labels == {1: {ids[0]: 1.0, ids[1]: 0.0, ids[2]: 1.0}, 2: {ids[0]: 0.0, ids[1]: 1.0}}
    ada, bert = (own.pairs.pairs.labels for own in found.votes)
    assert ada["quality"].isfinite().tolist() == [False, False, True] and "quality" not in bert
    assert found.votes[0].pairs.content_hash != found.votes[1].pairs.content_hash
    (one,) = personal_votes(pairs, place, " ada ").votes
    assert (one.number, one.name) == (1, " ada ")
    assert personal_votes(pairs, place, "2").votes[0].name is None


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("Dora", r"annotator 'Dora': is not in .* all, or a number: 1 \(5 votes\), 2 \(3 votes\), 3 \(0 votes\)"),
        ("7", "annotator '7': is not in"),
        ("Cleo", "annotator 3: no vote of theirs counts"),
    ],
)
def test_who_is_not_there_is_refused_with_who_is(collection, asked, told):
    with pytest.raises(ValueError, match=told):
        personal_votes(collection[2], collection[0], asked)


def test_a_store_that_nobody_voted_in_is_refused(tmp_path, collection):
    store_of(tmp_path / "votes.sqlite").close()
    with pytest.raises(ValueError, match="none, nobody voted"):
        personal_votes(collection[2], tmp_path / "votes.sqlite", "all")
    with VoteStore.read(tmp_path / "votes.sqlite") as store:
        assert store.number_of("Ada") is None


def test_models_are_found_by_the_names_that_were_given_and_by_number(tmp_path):
    for number, name in ((2, None), (1, "Ada"), (2, "Bert"), (2, "Bert")):
        add_personal_model(tmp_path, number, name)
    assert [str(one) for one in personal_models(tmp_path).annotators] == ["1 (Ada)", "2 (Bert)"]
    for folder in ("annotator-1", "annotator-2"):
        (tmp_path / folder / "model").mkdir(parents=True)
    place = str(tmp_path / "annotator-2" / "model")
    assert personal_model(str(tmp_path), "2") == personal_model(str(tmp_path), " bERT ") == place
    assert personal_model(f"{tmp_path}?score=quality", "Bert") == f"{place}?score=quality"
    assert personal_model("anything", None) == "anything"
    with pytest.raises(ValueError, match=r"'Cleo': .* has no model of theirs; accepted: 1 \(Ada\), 2 \(Bert\)"):
        personal_model(str(tmp_path), "Cleo")
    with pytest.raises(ValueError, match="holds no models of annotators"):
        personal_model(place, "Ada")
    add_personal_model(tmp_path, 3)
    with pytest.raises(ValueError, match="annotator-3/model is not there"):
        personal_model(str(tmp_path), "3")
