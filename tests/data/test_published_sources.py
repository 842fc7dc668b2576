"""Every published layout is read as what its field means; a wrong field, label or side names file and row."""

import dataclasses
import io
import json
import random
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dina_lrm.cli.main import main
from dina_lrm.data.checking import check_comparisons
from dina_lrm.data.comparison import UnreadableImage
from dina_lrm.data.sources import SOURCES, ReadOptions, Row, read_comparisons, source_rows
from dina_lrm.data.sources.hub import HubDataset, hub_rows
from dina_lrm.data.sources.layouts import OWN_LAYOUTS
from tests.data.published import LAYOUTS, PICTURES


@pytest.fixture(params=LAYOUTS)
def source(request):
    return request.param


@pytest.fixture
def root(source, tmp_path):
    LAYOUTS[source](tmp_path)
    return tmp_path


def name_of(image):
    return getattr(image, "name", None) or image


def preferences(root, source, **more):
    """P(first in published order preferred) by the names of both images."""
    found = {}
    for pair in read_comparisons(root, source, **more):
        a, b = name_of(pair.image_a), name_of(pair.image_b)
        found[a, b] = pair.preference
        found[b, a] = 1 - pair.preference
    return found


def test_every_published_source_has_a_layout_here():
    assert set(LAYOUTS) == set(SOURCES) - {"ours"} - set(OWN_LAYOUTS)


def test_every_comparison_is_named_and_sides_are_a_function_of_the_seed(source, root):
    pairs = list(read_comparisons(root, source))
    assert pairs
    assert all(pair.source == source and pair.prompt_id for pair in pairs)
    assert len({pair.pair_id for pair in pairs}) == len(pairs)
    assert list(read_comparisons(root, source)) == pairs
    seen = set()
    for seed in range(8):
        again = list(read_comparisons(root, source, seed=seed))
        for pair, other in zip(pairs, again, strict=True):
            assert other in (pair, pair.swapped())
            seen.add(other == pair)
    assert seen == {True, False}


def test_hpdv3_votes_are_soft_labels_and_path1_is_preferred(tmp_path):
    LAYOUTS["hpdv3"](tmp_path)
    found = preferences(tmp_path, "hpdv3")
    assert found["0.png", "1.png"] == pytest.approx(12 / 19)
    assert found["2.png", "1.png"] == 1.0
    pairs = list(read_comparisons(tmp_path, "hpdv3"))
    assert [(pair.votes, pair.confidence) for pair in pairs] == [(19, 0.97), (None, None), (9, 1.0)]
    assert pairs[0].prompt_id == pairs[1].prompt_id != pairs[2].prompt_id


def test_votes_against_the_named_winner_make_the_label_and_are_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LAYOUTS["hpdv3"](tmp_path)
    rows = json.loads((tmp_path / "test.json").read_text())
    (tmp_path / "test.json").write_text(json.dumps([rows[0] | {"choice_dist": [3, 5]}, *rows[1:]]))
    first = next(iter(read_comparisons(tmp_path, "hpdv3")))
    of_path1 = first.preference if first.image_a == tmp_path / "images" / "0.png" else 1 - first.preference
    assert (of_path1, first.votes) == (3 / 8, 8)
    words = ["data", "check", "hpdv3", "--path", str(tmp_path), "--json", str(tmp_path / "found.json"), "--quiet"]
    assert main(words) == 0
    assert main([*words, "--strict"]) == 1
    assert json.loads((tmp_path / "found.json").read_text())["problems"]["conflict"] == 1
    listed = [json.loads(line) for line in (tmp_path / "hpdv3.problems.jsonl").read_text().splitlines()]
    (found,) = (problem for problem in listed if problem["fault"] == "conflict")
    assert found["where"] == f"{tmp_path / 'test.json'}, row 1"
    assert "its votes are 3 to 5" in found["reason"]


def test_released_votes_against_image_1_are_told(tmp_path):
    LAYOUTS["released-latents"](tmp_path)
    row = next(source_rows("released-latents", tmp_path))
    assert SOURCES["released-latents"].conflict(row) is None
    against = dataclasses.replace(row, values=row.values | {"detailed_results": "{'choice_dist': [1, 4]}"})
    assert "image 1 is named" in SOURCES["released-latents"].conflict(against)


