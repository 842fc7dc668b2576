"""Shards of another size or type: the same rows, the same batches, or what changed is said."""

import json
from itertools import pairwise

import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.cli.main import main
from dina_lrm.data.batches import BatchPlan
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.merging import merge_caches
from dina_lrm.data.cache.parts import CacheParts
from dina_lrm.data.cache.repacking import repack_cache
from dina_lrm.data.cache.verification import verify_cache
from tests.data.first_format import to_first_format

CONFIG = BackboneConfig("qwen-image", "tiny", depth=1, visual_taps=(1,), prompt_length=5)
LATENT = 2 * 4 * 4 * 4


def written(folder, seed=0, scale=1.0):
    """Thirty comparisons of eight prompts and twenty pictures, in two buckets, in no order."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(5) < torch.tensor([1, 3, 5, 2, 4, 1, 5, 2])[:, None]
    embeds = torch.randn(8, 5, 4, generator=generator).masked_fill(~mask[..., None], 0)
    count = 30
    sides = torch.randint(10, (count, 2), generator=generator)
    sides[:, 1] = (sides[:, 0] + 1 + sides[:, 1] % 9) % 10
    EncodedComparisons.from_tensors(
        [scale * torch.randn(10, 2, 4, 4, generator=generator), torch.randn(10, 2, 4, 6, generator=generator)],
        Conditioning(embeds, prompt_mask=mask),
        sides[:, 0],
        sides[:, 1],
        torch.randint(8, (count,), generator=generator),
        torch.rand(count, generator=generator),
        bucket=torch.randint(2, (count, 2), generator=generator),
        prompts=[f"{seed}-{number}" for number in range(8)],
        pair_id=[str(number) for number in range(count)],
    ).save(folder, CONFIG)
    return folder


def comparisons(folder):
    """The cache, and what each comparison reads."""
    data = EncodedComparisons.load(folder, CONFIG)
    pairs, found = data.pairs, []
    for row in range(len(data)):
        images = [
            data.latents[int(bucket[row])].rows(image[row : row + 1])["latents"].tolist()
            for bucket, image in ((pairs.bucket_a, pairs.image_a), (pairs.bucket_b, pairs.image_b))
        ]
        prompt = data.conditioning_of(pairs.prompt[row : row + 1])
        states = prompt.prompt_embeds.tolist(), prompt.prompt_mask.tolist()
        labels = data.prompts[int(pairs.prompt[row])], pairs.pair_id[row], float(pairs.preference[row])
        found.append((images, states, labels))
    return data, found


def test_rows_content_and_batches_are_the_same_and_images_lie_in_the_order_of_prompts(tmp_path):
    before, wanted = comparisons(written(tmp_path / "cache"))
    told = repack_cache(tmp_path / "cache", tmp_path / "new", 3 * LATENT)
    after, found = comparisons(tmp_path / "new")
    assert found == wanted
    assert told.same_content and "every row and the content are the same" in str(told)
    assert after.header.content == before.header.content and after.content_hash == before.content_hash
    assert verify_cache(tmp_path / "new", level="deep").problems == ()
    assert [shard.rows for shard in after.header.buckets[0].shards][:-1] == [3] * 3
    plans = [BatchPlan(data.buckets, 4, seed=0, prompts=data.pairs.prompt) for data in (before, after)]
    assert all(torch.equal(plans[0].batch(step), plans[1].batch(step)) for step in range(12))
    assert reading_distance(after) < reading_distance(before)
    repack_cache(tmp_path / "new", tmp_path / "again", 10**6)
    assert comparisons(tmp_path / "again")[1] == wanted


def reading_distance(data):
    """How many rows lie between those that a reader of one prompt after the other asks for."""
    pairs, total = data.pairs, 0
    order = sorted(range(len(pairs)), key=lambda row: int(pairs.prompt[row]))
    for bucket in (0, 1):
        sides = [(pairs.bucket_a, pairs.image_a), (pairs.bucket_b, pairs.image_b)]
        met = [int(image[row]) for row in order for of, image in sides if of[row] == bucket]
        total += sum(abs(one - other) for one, other in pairwise(dict.fromkeys(met)))
    return total


def test_another_type_is_another_content_and_numbers_that_it_cannot_hold_are_refused(tmp_path):
    written(tmp_path / "cache")
    told = repack_cache(tmp_path / "cache", tmp_path / "half", dtype="bfloat16")
    assert not told.same_content and "since float32 became bfloat16" in str(told)
    before, after = EncodedComparisons.load(tmp_path / "cache"), EncodedComparisons.load(tmp_path / "half")
    assert after.header.dtype == "bfloat16"
    both = [data.conditioning.rows(torch.arange(8))["prompt_embeds"] for data in (before, after)]
    assert torch.equal(both[0].bfloat16(), both[1])
    assert verify_cache(tmp_path / "half").problems == ()
    assert repack_cache(tmp_path / "half", tmp_path / "wide", dtype="float32").dtype_before == "bfloat16"
    written(tmp_path / "large", scale=1e6)
    with pytest.raises(ValueError, match=r"latents/00/00000: row \d+ of latents holds NaN or infinity"):
        repack_cache(tmp_path / "large", tmp_path / "out", dtype="float16")
    with pytest.raises(ValueError, match=r"dtype: got 'float64'.*float32, float16, bfloat16"):
        repack_cache(tmp_path / "cache", tmp_path / "out", dtype="float64")
    with pytest.raises(ValueError, match=r"shard_bytes: got 0.*at least 1"):
        repack_cache(tmp_path / "cache", tmp_path / "out", 0)
    with pytest.raises(FileExistsError):
        repack_cache(tmp_path / "cache", tmp_path / "half")
    assert not (tmp_path / "out").exists()


def test_images_that_nobody_reads_are_left_out_and_the_first_format_is_taken(tmp_path):
    one = written(tmp_path / "one")
    data = EncodedComparisons.load(one)
    data.subset(torch.arange(0, 20)).save(tmp_path / "part", CONFIG)
    merged = merge_caches(one, tmp_path / "part", tmp_path / "merged")
    told = repack_cache(tmp_path / "merged", tmp_path / "new")
    assert told.left_out == merged.common_images == 20 and told.same_content
    wanted, found = comparisons(tmp_path / "merged")[1], comparisons(tmp_path / "new")[1]
    assert found == wanted
    to_first_format(one)
    assert "counted as format 2" in str(repack_cache(one, tmp_path / "second"))
    assert comparisons(tmp_path / "second")[1] == comparisons(one)[1]


def test_bytes_of_the_parts_add_up_to_the_files_and_commands_say_them(tmp_path, capsys):
    folder, told = written(tmp_path / "cache"), tmp_path / "told.json"
    header = EncodedComparisons.load(folder).header
    parts = CacheParts.of(folder, header)
    assert parts.bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert parts.latents == {"size not known": 10 * LATENT + 10 * LATENT * 6 // 4}
    assert parts.prompts["tokens"] == 23 * 4 * 4 and parts.layouts == {"ragged": 8}
    assert main(["cache", "info", str(folder), "--json", str(told)]) == 0
    assert json.loads(told.read_text())["parts"]["layouts"] == {"ragged": 8}
    shown = " ".join(capsys.readouterr().out.split())
    assert "ragged (8)" in shown and "pair buckets" in shown and "prompt padding" in shown
    words = ["cache", "repack", str(folder), "--out", str(tmp_path / "new")]
    assert main([*words, "--shard-mib", "1", "--dtype", "float16", "--json", str(told)]) == 0
    assert json.loads(told.read_text())["dtype"] == "float16"
    assert main(words) == 2
    assert main([*words[:-1], str(tmp_path / "other"), "--shard-mib", "0"]) == 2
