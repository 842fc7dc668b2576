"""Prompts by hash: what a server forgets is sent again, what it cannot keep goes along, older servers get it all."""

import json

import pytest
import torch
from safetensors.torch import load

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.rewards.remote import RemoteReward, RemoteRewardError, RemoteRewardWarning
from dina_lrm.rewards.remote.known_prompts import KnownPrompts
from dina_lrm.rewards.remote.questions import PromptTable
from tests.rewards.remote.wires import INFO, desk, problem, scores

GENERATOR = torch.Generator().manual_seed(0)
TOLD = Conditioning(torch.randn(3, 4, 8, generator=GENERATOR), None, torch.ones(3, 4, dtype=torch.bool))
OF_ITEM = [0, 1, 1, 2, 0]
LATENTS = torch.zeros(5, 16, 4, 4)


class Store:
    """Keeps prompts by hash; `most` of them, and forgets all when told to."""

    def __init__(self, most=100):
        self.kept, self.most, self.posts = {}, most, []

    def __call__(self, method, path, body, headers):
        name = path.rpartition("/")[2]
        if method == "HEAD":
            return (200 if name in self.kept else 404), {}
        if method == "PUT":
            if len(self.kept) >= self.most:
                return 507, problem("store_full", "no room")
            self.kept[name] = load(body)
            return 201, {}
        size = int.from_bytes(body[:8], "little")
        header = json.loads(json.loads(body[8 : 8 + size])["__metadata__"]["drm"])
        tensors = load(body)
        self.posts.append((header, tensors))
        missing = [name for name in header.get("prompts", ()) if name not in self.kept]
        if missing:
            return 409, problem("unknown_prompts", "not known", hashes=missing)
        return 200, scores(len(tensors["latents"]))


def asked(server, **changes):
    return RemoteReward(server.url, **{"backoff": 0.01, "retries": 2, **changes})


def test_each_distinct_prompt_is_sent_once():
    store = Store()
    with desk(store) as server:
        reward = asked(server)
        for _ in range(3):
            reward.score(LATENTS, TOLD[OF_ITEM])
        assert (len(server.paths("PUT")), len(server.paths("POST"))) == (3, 3)
        header, tensors = store.posts[0]
    assert tensors.keys() == {"latents", "prompt", "seeds"}
    kept = [store.kept[name]["prompt_embeds"] for name in header["prompts"]]
    assert torch.equal(torch.stack([kept[row] for row in tensors["prompt"]]), TOLD[OF_ITEM].prompt_embeds)
    assert next(iter(store.kept.values())).keys() == {"prompt_embeds", "prompt_mask"}


def test_what_a_server_forgot_is_sent_again():
    store = Store()
    with desk(store) as server:
        reward = asked(server)
        reward.score(LATENTS, TOLD[OF_ITEM])
        store.kept.pop(store.posts[0][0]["prompts"][1])
        reward.score(LATENTS, TOLD[OF_ITEM])
        assert (len(server.paths("PUT")), len(server.paths("POST"))) == (4, 3)


@pytest.mark.parametrize("most", [0, 2])
def test_what_it_cannot_keep_goes_along(most):
    store = Store(most)
    with desk(store) as server:
        assert asked(server).score(LATENTS, TOLD[OF_ITEM]).tolist() == [0.5] * 5
    header, tensors = store.posts[-1]
    assert "prompts" not in header
    own = tensors["prompt_embeds"][tensors["prompt"]]
    assert torch.equal(own, TOLD[OF_ITEM].prompt_embeds)


def test_a_server_that_never_keeps_what_it_took_gets_it_in_the_request():
    def forgetful(method, path, body, headers):
        store.kept = {} if method == "POST" else store.kept
        return store(method, path, body, headers)

    store = Store()
    with desk(forgetful) as server:
        assert len(asked(server).score(LATENTS, TOLD[OF_ITEM])) == 5
        assert len(server.paths("POST")) == 4


def test_hashes_that_were_never_asked_for_are_no_answer():
    other = problem("unknown_prompts", "not known", hashes=["sha256:other"])
    with (
        desk(lambda method, *_: (409, other) if method == "POST" else (200, {})) as server,
        pytest.raises(RemoteRewardError, match="accepted: hashes that were asked for"),
    ):
        asked(server).score(LATENTS, TOLD[OF_ITEM])