def test_a_list_of_a_million_rows_is_read_row_by_row(tmp_path):
    """The first row is there before the rest is looked at, memory is flat, and a bad row late in the file is named."""
    LAYOUTS["hpdv3"](tmp_path)
    text = json.dumps(json.loads((tmp_path / "test.json").read_text())[0])
    (tmp_path / "test.json").write_text(f"[{text},\n{text}, {{bad")
    rows = source_rows("hpdv3", tmp_path)
    assert [next(rows).place, next(rows).place] == ["row 1", "row 2"]
    broken = next(rows)
    with pytest.raises(ValueError, match=r"test.json, row 3: not JSON from here on"):
        broken.parsed()
    assert next(rows, None) is None
    long = text.replace("p0", "a long prompt " * 200)
    (tmp_path / "test.json").write_text("[" + ",\n".join([long] * 1_500) + "]")
    tracemalloc.start()
    assert sum(1 for _ in source_rows("hpdv3", tmp_path)) == 1_500
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 2**20 < (tmp_path / "test.json").stat().st_size


def test_a_hub_that_cannot_be_reached_is_an_answer_that_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert main(["data", "check", "pick-a-pic"]) == 2
    told = capsys.readouterr().err
    assert "yuvalkirstain/pickapic_v2, split 'test_unique': the hub cannot be reached" in told
    assert "hf download yuvalkirstain/pickapic_v2 --repo-type dataset --local-dir DIR" in told
    assert "--path DIR" in told


def test_hpdv2_rankings_and_pairs(tmp_path):
    LAYOUTS["hpdv2"](tmp_path)
    found = preferences(tmp_path, "hpdv2")
    assert (found["0.png", "1.png"], found["0.png", "2.png"], found["1.png", "2.png"]) == (1.0, 1.0, 0.5)
    found = preferences(tmp_path, "hpdv2", split="train")
    assert (found["0.png", "1.png"], found["1.png", "2.png"]) == (1.0, 1.0)


def test_imagereward_rankings_keep_their_ties_and_prompts(tmp_path):
    LAYOUTS["imagereward"](tmp_path)
    pairs = list(read_comparisons(tmp_path, "imagereward"))
    assert len(pairs) == 7
    assert sum(pair.is_tie for pair in pairs) == 1
    assert len({pair.prompt_id for pair in pairs}) == 2
    found = preferences(tmp_path, "imagereward")
    assert (found["0.png", "3.png"], found["1.png", "2.png"], found["none.webp", "4.png"]) == (1.0, 0.5, 1.0)


def test_genai_bench_votes(tmp_path):
    LAYOUTS["genai-bench"](tmp_path)
    by_prompt = {pair.prompt: pair for pair in read_comparisons(tmp_path, "genai-bench")}
    left = next(source_rows("genai-bench", tmp_path)).values["left_image"]["bytes"]
    first = by_prompt["p0"] if by_prompt["p0"].image_a == left else by_prompt["p0"].swapped()
    assert first.preference == 1.0
    assert (by_prompt["p2"].is_tie, by_prompt["p3"].is_tie) == (True, True)


def test_pick_a_pic_rows_without_a_label_hold_no_judgement(tmp_path):
    LAYOUTS["pick-a-pic"](tmp_path)
    pairs = list(read_comparisons(tmp_path, "pick-a-pic"))
    assert [pair.prompt for pair in pairs] == ["p0", "p1"]
    assert pairs[1].is_tie


def test_parquet_data_sets_stream_as_from_the_hub(tmp_path):
    card = "---\nconfigs:\n- config_name: {}\n  data_files:\n  - split: {}\n    path: {}\n---\n"
    for source, config, split, files in (
        ("genai-bench", "image_generation", "test_v1", "image_generation/test_v1-*"),
        ("pick-a-pic", "default", "test_unique", "data/test_unique-*"),
    ):
        folder = tmp_path / source
        folder.mkdir()
        LAYOUTS[source](folder)
        (folder / "README.md").write_text(card.format(config, split, files))
        data = HubDataset(str(folder), config)
        streamed = [row.values for row in hub_rows(data, split)]
        assert streamed == [row.values for row in source_rows(source, folder)]


