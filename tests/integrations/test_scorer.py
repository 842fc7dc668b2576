"""One model for all that ask in a process; batches from threads and loops; nothing but finite numbers."""

import asyncio
import gc
import os
import time
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import get_ident

import pytest
import torch

from dina_lrm import LatentRewardModel
from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.integrations.gathered import Gathered
from dina_lrm.integrations.once import Once
from dina_lrm.integrations.scorer import (
    NoScoreError,
    Scorer,
    ScorerSettings,
    ScoreWarning,
    shared_scorer,
    shared_scorer_soon,
)
from dina_lrm.serving.items import LatentItem
from dina_lrm.serving.latent import LatentServed

CLOSE = 1e-5  # batches of another size differ by some units of the last place of a score of 4, by the processor


def items(rollout, rows=range(12)):
    return [LatentItem(rollout.latents[row], rollout.told[row], (0.4,)) for row in rows]


def test_forty_calls_from_four_threads_are_equal(rollout):
    scorer = shared_scorer(ScorerSettings(device="cpu"))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: scorer.scores(items(rollout)), range(40)))
    for each in found:
        assert torch.allclose(torch.tensor(each), rollout.scores, atol=CLOSE, rtol=0)


def test_latents_with_embeddings_load_neither_autoencoder_nor_text_encoders(rollout):
    own = LatentRewardModel.from_pretrained("synthetic")
    assert len(Scorer(LatentServed("own", own)).scores(items(rollout, range(2)))) == 2
    assert list(own.backbone.held()) == ["SD3Transformer2DModel"]


def test_who_names_the_same_shares_and_a_model_is_shared_by_all_ways_of_asking(tmp_path, monkeypatch):
    one = ScorerSettings(device="cpu")
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: shared_scorer(one), range(8)))
    assert len(found) == 1
    assert asyncio.run(shared_scorer_soon(one)) in found
    other = shared_scorer(ScorerSettings(device="cpu", max_batch=3))
    assert other not in found and other.served is next(iter(found)).served


def test_a_load_that_fails_fails_for_all_that_wait_and_is_tried_again():
    made, tries = Once[str, int](), []

    def fail():
        tries.append(1)
        time.sleep(0.05)
        raise ValueError("not there")

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(made.get, "a", fail) for _ in range(4)]
        assert all(isinstance(each.exception(), ValueError) for each in waiting)
    assert made.known("a") is None
    assert made.get("a", lambda: 7) == 7 and made.known("a") == 7
    assert made.get("a", fail) == 7


def test_a_score_that_is_no_number_is_an_error_with_its_item(rollout, model):
    class Astray:
        name, revision = "astray", ""

        def check(self, item): ...

        def score(self, given):
            found = LatentServed("astray", model).score(given)
            return [type(each)(float("nan")) if item.seed else each for each, item in zip(found, given, strict=True)]

        encode = z = probability = info = check

    given = items(rollout)
    given[4] = LatentItem(given[4].latents, given[4].conditioning, (0.4,), seed=1)
    with pytest.raises(NoScoreError, match="astray: item 4: the score is nan; accepted: finite numbers"):
        Scorer(Astray()).scores(given)


def test_what_is_read_otherwise_is_said_once(rollout, model):
    scorer = Scorer(LatentServed("ours", model))
    told = Conditioning(rollout.told.prompt_embeds[:1, :5], rollout.told.pooled_prompt_embeds[:1])
    item = LatentItem(rollout.latents[0], told, (0.4,))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert scorer.scores([item]) == scorer.scores([item])
    texts = [str(each.message) for each in said if each.category is ScoreWarning]
    assert len(texts) == len(set(texts))
    assert any("5 text tokens; ours was trained with" in text for text in texts)


def test_a_mask_is_missed_where_the_head_reads_one(rollout, model):
    unmasked = Conditioning(rollout.told.prompt_embeds[:1], rollout.told.pooled_prompt_embeds[:1])
    item = LatentItem(rollout.latents[0], unmasked, (0.4,))
    assert len(Scorer(LatentServed("ours", model)).scores([item])) == 1
    masking = replace(model.config, head=replace(model.config.head, mask_text_padding=True))
    reads_it = LatentRewardModel(masking, model.backbone, model.head)
    with pytest.warns(ScoreWarning, match="no prompt_mask: padding counts as text"):
        Scorer(LatentServed("ours", reads_it)).scores([item])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dtype": "float16"}, "dtype 'float16'; accepted: auto, float32, bfloat16"),
        ({"max_batch": 0}, "max_batch 0"),
        ({"max_wait_ms": -1.0}, "max_wait_ms -1.0"),
        ({"model": ""}, "model ''; accepted"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, reason):
    with pytest.raises(ValueError, match=reason):
        ScorerSettings(**changes)


def test_items_gather_by_key_and_a_bad_one_is_alone_with_its_error():
    batches = []

    def work(given):
        batches.append((get_ident(), list(given)))
        if "bad" in given:
            raise ValueError("bad")
        return [each.upper() for each in given]

    gathered = Gathered[str, str](work, most=4, wait=60.0)
    waiting = [gathered.put(len(each), each) for each in ("a", "bad", "b", "cat", "c", "dog", "d", "fox")]
    answers = [each.exception() or each.result().value for each in waiting]
    assert answers[0] == "A" and answers[2:] == ["B", "CAT", "C", "DOG", "D", "FOX"]
    assert str(answers[1]) == "bad"
    assert [given for _, given in batches[:2]] == [["a", "b", "c", "d"], ["bad", "cat", "dog", "fox"]]
    assert len({thread for thread, _ in batches}) == 1


def test_who_stops_waiting_leaves_the_batch():
    seen = []
    gathered = Gathered[int, int](lambda given: seen.extend(given) or list(given), most=2, wait=60.0)

    async def main():
        gone = asyncio.ensure_future(asyncio.wrap_future(gathered.put("k", 1)))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0.05)
        return await asyncio.gather(*(asyncio.wrap_future(gathered.put("k", each)) for each in (2, 3)))

    assert [each.value for each in asyncio.run(main())] == [2, 3]
    assert seen == [2, 3]


def test_a_fork_begins_anew():
    gathered = Gathered[int, int](list, most=1)
    assert gathered.put("k", 1).result().value == 1
    child = os.fork()
    if child == 0:
        own = Gathered[int, int](list, most=1)
        os._exit(0 if own.put("k", 2).result(20).value == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_nothing_is_left_of_what_nobody_holds(model):
    scorer = Scorer(LatentServed("ours", model))
    batcher, gone = weakref.ref(scorer._gathered._batcher), weakref.ref(scorer)
    del scorer
    for _ in range(50):
        gc.collect()
        if gone() is None and batcher() is None:
            return
        time.sleep(0.05)
    raise AssertionError("still there")