def test_a_question_is_cut_into_what_the_server_takes():
    store = Store()
    with desk(store, {**INFO, "limits": {"batch": 2, "body_bytes": 1 << 26}}) as server:
        assert len(asked(server).score(LATENTS, TOLD[OF_ITEM])) == 5
    assert [len(tensors["latents"]) for _, tensors in store.posts] == [2, 2, 1]
    rows = [header["prompts"][row] for header, tensors in store.posts for row in tensors["prompt"]]
    assert len(set(rows)) == 3 and rows[0] == rows[4] and rows[1] == rows[2]


def test_an_older_server_is_asked_by_protocol_1_and_that_is_said_once():
    def older(method, path, body, headers):
        if headers["x-drm-protocol-version"] == "2":
            return 400, problem("unknown_protocol", "accepted: 1")
        return 200, {"protocol_version": "1", "raw_scores": [0.25] * len(load(body)["latents"])}

    told = Conditioning(TOLD.prompt_embeds, torch.zeros(3, 8))
    for info, posts in ((INFO, 3), (None, 2)):
        store = lambda method, *given: older(method, *given) if method == "POST" else (200, {})  # noqa: E731
        with desk(store, info) as server:
            reward = asked(server)
            with pytest.warns(RemoteRewardWarning, match="speaks protocol 1 alone") as said:
                for _ in range(2):
                    assert reward.score(LATENTS, told[OF_ITEM]).tolist() == [0.25] * 5
            assert (len(said), len(server.paths("POST"))) == (1, posts)
            with pytest.raises(ValueError, match="accepted: one level"):
                reward.read_at((0.2, 0.5))
            with pytest.raises(ValueError, match="noisy states; accepted by a server that speaks protocol 1"):
                reward.score_noisy(LATENTS, 0.2, told[OF_ITEM])


def test_an_item_without_a_score_stops_with_its_reason():
    bad = scores(5, errors={"3": {"code": "bad_latents", "message": "far too large"}})
    bad["results"]["dina"]["scores"]["raw"][3] = None
    with (
        desk(lambda method, *_: (200, bad) if method == "POST" else (200, {})) as server,
        pytest.raises(RemoteRewardError, match="item 3: bad_latents: far too large"),
    ):
        asked(server).score(LATENTS, TOLD[OF_ITEM])


def test_what_a_server_noticed_is_given_on_once_a_sentence():
    noticed = {**scores(5), "warnings": [{"item": i, "code": "prompt_length", "message": "4 tokens"} for i in range(5)]}
    with (
        desk(lambda method, *_: (200, noticed) if method == "POST" else (200, {})) as server,
        pytest.warns(RemoteRewardWarning, match="prompt_length: 4 tokens") as said,
    ):
        asked(server).score(LATENTS, TOLD[OF_ITEM])
    assert len(said) == 1


def test_another_model_under_the_same_name_is_told():
    info = {**INFO, "models": {"dina": {**INFO["models"]["dina"], "revision": "sha256:first"}}}
    other = scores(5, revision="sha256:second")
    with (
        desk(lambda method, *_: (200, other) if method == "POST" else (200, {}), info) as server,
        pytest.warns(RemoteRewardWarning, match="is sha256:second now, and was sha256:first"),
    ):
        assert len(asked(server).score(LATENTS, TOLD[OF_ITEM])) == 5


@pytest.mark.parametrize("results", [None, [], {}, {"other": {"scores": {"raw": [0.0] * 5}}}, {"dina": {"scores": {}}}])
def test_results_of_another_shape_are_no_scores(results):
    body = {"protocol_version": "2", "results": results}
    with (
        desk(lambda method, *_: (200, body) if method == "POST" else (200, {})) as server,
        pytest.raises(RemoteRewardError, match="accepted: "),
    ):
        asked(server).score(LATENTS, TOLD[OF_ITEM])


def test_equal_rows_are_one_prompt_and_others_are_not():
    table = PromptTable.of_conditioning(TOLD[OF_ITEM], 5)
    assert (len(table.rows), table.of_item) == (3, [0, 1, 1, 2, 0])
    masked = TOLD.prompt_mask.clone()
    masked[1, -1] = False
    rows = Conditioning(TOLD.prompt_embeds[[1, 1]], None, torch.stack([TOLD.prompt_mask[1], masked[1]]))
    assert PromptTable.of_conditioning(rows, 2).of_item == [0, 1]
    assert PromptTable.of_conditioning(TOLD[0], 4).of_item == [0] * 4
    assert PromptTable.of_texts(["a", "b", "a"]).of_item == [0, 1, 0]


def test_known_prompts_are_bounded():
    known = KnownPrompts(most=2)
    for name in "abc":
        known.add(name)
    assert known.missing(["a", "b", "c"]) == ["a"]
    known.forget(["c"])
    assert known.missing(["b", "c"]) == ["c"] and len(known) == 1