BAD = [
    ("hpdv3", "test.json", {"choice_dist": [0, 0]}, "row 1: choice_dist is .0, 0."),
    ("hpdv3", "test.json", {"choice_dist": [3, -1]}, "row 1: choice_dist is .3, -1."),
    ("hpdv3", "test.json", {"choice_dist": "12-7"}, "row 1: choice_dist is '12-7'"),
    ("hpdv3", "test.json", {"confidence": 3}, "row 1: confidence is 3"),
    ("hpdv3", "test.json", {"path1": 3}, "row 1: path1 is 3; give the path"),
    ("hpdv2", "test.json", {"raw_annotations": 5}, "row 1: raw_annotations is 5; accepted: a list"),
    ("hpdv2", "test.json", {"rank": [10**400, 1, 2]}, "row 1: "),
    ("hpdv3", "test.json", {"prompt": " "}, "row 1: prompt is empty"),
    ("hpdv2", "train.json", {"human_preference": [1, 1]}, r"row 1: 2 images with human_preference \[1, 1\]"),
    ("hpdv2", "test.json", {"rank": [1, 2]}, "row 1: 3 images and 2 ranks"),
    ("imagereward", "data/test.json", {"ranking": ["1", "2"]}, "row 1: ranking is .*accepted: a list of ranks"),
    ("imagereward", "data/test.json", {"generations": ["a"], "ranking": [1]}, "row 1: 1 images; accepted: at least"),
]


@pytest.mark.parametrize(("source", "file", "change", "message"), BAD)
def test_a_wrong_value_names_file_and_row(tmp_path, source, file, change, message):
    LAYOUTS[source](tmp_path)
    rows = json.loads((tmp_path / file).read_text())
    (tmp_path / file).write_text(json.dumps([rows[0] | change, *rows[1:]]))
    split = "train" if "train" in file else None
    with pytest.raises(ValueError, match=rf"{file.rsplit('/')[-1]}, {message}"):
        list(read_comparisons(tmp_path, source, split=split))


@pytest.mark.parametrize("source", ["hpdv3", "hpdv2", "imagereward"])
def test_a_missing_field_is_named(tmp_path, source):
    LAYOUTS[source](tmp_path)
    file = next(tmp_path.rglob("test.json"))
    file.write_text(json.dumps([{"prompt": "p"}]))
    with pytest.raises(ValueError, match=r"row 1: no field \w+; found: prompt"):
        list(read_comparisons(tmp_path, source))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("vote_type", "upvote", "row 1: vote_type is 'upvote'; accepted: 'leftvote'"), ("left_image", 3, "left_image")],
)
def test_a_wrong_vote_names_the_row(tmp_path, column, value, message):
    LAYOUTS["genai-bench"](tmp_path)
    row = next(source_rows("genai-bench", tmp_path))
    changed = dataclasses.replace(row, values=row.values | {column: value})
    with pytest.raises(ValueError, match=message):
        SOURCES["genai-bench"].comparisons(changed, ReadOptions())


def test_a_rank_that_is_no_number_prefers_nothing():
    row = Row(Path("r.parquet"), "row 1", {"prompt": "p", "images": ["a", "b"], "ranks": [1.0, float("nan")]})
    with pytest.raises(ValueError, match=r"r\.parquet, row 1: ranks is \[1\.0, nan\]; accepted: finite numbers"):
        SOURCES["rankings"].comparisons(row, ReadOptions())


@pytest.mark.parametrize(("source", "file"), [("hpdv3", "test.json"), ("imagereward", "data/test.json")])
def test_an_empty_cell_of_a_published_table_is_left_out_and_counted(tmp_path, source, file):
    LAYOUTS[source](tmp_path)
    rows = json.loads((tmp_path / file).read_text())
    change = {"path1": None} if source == "hpdv3" else {"generations": [None, *rows[0]["generations"][1:]]}
    (tmp_path / file).write_text(json.dumps([rows[0] | change, *rows[1:]]))
    report = check_comparisons(lambda: source_rows(source, tmp_path), source, ReadOptions(root=tmp_path))
    assert report.count("row") == 0
    assert [problem.where.split("test.json, ")[1][:5] for problem in report.problems if problem.fault == "no picture"]


@pytest.mark.parametrize(
    "details", ["{'choice_dist': ['3', '1']}", "{'confidence': [1]}", "[" * 5000, "{'a': " * 20_000, "nonsense"]
)
def test_details_that_are_no_dictionary_of_votes_name_the_row(tmp_path, details):
    LAYOUTS["released-latents"](tmp_path)
    row = next(source_rows("released-latents", tmp_path))
    changed = dataclasses.replace(row, values=row.values | {"detailed_results": details})
    with pytest.raises(ValueError, match=r"row 1: "):
        SOURCES["released-latents"].comparisons(changed, ReadOptions())


