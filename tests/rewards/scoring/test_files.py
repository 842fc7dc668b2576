import csv
import io
import shutil
import struct
import zlib

import pytest
import torch
from PIL import Image

from dina_lrm.images import png_bytes
from dina_lrm.reward_model.config import ScoreScale
from dina_lrm.reward_model.model import LatentRewardModel
from dina_lrm.rewards.contents import weights_hash
from dina_lrm.rewards.scoring.files import score_files
from dina_lrm.rewards.scoring.formats import FORMATS
from dina_lrm.rewards.scoring.rows import ScoreRow
from dina_lrm.runs.lock import one_writer
from tests.models import tiny_reward_model


@pytest.fixture(scope="module")
def model(tiny_folder):
    return tiny_reward_model(tiny_folder, score_mean=0.5, score_std=2.0)


def picture(seed, size=(32, 32)):
    pixels = torch.randint(0, 256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(pixels.to(torch.uint8).numpy())


@pytest.fixture
def rows(tmp_path):
    """Five rows: two images of unlike shapes, one twice, one that is corrupt, one that is not there."""
    (tmp_path / "corrupt.png").write_bytes(b"no image")
    picture(0).save(tmp_path / "a.png")
    picture(1, (48, 24)).save(tmp_path / "b.png")
    names = ["a.png", "corrupt.png", "b.png", "absent.png", "a.png"]
    return [ScoreRow(name, "a red cube", tmp_path / name) for name in names]


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def counted(model, method, monkeypatch):
    """How many items each call of a method of the model gets."""
    calls, original = [], getattr(model, method)

    def call(items, **named):
        calls.append(len(items))
        return original(items, **named)

    monkeypatch.setattr(model, method, call)
    return calls


def test_every_row_is_in_the_table_with_its_score_or_its_error(model, rows, tmp_path):
    out = tmp_path / "scores.csv"
    summary = score_files(model, rows, out, batch_size=2)
    assert (summary.rows, summary.already, summary.scored, summary.failed) == (5, 0, 3, 2)
    table = read(out)
    assert [row["image"] for row in table] == [row.image for row in rows]
    assert "not a readable image" in table[1]["error"]
    assert "no such image file" in table[3]["error"]
    assert table[1]["score"] == table[3]["z"] == ""
    with pytest.warns(UserWarning, match="resized"):
        alone = model.score([tmp_path / "a.png", tmp_path / "b.png"], "a red cube")
    found = torch.tensor([float(table[i]["score"]) for i in (0, 2)])
    torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)
    assert float(table[0]["z"]) == pytest.approx((float(table[0]["score"]) - 0.5) / 2.0, rel=1e-5)
    assert table[4] == table[0]


def test_named_scores_have_columns_and_are_known_again_by_content(tiny_folder, rows, tmp_path):
    scales = {"quality": ScoreScale(mean=-1.0, std=4.0)}
    named = tiny_reward_model(tiny_folder, scores=("overall", "quality"), score_mean=0.5, other_scales=scales)
    out = tmp_path / "scores.csv"
    score_files(named, rows, out, batch_size=2)
    table = read(out)
    with pytest.warns(UserWarning, match="resized"):
        alone = named.scores([tmp_path / "a.png", tmp_path / "b.png"], "a red cube")
    for name, found in alone.items():
        written = torch.tensor([float(table[i][f"score.{name}"]) for i in (0, 2)])
        torch.testing.assert_close(written, found, rtol=1e-4, atol=1e-5)
    assert table[0]["score"] == table[0]["score.overall"] and table[0]["z"] == table[0]["z.overall"]
    assert float(table[0]["z.quality"]) == pytest.approx((float(table[0]["score.quality"]) + 1) / 4, rel=1e-5)
    assert table[1]["score.quality"] == table[1]["z.quality"] == ""
    (tmp_path / "a.png").rename(tmp_path / "moved.png")
    again = score_files(named, [ScoreRow("moved.png", "a red cube", tmp_path / "moved.png")], out)
    assert (again.already, again.scored) == (1, 0)
    assert {**read(out)[-1], "image": "a.png"} == table[0]
    for one in (named.named("quality"), named.weighted({"quality": 1.0})):
        with pytest.raises(ValueError, match="other settings"):
            score_files(one, rows, out, made_by={"model": "another"})
    score_files(named.weighted({"quality": 1.0}), rows, tmp_path / "sum.csv")
    weighted = read(tmp_path / "sum.csv")
    assert "score.quality" not in weighted[0] and weighted[2]["score"] == table[2]["z.quality"]


