"""Pairs by name: files and votes are encoded as `prepare` would, once; caches are read, or refused with both values."""

import json
from pathlib import Path

import pytest
import torch

from dina_lrm.alignment.pairs.judged import is_judged, judged_comparisons
from dina_lrm.alignment.pairs.learned import ITSELF, TIES, learned_pairs
from dina_lrm.alignment.pairs.source import PairSource
from dina_lrm.alignment.prompts import held_beside_pairs
from dina_lrm.data.encoding.comparisons import encode_comparisons
from dina_lrm.data.encoding.encoders import encoding_backbone
from dina_lrm.data.encoding.plan import PLAN
from dina_lrm.data.sources import read_comparisons
from dina_lrm.generators.load import loaded_generator
from dina_lrm.generators.settings import BUNDLED_GENERATOR
from dina_lrm.typed import DinaError
from tests.data.votes.drawn import pictures, said, store_of


@pytest.fixture(scope="module")
def generator():
    return loaded_generator(BUNDLED_GENERATOR, "cpu")


def table(folder, rows):
    file = folder / "pairs.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def pairs_in(folder):
    paths = [path.name for path in pictures(folder, 6)]
    rows = [
        {"prompt": f"a {word} ring", "image_a": a, "image_b": b, "preference": p}
        for word, a, b, p in (("red", *paths[:2], 1.0), ("blue", *paths[2:4], 0.25), ("green", paths[4], "gone.png", 1))
    ]
    return table(folder, rows)


def test_a_file_is_encoded_as_prepare_would_and_only_once(generator, tmp_path):
    source = PairSource(str(pairs_in(tmp_path)))
    found = source.encoded(
        generator, BUNDLED_GENERATOR, lambda prompt: "blue" not in prompt, tmp_path / "run" / "cache"
    )
    assert len(found.data) == 1 and len(found.data.missing) == 1 and found.left_out.total == 1
    again = source.encoded(
        generator, BUNDLED_GENERATOR, lambda prompt: "blue" not in prompt, tmp_path / "run" / "cache"
    )
    assert again.left_out.total == 1 and again.data.content_hash == found.data.content_hash
    plain = encode_comparisons(
        read_comparisons(tmp_path / "pairs.jsonl"), encoding_backbone("synthetic"), tmp_path / "cache", resolution=32,
        pair_buckets="common",
    )  # fmt: skip
    [table] = [rows for rows in found.data.latents if len(rows)]
    expected = {row.tobytes() for rows in plain.latents if len(rows)
                for row in rows.rows(torch.arange(len(rows)))["latents"].numpy()}  # fmt: skip
    assert {row.tobytes() for row in table.rows(torch.arange(2))["latents"].numpy()} <= expected
    # and a cache of prepare is read as it is
    ready = PairSource(str(tmp_path / "cache")).encoded(generator, BUNDLED_GENERATOR, lambda prompt: True, None)
    assert ready.data.content_hash == plain.content_hash and str(source.size()).startswith("3 comparisons: 6 pictures")
    assert str(PairSource(str(tmp_path / "cache")).size()) == "3 comparisons, encoded already"
    (tmp_path / "pairs.jsonl").write_text((tmp_path / "pairs.jsonl").read_text().replace("0.25", "0.75"))
    with pytest.raises(ValueError, match=r"--pairs .* was changed since it was encoded"):
        source.encoded(generator, BUNDLED_GENERATOR, lambda prompt: True, tmp_path / "run" / "cache")


def test_a_cache_that_was_killed_at_the_end_of_its_making_is_ended(generator, tmp_path, monkeypatch):
    source, cache = PairSource(str(pairs_in(tmp_path))), tmp_path / "run" / "cache"
    encoded = lambda: source.encoded(generator, BUNDLED_GENERATOR, lambda prompt: True, cache)  # noqa: E731
    unlink = Path.unlink

    def stopping(path, missing_ok=False):
        if path == cache / PLAN:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "unlink", stopping)
        encoded()
    assert (cache / PLAN).is_file()
    content = encoded().data.content_hash
    assert not (cache / PLAN).exists() and encoded().data.content_hash == content


def test_a_cache_of_another_size_or_generator_is_refused_with_both(generator, tmp_path):
    rows = list(read_comparisons(pairs_in(tmp_path)))
    encode_comparisons(rows, encoding_backbone("synthetic"), tmp_path / "64", resolution=64)
    with pytest.raises(ValueError, match=r"holds pictures of .*64.*aligned at .*32"):
        PairSource(str(tmp_path / "64")).encoded(generator, BUNDLED_GENERATOR, lambda prompt: True, None)
    encode_comparisons(rows, encoding_backbone("synthetic-unet"), tmp_path / "unet", resolution=32)
    with pytest.raises(ValueError, match=r"was encoded by stable-diffusion .*this backbone is sd3"):
        PairSource(str(tmp_path / "unet")).encoded(generator, BUNDLED_GENERATOR, lambda prompt: True, None)
    with pytest.raises(FileNotFoundError, match=r"--pairs nowhere.jsonl: no such file; accepted: comparisons"):
        PairSource("nowhere.jsonl")