def test_latents_that_are_no_numbers_are_left_out_and_arrays_that_are_none_refused(tmp_path):
    LAYOUTS["released-latents"](tmp_path)
    row = next(source_rows("released-latents", tmp_path))
    buffer = io.BytesIO()
    np.save(buffer, np.full((16, 4, 4), np.nan, dtype=np.float32))
    values = row.values | {"latent1": buffer.getvalue(), "latent1_shape": [16, 4, 4]}
    (found,) = SOURCES["released-latents"].comparisons(dataclasses.replace(row, values=values), ReadOptions())
    unreadable = [image for image in (found.image_a, found.image_b) if isinstance(image, UnreadableImage)]
    assert [image.reason for image in unreadable] == ["latents that are not finite numbers"]
    zipped = io.BytesIO()
    np.savez(zipped, a=np.zeros(3))
    for stored in (zipped.getvalue(), b"", b"nonsense", None, "text"):
        broken = dataclasses.replace(row, values=row.values | {"latent1": stored})
        with pytest.raises(ValueError, match=r"row 1: latent1: not the bytes of an \.npy array"):
            SOURCES["released-latents"].comparisons(broken, ReadOptions())


def test_an_unknown_split_or_source_is_answered_with_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="split 'val'; accepted: test, train"):
        list(read_comparisons(tmp_path, "hpdv3", split="val"))
    with pytest.raises(ValueError, match="did you mean 'hpdv3'"):
        list(read_comparisons(tmp_path, "hpdv33"))
    with pytest.raises(FileNotFoundError, match=r"no table of split 'test'; expected test.json"):
        list(read_comparisons(tmp_path, "hpdv3"))
    with pytest.raises(ValueError, match="read from local files"):
        list(read_comparisons(None, "hpdv3"))


def test_data_check_counts_what_a_published_set_holds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LAYOUTS["imagereward"](tmp_path)
    (tmp_path / "images" / "3.png").write_bytes(b"cut off")
    found = tmp_path / "found.json"
    words = ["data", "check", "imagereward", "--path", str(tmp_path), "--split", "test", "--json", str(found)]
    assert main(words) == 0
    result = json.loads(found.read_text())
    assert (result["prompts"], result["pairs"], result["ties"]) == (2, 7, 1)
    assert (result["missing_images"], result["corrupt_images"], result["images"]) == (1, 1, 6)
    listed = [json.loads(line) for line in (tmp_path / "imagereward.problems.jsonl").read_text().splitlines()]
    assert sorted(problem["fault"] for problem in listed) == ["corrupt image", "missing image"]
    assert main([*words, "--strict"]) == 1
    assert "missing image" in capsys.readouterr().err