def test_a_second_run_tries_failed_rows_only_and_adds_new_ones(model, rows, tmp_path, monkeypatch):
    out = tmp_path / "scores.csv"
    score_files(model, rows[:4], out)
    picture(5).save(tmp_path / "absent.png")
    scored = counted(model, "encode_images", monkeypatch)
    summary = score_files(model, rows, out)
    # The fifth row is the first one's picture and prompt: its score is known
    assert (summary.already, summary.scored, summary.failed, summary.retried, sum(scored)) == (3, 1, 1, 2, 1)
    assert sorted(row["image"] for row in read(out)) == sorted(row.image for row in rows)
    assert score_files(model, rows, out).already == 4


class StopError(Exception):
    pass


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_run_that_was_stopped_goes_on_to_the_same_table(model, rows, tmp_path, suffix):
    def stop(done, total):
        if done == 2:
            raise StopError

    good = [row for row in rows if row.image in ("a.png", "b.png")]
    straight, stopped = tmp_path / f"straight{suffix}", tmp_path / f"stopped{suffix}"
    score_files(model, good, straight, batch_size=1)
    with pytest.raises(StopError):
        score_files(model, good, stopped, batch_size=1, progress=stop)
    summary = score_files(model, good, stopped, batch_size=1)
    assert (summary.already, summary.scored, summary.changed, summary.unknown) == (3, 0, 0, 0)
    assert stopped.read_bytes() == straight.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_level": 0.3}, r"noise_level was \[0\.4\], now \[0\.3\]"),
        ({"noise_level": (0.2, 0.5)}, r"noise_level was \[0\.4\], now \[0\.2, 0\.5\]"),
        ({"seed": 1}, "seed was 0, now 1"),
        ({"made_by": {"model": "other"}}, "model was 'tiny', now 'other'"),
    ],
)
def test_another_model_level_or_seed_refuses_to_mix(model, rows, tmp_path, change, message):
    out = tmp_path / "scores.csv"
    score_files(model, rows[:1], out, made_by={"model": "tiny"})
    before = out.read_text()
    with pytest.raises(ValueError, match=message):
        score_files(model, rows, out, **{"made_by": {"model": "tiny"}} | change)
    assert out.read_text() == before
    assert score_files(model, rows[:1], out, made_by={"model": "tiny"}, noise_level=0.4).already == 1


def test_a_row_that_the_model_refuses_costs_its_neighbours_nothing(model, rows, tmp_path, monkeypatch):
    def encode(pipeline, prompts):
        if "forbidden" in prompts:
            raise ValueError("this prompt is refused")
        return type(model.backbone).encode(model.backbone, pipeline, prompts)

    monkeypatch.setattr(model.backbone, "encode", encode)
    given = [rows[0], ScoreRow("a.png", "forbidden", rows[0].source), rows[4]]
    assert score_files(model, given, tmp_path / "scores.csv").failed == 1
    assert [row["error"] for row in read(tmp_path / "scores.csv")] == ["", "this prompt is refused", ""]


def test_a_prompt_is_encoded_once_for_all_batches_and_by_itself(model, tmp_path, monkeypatch):
    encoded, original = [], model.backbone.encode

    def encode(pipeline, prompts):
        encoded.append(list(prompts))
        return original(pipeline, prompts)

    monkeypatch.setattr(model.backbone, "encode", encode)
    given = [
        ScoreRow(f"{n}", f"a {colour} cube", png_bytes(picture(n))) for n in range(4) for colour in ("red", "blue")
    ]
    score_files(model, given, tmp_path / "scores.csv", batch_size=3)
    assert encoded == [["a red cube"], ["a blue cube"]]