def test_shares_of_votes_are_soft_labels(generator, tmp_path):
    with store_of(tmp_path / "votes.sqlite", pairs=3, first_controls=0) as store:
        people, pairs = [store.join(name) for name in ("Ada", "Bert", "Cleo")], store.pairs()
        for number, (who, pair, answer) in enumerate([(0, 0, "a"), (1, 0, "a"), (2, 0, "b"), (0, 1, "tie")]):
            store.record(said(pairs[pair].id, people[who], answer, number, ms=2000))
    found = PairSource(str(tmp_path / "votes.sqlite")).encoded(generator, BUNDLED_GENERATOR, lambda prompt: True, None)
    assert sorted(found.data.preference.tolist()) == pytest.approx([0.5, 2 / 3], abs=1e-6)


def test_both_pictures_of_a_vote_that_both_are_bad_are_disliked_by_kto_and_no_pair(generator, tmp_path):
    file = tmp_path / "votes.sqlite"
    with store_of(file, pairs=4, first_controls=0) as store:
        people, pairs = [store.join(name) for name in ("Ada", "Bert", "Cleo")], store.pairs()
        answers = [(0, 0, "both_bad"), (0, 1, "a"), (1, 1, "b"), (2, 1, "both_bad"), (0, 2, "a"), (1, 3, "skip")]
        for number, (who, pair, answer) in enumerate(answers):
            store.record(said(pairs[pair].id, people[who], answer, number, ms=2000))
        store.record(said(pairs[3].id, people[0], "both_bad", "too fast", ms=100))
    plain, alone = (PairSource(str(file), alone=alone) for alone in (False, True))
    assert set(alone.prompts().prompts) - set(plain.prompts().prompts) == {pairs[0].prompt}
    found = {one: one.encoded(generator, BUNDLED_GENERATOR, lambda _: True, None) for one in (plain, alone)}
    of_pairs = learned_pairs(found[plain], lambda _: True, [])
    assert len(of_pairs.trained) == of_pairs.found == 2, "a preferred one, and two who differ"
    by_picture = learned_pairs(found[alone], lambda _: True, [], kto=True)
    rows = zip(
        [by_picture.data.prompts[row] for row in by_picture.trained.prompt.tolist()],
        by_picture.trained.preference.tolist(),
        [round(weight, 3) for weight in by_picture.trained.weight.tolist()],
        strict=True,
    )
    bad, split, liked = (pairs[place].prompt for place in (0, 1, 2))
    assert sorted(rows) == sorted(
        [(bad, 0, 1), (bad, 0, 1), (split, 0, 0.333), (split, 0, 0.333), (liked, 1, 1), (liked, 0, 1)]
    )
    assert by_picture.found == 6 and by_picture.left_out.counts == {TIES: 1}, "the two who differ say nothing"
    both = by_picture.trained.take((by_picture.trained.weight == 1).nonzero().flatten())
    of_bad = [row for row, prompt in enumerate(both.prompt.tolist()) if by_picture.data.prompts[prompt] == bad]
    assert len(set(both.image_a[of_bad].tolist())) == 2, "both of its pictures"
    assert learned_pairs(found[alone], lambda _: True, []).left_out.counts == {ITSELF: 4}


def test_pictures_that_were_judged_alone_are_liked_or_not(tmp_path):
    paths = [path.name for path in pictures(tmp_path, 2)]
    words = [
        ("kept", "yes", 1.0),
        ("liked", False, 0.0),
        ("label", "rejected", 0.0),
        ("rating", 4, 1.0),
        ("Score", "3", 0.0),
    ]
    for column, value, expected in words:
        file = table(tmp_path, [{"prompt": "a ring", "image": paths[0], column: value, "weight": 2}])
        assert is_judged(file)
        [found] = judged_comparisons(file, 3.5)
        assert (found.preference, found.weight) == (expected, 2) and found.image_a == found.image_b
    with pytest.raises(DinaError, match=r"Score is 3, a rating; accepted with --dpo.liked-from"):
        list(judged_comparisons(file, None))
    other = table(tmp_path, [{"text": "a ring", "picture": paths[0], "mine": "maybe"}])
    with pytest.raises(DinaError, match=r"mine is 'maybe'; accepted: one of"):
        list(judged_comparisons(other, None, {"prompt": "text", "image": "picture", "liked": "mine"}))
    assert is_judged(other, {"liked": "mine"}) and not is_judged(other) and not is_judged(pairs_in(tmp_path))


def test_prompts_of_looks_are_those_of_pairs_or_of_others(tmp_path):
    of_pairs = PairSource(str(pairs_in(tmp_path))).prompts()
    assert of_pairs.prompts == ("a red ring", "a blue ring", "a green ring")
    held = held_beside_pairs(of_pairs, None, None, 1)
    assert held.shown.prompts == ("a green ring",) and "a green ring" not in held.trained.prompts
    (tmp_path / "looks.txt").write_text("A red  ring\na bar\n")
    held = held_beside_pairs(of_pairs, None, str(tmp_path / "looks.txt"), 2)
    assert held.shown.prompts == ("A red  ring", "a bar") and held.trained.prompts == ("a blue ring", "a green ring")
    with pytest.raises(DinaError, match=r"--pairs .*different prompts, fewer --looks.prompts"):
        held_beside_pairs(of_pairs, None, None, 2)