def test_data_check_of_a_set_of_the_published_size_adds_up(tmp_path, monkeypatch):
    """466 rankings of 4 to 9 images: pairs are n (n - 1) / 2 of each, ties those of equal ranks."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(0)
    (tmp_path / "data").mkdir()
    for number in range(9):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    sizes = [chance.randint(4, 9) for _ in range(466)]
    rankings = [[chance.randint(1, size) for _ in range(size)] for size in sizes]
    rows = [
        {"id": f"{n:06d}", "prompt": f"prompt {n % 400}", "generations": [f"{i}.png" for i in range(len(ranking))]}
        | {"ranking": ranking}
        for n, ranking in enumerate(rankings)
    ]
    for row in rows[:12]:
        row["generations"][3] = f"gone-{row['id']}.webp"
    (tmp_path / "data" / "test.json").write_text(json.dumps(rows))
    words = ["data", "check", "imagereward", "--path", str(tmp_path), "--split", "test", "--json", "found.json"]
    assert main([*words, "--quiet"]) == 0
    found = json.loads(Path("found.json").read_text())
    ties = sum(sum(n * (n - 1) // 2 for n in Counter(ranking).values()) for ranking in rankings)
    expected = {
        "prompts": 466,
        "pairs": sum(size * (size - 1) // 2 for size in sizes),
        "ties": ties,
        "missing_images": 12,
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["imagereward", "--path", "nowhere"], 2, "nowhere"),
        (["imagereward", "--path", ".", "--split", "tset"], 2, "split 'tset'; accepted: test, validation, train"),
        (["imagereward", "--path", ".", "--split", "train"], 2, "no table of split 'train'"),
        (["imagereward"], 2, "give the path of its folder"),
        (["imagerewards", "--path", "."], 2, "no such file or folder, nor a data set; did you mean 'imagereward'?"),
        (["empty.jsonl"], 0, "holds no row"),
        (["empty.jsonl", "--strict"], 1, "holds no row"),
        (["empty.json"], 2, "empty.json: holds nothing"),
        (["header.csv", "--strict"], 1, "holds no row"),
    ],
)
def test_data_check_answers_a_careless_user(tmp_path, monkeypatch, capsys, words, code, message):
    monkeypatch.chdir(tmp_path)
    LAYOUTS["imagereward"](tmp_path)
    for name in ("empty.jsonl", "empty.json"):
        Path(name).write_text("")
    Path("header.csv").write_text("prompt,image_a,image_b,preference\n")
    assert main(["data", "check", *words]) == code
    told = capsys.readouterr()
    assert message in told.out + told.err


def test_data_check_counts_rows_without_a_judgement(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LAYOUTS["pick-a-pic"](tmp_path)
    found = tmp_path / "found.json"
    assert main(["data", "check", "pick-a-pic", "--path", str(tmp_path), "--json", str(found), "--quiet"]) == 0
    result = json.loads(found.read_text())
    assert (result["rows"], result["unlabelled_rows"], result["pairs"], result["images"]) == (3, 1, 2, 3)
    assert result["sizes"] == {f"{PICTURES[0].width}x{PICTURES[0].height}": 3}


def test_a_published_set_is_prepared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LAYOUTS["hpdv3"](tmp_path)
    words = ["prepare", str(tmp_path), "--source", "hpdv3", "--split", "test", "--backbone", "synthetic"]
    found = tmp_path / "found.json"
    assert main([*words, "--out", str(tmp_path / "cache"), "--quiet", "--json", str(found)]) == 0
    result = json.loads(found.read_text())
    assert (result["pairs"], result["missing_pairs"], result["missing_images"]) == (2, 1, 1)


def test_released_latents_are_taken_as_they_are(tmp_path, tiny_folder):
    import torch

    from dina_lrm.data.encoding.comparisons import encode_comparisons
    from dina_lrm.data.encoding.encoders import encoding_backbone

    LAYOUTS["released-latents"](tmp_path)
    pairs = list(read_comparisons(tmp_path, "released-latents"))
    assert [(p.preference, p.votes, p.confidence) for p in map(_preferred_first, pairs)] == [
        (0.8, 10, 0.9),
        (1.0, None, None),
    ]
    backbone = encoding_backbone(str(tiny_folder), 0)
    # This generator has 4 pixels a latent where the released ones have 8: its bucket of 32 pixels is 8 latents wide
    data = encode_comparisons(pairs, backbone, resolution=32)
    assert (len(data), data.images, len(data.prompts)) == (2, 3, 2)
    batch = data.batch(torch.tensor([0]))
    for side, row in ((pairs[0].image_a, batch.first), (pairs[0].image_b, batch.second)):
        assert torch.equal(batch.latents[row][0], torch.from_numpy(side.latents))


def _preferred_first(pair):
    return pair if pair.preference > 0.5 else pair.swapped()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("latent1", b"no array", "latent1: not the bytes of an .npy array"),
        ("latent1_shape", [16, 8, 8], r"latent1 has the shape \(16, 4, 4\), latent1_shape says"),
        ("detailed_results", "__import__('os')", "detailed_results is .* accepted: the text of a dictionary"),
    ],
)
def test_released_latents_that_are_none_name_the_row(tmp_path, column, value, message):
    LAYOUTS["released-latents"](tmp_path)
    row = next(source_rows("released-latents", tmp_path))
    changed = dataclasses.replace(row, values=row.values | {column: value})
    with pytest.raises(ValueError, match=rf"row 1: {message}"):
        SOURCES["released-latents"].comparisons(changed, ReadOptions())


def test_latents_of_another_size_are_missing_and_counted(tmp_path):
    found = tmp_path / "found.json"
    (tmp_path / "data").mkdir()
    LAYOUTS["released-latents"](tmp_path / "data")
    words = ["prepare", str(tmp_path / "data"), "--source", "released-latents", "--backbone", "synthetic"]
    assert main([*words, "--resolution", "64", "--out", str(tmp_path / "c"), "--quiet", "--json", str(found)]) != 0
    assert "latents of 32x32 pixels do not fit the bucket 64x64" in json.loads(found.read_text())["error"]