def test_many_prompts_are_let_go_of_and_change_no_score(model, tmp_path, monkeypatch):
    monkeypatch.setattr("dina_lrm.rewards.scoring.batches.KEPT_BYTES", 1)
    texts = [f"a {size} {colour} ball" for size in ("small", "large") for colour in ("red", "blue")]
    given = [ScoreRow(f"{n}", text, png_bytes(picture(n))) for n, text in enumerate(texts)]
    score_files(model, given, tmp_path / "scores.csv", batch_size=2)
    expected = model.score([row.source for row in given], texts)
    found = torch.tensor([float(row["score"]) for row in read(tmp_path / "scores.csv")])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_score_that_is_no_number_is_an_error(tiny_folder, rows, tmp_path):
    broken = tiny_reward_model(tiny_folder)
    with torch.no_grad():
        broken.head.head.bias.fill_(float("nan"))
    assert score_files(broken, rows[:1], tmp_path / "scores.csv").failed == 1
    assert read(tmp_path / "scores.csv")[0]["error"] == "the model's score is nan"


def test_truncated_prompts_are_told_and_progress_counts_rows(model, rows, tmp_path):
    seen = []
    given = [ScoreRow("a", "a red cube " * 9, png_bytes(picture(3))), rows[0]]
    summary = score_files(model, given, tmp_path / "s.csv", batch_size=1, progress=lambda *done: seen.append(done))
    assert summary.truncated == ("a red cube " * 9,)
    assert seen == [(1, 2), (2, 2)]


def scores_of(path):
    return {row["image"]: row["score"] for row in read(path)}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_picture_made_anew_under_its_name_is_scored_again(model, rows, tmp_path, suffix):
    given = [rows[0], rows[2]]
    score_files(model, given, tmp_path / f"s{suffix}")
    picture(9).save(tmp_path / "a.png")
    summary = score_files(model, given, tmp_path / f"s{suffix}")
    assert (summary.already, summary.scored, summary.changed) == (1, 1, 1)
    score_files(model, given, tmp_path / f"fresh{suffix}")
    again, fresh = ([row.image for row in table(tmp_path / f"{name}{suffix}")] for name in ("s", "fresh"))
    assert sorted(again) == sorted(fresh) == ["a.png", "b.png"]
    assert set(table(tmp_path / f"s{suffix}")) == set(table(tmp_path / f"fresh{suffix}"))
    assert score_files(model, given, tmp_path / f"s{suffix}").already == 2


def table(path):
    return FORMATS[path.suffix].read(path)


def test_pictures_that_change_places_keep_their_scores_and_nothing_is_computed(model, tmp_path, monkeypatch):
    first, second = png_bytes(picture(1)), png_bytes(picture(2))
    given = [ScoreRow("row 1", "p", first), ScoreRow("row 2", "p", second)]
    score_files(model, given, tmp_path / "s.csv")
    before = scores_of(tmp_path / "s.csv")
    encoded = counted(model, "encode_images", monkeypatch)
    summary = score_files(model, [ScoreRow("row 1", "p", second), ScoreRow("row 2", "p", first)], tmp_path / "s.csv")
    assert (summary.changed, summary.already, encoded) == (2, 2, [])
    assert scores_of(tmp_path / "s.csv") == {"row 1": before["row 2"], "row 2": before["row 1"]}


def test_rows_that_are_not_asked_for_stay(model, rows, tmp_path):
    score_files(model, [rows[0]], tmp_path / "s.csv")
    score_files(model, [rows[2]], tmp_path / "s.csv")
    assert [row["image"] for row in read(tmp_path / "s.csv")] == ["a.png", "b.png"]


def test_a_table_of_an_earlier_version_is_scored_again_and_a_picture_that_is_gone_keeps_its_score(
    model, rows, tmp_path
):
    out, given = tmp_path / "s.csv", [rows[0], rows[2]]
    score_files(model, given, out)
    fresh = out.read_bytes()
    lines = out.read_text().splitlines()
    out.write_text("".join(line.rpartition(",")[0] + "\n" for line in lines).replace(",1.", ",7.").replace(",-", ",7"))
    (tmp_path / "b.png").rename(tmp_path / "elsewhere.png")
    summary = score_files(model, given, out)
    assert (summary.unknown, summary.gone, summary.scored, summary.already) == (1, 1, 1, 1)
    assert {row["image"]: bool(row["content"]) for row in read(out)} == {"a.png": True, "b.png": False}
    (tmp_path / "elsewhere.png").rename(tmp_path / "b.png")
    assert score_files(model, given, out).unknown == 1
    assert out.read_bytes() == fresh


def test_two_writers_of_one_table_are_one_and_a_refusal(model, rows, tmp_path):
    with one_writer(tmp_path / "s.csv"), pytest.raises(ValueError, match="another process is writing there"):
        score_files(model, rows, tmp_path / "s.csv")
    assert score_files(model, rows, tmp_path / "s.csv").rows == 5
    assert sorted(path.name for path in tmp_path.glob("*s.csv*")) == ["s.csv", "s.csv.settings.json"]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"batch_size": 0}, "batch_size is 0; accepted: whole numbers of at least 1"),
        ({"seed": 2**64}, "seed is 18446744073709551616; accepted"),
        ({"noise_level": float("nan")}, "noise_level is nan"),
        ({"noise_level": (0.2, 1.5)}, r"noise_level is 1\.5"),
        ({"noise_level": ()}, "noise_level is an empty list"),
    ],
)
def test_settings_that_mean_nothing_are_refused_before_a_table_is_begun(model, rows, tmp_path, setting, told):
    with pytest.raises(ValueError, match=told):
        score_files(model, rows, tmp_path / "s.csv", **setting)
    assert not (tmp_path / "s.csv").exists()


def test_resized_pictures_and_unused_profiles_are_counted_and_large_ones_do_not_change(model, tmp_path):
    wide = png_bytes(picture(3, (90, 30)))
    buffer = io.BytesIO()
    picture(4).save(buffer, "PNG", icc_profile=b"none")
    given = [ScoreRow("wide", "p", wide), ScoreRow("profile", "p", buffer.getvalue())]
    summary = score_files(model, given, tmp_path / "s.csv")
    assert (summary.resized, summary.unused_profiles) == (1, 1)
    with pytest.warns(UserWarning, match="resized"):
        alone = model.score([wide], "p")
    assert float(read(tmp_path / "s.csv")[0]["score"]) == pytest.approx(float(alone[0]), rel=1e-4)


def test_a_picture_of_any_kind_of_damage_costs_itself_alone(model, rows, tmp_path):
    thin = struct.pack(">IIBBBBB", 1, 400_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + thin + struct.pack(">I", zlib.crc32(b"IHDR" + thin))
    given = [
        ScoreRow("thin", "p", b"\x89PNG\r\n\x1a\n" + chunk),
        ScoreRow("script", "p", b"%!PS-Adobe-3.0 EPSF-3.0"),
        ScoreRow("empty", "p", b""),
        ScoreRow("none", "p", None, "no image: the cell holds nothing"),
        rows[0],
    ]
    summary = score_files(model, given, tmp_path / "s.csv")
    assert (summary.failed, summary.scored) == (4, 1)
    assert [bool(row["error"]) for row in read(tmp_path / "s.csv")] == [True] * 4 + [False]


def test_the_hash_of_a_model_folder_follows_its_weights(model, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    model.save_pretrained(one)
    shutil.copytree(one, other)
    (other / "README.md").write_text("another card")
    assert weights_hash(one) == weights_hash(other)
    again = LatentRewardModel.from_pretrained(other, trainable=True)
    again.head.query_tokens.data += 1
    shutil.rmtree(other)
    again.save_pretrained(other)
    assert weights_hash(one) != weights_hash(other)
