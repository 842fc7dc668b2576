import dataclasses
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.cli.main import main
from dina_lrm.data.cache import tables
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.format import BackboneIdentity, BucketShards, CacheHeader
from dina_lrm.data.cache.pairs import buckets_of_kind
from dina_lrm.data.cache.shards import ShardedRows, StoredShard, write_shard
from dina_lrm.data.cache.verification import verify_cache
from tests.data.first_format import to_first_format

CONFIG = BackboneConfig("sd3", "tiny", depth=2, visual_taps=(1, 2), prompt_length=0)


def conditioning(prompts, masked=True):
    generator = torch.Generator().manual_seed(1)
    return Conditioning(
        torch.randn(prompts, 5, 4, generator=generator),
        torch.randn(prompts, 6, generator=generator),
        torch.arange(5)[None] < torch.arange(prompts)[:, None] + 1 if masked else None,
        tuple("the end was cut" if row == 1 else None for row in range(prompts)),
    )


def world(masked=True):
    """Two buckets of 6 and 4 images, 3 prompts; images 0..2 of bucket 0 are ranked for prompt 0."""
    generator = torch.Generator().manual_seed(0)
    return EncodedComparisons.from_tensors(
        [torch.randn(6, 2, 4, 4, generator=generator), torch.randn(4, 2, 2, 8, generator=generator)],
        conditioning(3, masked),
        image_a=torch.tensor([0, 0, 1, 0, 3, 2]),
        image_b=torch.tensor([1, 2, 2, 5, 1, 0]),
        prompt=torch.tensor([0, 0, 0, 1, 2, 2]),
        preference=torch.tensor([1.0, 0.5, 0.0, 0.7, 1.0, 0.0]),
        weight=torch.tensor([1.0, 2.0, 1.0, 0.0, 1.0, 1.0]),
        bucket=torch.tensor([0, 0, 0, 0, 1, 1]),
        prompts=["a", "b", "c"],
        pair_id=[f"pair-{i}" for i in range(6)],
    )


def test_a_batch_holds_what_each_comparison_points_at():
    data = world()
    chosen = torch.tensor([3, 0, 2])
    batch = data.batch(chosen)
    for place, pair in enumerate(chosen.tolist()):
        table = next(data.latents[0].shards())["latents"]
        for side, image in ((batch.first, data.pairs.image_a), (batch.second, data.pairs.image_b)):
            row = int(side[place])
            assert torch.equal(batch.latents[row], table[image[pair]])
            expected = conditioning(3)[int(data.pairs.prompt[pair])]
            assert torch.equal(batch.conditioning[row].prompt_embeds, expected.prompt_embeds)
            assert torch.equal(batch.conditioning[row].pooled_prompt_embeds, expected.pooled_prompt_embeds)
            assert torch.equal(batch.conditioning[row].prompt_mask, expected.prompt_mask)
            assert batch.conditioning[row].truncated == expected.truncated
    assert torch.equal(batch.group[batch.first], batch.group[batch.second])
    assert batch.preference.tolist() == pytest.approx([0.7, 1.0, 0.0])
    assert batch.weight.tolist() == [0.0, 1.0, 1.0]


def test_a_shared_image_is_there_once_for_each_prompt():
    batch = world().batch(torch.tensor([0, 1, 2]))
    assert (len(batch), len(batch.latents), batch.groups) == (3, 3, 1)
    # Image 0 is judged for prompts 0 and 1: its conditioning differs, so it is there twice.
    batch = world().batch(torch.tensor([0, 1, 2, 3]))
    assert (len(batch.latents), batch.groups) == (5, 2)
    assert torch.equal(batch.group.unique(), torch.arange(2))


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="a batch of no comparisons"):
        world().batch(torch.tensor([], dtype=torch.long))


def mixed(swapped=False):
    """`world`, its last three pairs between its two buckets."""
    generator = torch.Generator().manual_seed(0)
    bucket = torch.tensor([[0, 0], [0, 0], [0, 0], [1, 0], [0, 1], [1, 0]])
    images, preference = (
        torch.tensor([[0, 1], [0, 2], [1, 2], [3, 5], [0, 1], [1, 0]]),
        torch.tensor([1, 0.5, 0, 0.7, 1, 0]),
    )
    if swapped:
        bucket, images, preference = bucket.flip(1), images.flip(1), 1 - preference
    return EncodedComparisons.from_tensors(
        [torch.randn(6, 2, 4, 4, generator=generator), torch.randn(4, 2, 2, 8, generator=generator)],
        conditioning(3),
        *images.unbind(1),
        prompt=torch.tensor([0, 0, 0, 1, 2, 2]),
        preference=preference,
        bucket=bucket,
    )


def test_a_batch_of_several_sizes_holds_what_each_comparison_points_at():
    data = mixed()
    batch = data.batch(torch.arange(6))
    rows = [latents for part in batch.images for latents in part.latents]
    prompts = [prompt for part in batch.images for prompt in part.conditioning.prompt_embeds]
    pairs = data.pairs
    for pair in range(6):
        for side, bucket, image in (
            (batch.first, pairs.bucket_a, pairs.image_a),
            (batch.second, pairs.bucket_b, pairs.image_b),
        ):
            expected = data.latents[int(bucket[pair])].rows(image[pair : pair + 1])["latents"][0]
            assert torch.equal(rows[int(side[pair])], expected)
            expected = conditioning(3)[int(pairs.prompt[pair])].prompt_embeds[0]
            assert torch.equal(prompts[int(side[pair])], expected)
    assert torch.equal(batch.group[batch.first], batch.group[batch.second])
    assert batch.groups == 3
    # Image 0 of bucket 0 is in both pairs of prompt 2, image 1 of bucket 1 too: each is there once
    assert [len(part) for part in batch.images] == [5, 2]
    assert [part.groups.tolist() for part in batch.images] == [[0, 1, 2], [1, 2]]
    with pytest.raises(ValueError, match=r"latents of 2 sizes \(4x4, 2x8\); read each of batch\.images"):
        _ = batch.latents


def test_sizes_of_a_pair_have_a_number_whichever_side_has_which():
    kinds = mixed().pairs.kind
    assert torch.equal(kinds, mixed(swapped=True).pairs.kind)
    assert [buckets_of_kind(kind) for kind in kinds.tolist()] == [(0,)] * 3 + [(0, 1)] * 3
    assert not mixed().pairs.common and world().pairs.common
    assert torch.equal(world().pairs.kind, torch.tensor([0, 0, 0, 0, 1, 1]))


def test_pairs_of_two_buckets_are_stored_and_read(tmp_path):
    mixed().save(tmp_path / "cache", CONFIG)
    assert list(EncodedComparisons.load(tmp_path / "cache").pairs.rows()) == list(mixed().pairs.rows())
    assert verify_cache(tmp_path / "cache").problems == ()


def test_moving_a_batch_casts_its_inputs_only():
    batch = world().batch(torch.tensor([0])).to("cpu", torch.float64)
    assert batch.latents.dtype == batch.conditioning.prompt_embeds.dtype == torch.float64
    assert batch.preference.dtype == torch.float32


@pytest.mark.parametrize("masked", [True, False])
def test_save_and_load_give_the_same_set(tmp_path, masked):
    data = world(masked)
    data.save(tmp_path / "cache", CONFIG)
    loaded = EncodedComparisons.load(tmp_path / "cache", CONFIG)
    assert (len(loaded), loaded.images, loaded.prompts) == (6, 10, ("a", "b", "c"))
    assert list(loaded.pairs.rows()) == list(data.pairs.rows())
    for chosen in (torch.tensor([1, 3]), torch.tensor([5, 4])):
        ours, theirs = data.batch(chosen), loaded.batch(chosen)
        assert torch.equal(ours.latents, theirs.latents)
        assert torch.equal(ours.conditioning.prompt_embeds, theirs.conditioning.prompt_embeds)
        assert (ours.conditioning.prompt_mask is None) == (theirs.conditioning.prompt_mask is None)
        assert ours.conditioning.truncated == theirs.conditioning.truncated
    data.save(tmp_path / "again", CONFIG)
    assert loaded.content_hash == EncodedComparisons.load(tmp_path / "again").content_hash
    assert (loaded.header.ties, loaded.header.truncated_prompts, loaded.header.dtype) == (1, 1, "float32")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "cache"]


def test_a_loaded_set_can_be_saved_again(tmp_path):
    world().save(tmp_path / "one", CONFIG)
    EncodedComparisons.load(tmp_path / "one").save(tmp_path / "two")
    assert (tmp_path / "one" / "cache.json").read_text() == (tmp_path / "two" / "cache.json").read_text()


def test_the_hash_knows_labels_and_tensors():
    one, other = world(), world()
    other.pairs.preference[0] = 0.9
    assert one.content_hash == world().content_hash != other.content_hash
    other = world()
    next(other.latents[1].shards())["latents"][0, 0, 0, 0] += 1
    assert one.content_hash != other.content_hash


def test_the_content_is_a_set_and_the_order_of_the_comparisons_has_a_hash_of_its_own(tmp_path):
    """Neither the order of rows nor that of comparisons changes what is held; what training sees knows the order."""
    data, turned = world(), torch.tensor([5, 0, 3, 1, 4, 2])
    images = torch.tensor([3, 1, 5, 0, 2, 4])
    place = torch.empty(6, dtype=torch.long).index_copy(0, images, torch.arange(6))
    pairs = data.pairs.select(turned)
    first = pairs.bucket_a == 0
    sides = [torch.where(first, place[side.clamp(max=5)], side) for side in (pairs.image_a, pairs.image_b)]
    tables = [next(table.shards())["latents"] for table in data.latents]
    other = EncodedComparisons.from_tensors(
        [tables[0][images], tables[1]],
        conditioning(3),
        *sides,
        pairs.prompt,
        pairs.preference,
        pairs.weight,
        pairs.bucket_a,
        ["a", "b", "c"],
        pairs.pair_id,
    )
    for name, held in (("one", data), ("other", other)):
        held.save(tmp_path / name, CONFIG)
    one, two = (EncodedComparisons.load(tmp_path / name) for name in ("one", "other"))
    assert one.header.content == two.header.content
    assert one.header.order != two.header.order
    assert one.content_hash != two.content_hash


def test_a_subset_shares_the_tensors(tmp_path):
    chosen = torch.tensor([4, 1])
    data = world()
    data.save(tmp_path / "cache", CONFIG)
    for whole in (data, EncodedComparisons.load(tmp_path / "cache")):
        part = whole.subset(chosen)
        assert part.pairs.pair_id == ["pair-4", "pair-1"]
        assert torch.equal(part.batch(torch.tensor([1])).latents, whole.batch(torch.tensor([1])).latents)
        assert part.content_hash != whole.content_hash


@pytest.mark.parametrize(
    ("change", "given"),
    [
        ({"pretrained": "stabilityai/stable-diffusion-3.5-medium"}, "stable-diffusion-3.5-medium"),
        ({"prompt_length": 128}, "prompt length 128"),
        ({"revision": "abc"}, "at abc"),
        ({"family": "flux"}, "flux"),
    ],
)
def test_a_cache_of_another_backbone_is_refused(tmp_path, change, given):
    world().save(tmp_path / "cache", CONFIG)
    other = BackboneConfig(**{**vars(CONFIG), **change})
    with pytest.raises(ValueError, match=f"encoded by sd3 'tiny' with prompt length 0; this backbone is .*{given}"):
        EncodedComparisons.load(tmp_path / "cache", other)


def test_depth_and_taps_do_not_matter_to_a_cache(tmp_path):
    world().save(tmp_path / "cache", CONFIG)
    deeper = BackboneConfig("sd3", "tiny", depth=9, visual_taps=(9,), prompt_length=0)
    assert len(EncodedComparisons.load(tmp_path / "cache", deeper)) == 6


def test_prompts_with_and_without_padding_are_not_taken_for_each_other(tmp_path):
    none = dataclasses.replace(CONFIG, prompt_padding="none")
    told = r"holds prompts with prompt_padding='{}'; this backbone reads them with prompt_padding='{}'"
    for place, (config, other) in enumerate([(CONFIG, none), (none, CONFIG)]):
        world().save(tmp_path / f"{place}", config)
        assert EncodedComparisons.load(tmp_path / f"{place}", config).header.backbone.prompt_padding == (
            config.prompt_padding
        )
        with pytest.raises(ValueError, match=told.format(config.prompt_padding, other.prompt_padding)):
            EncodedComparisons.load(tmp_path / f"{place}", other)


def test_two_spellings_of_a_folder_are_one_backbone(tmp_path, monkeypatch):
    (tmp_path / "generator").mkdir()
    monkeypatch.chdir(tmp_path)
    world().save(tmp_path / "cache", BackboneConfig(**{**vars(CONFIG), "pretrained": "generator"}))
    spelled = BackboneConfig(**{**vars(CONFIG), "pretrained": str(tmp_path / "generator")})
    EncodedComparisons.load(tmp_path / "cache", spelled)


def test_what_is_no_cache_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no cache of comparisons there \(cache.json is missing\)$"):
        EncodedComparisons.load(tmp_path / "cache")
    (tmp_path / "cache.partial").mkdir()
    with pytest.raises(FileNotFoundError, match=r"cache\.partial is unfinished"):
        EncodedComparisons.load(tmp_path / "cache")


def test_another_format_unknown_fields_and_lost_shards_are_refused(tmp_path):
    folder = tmp_path / "cache"
    world().save(folder, CONFIG)
    header = json.loads((folder / "cache.json").read_text())
    (folder / "latents/01/00000.safetensors").rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=r"latents/01/00000\.safetensors of the cache is gone"):
        EncodedComparisons.load(folder)
    (folder / "cache.json").write_text(json.dumps(header | {"colour": "red"}))
    with pytest.raises(ValueError, match=r"cache\.json\.colour: unknown key 'colour'"):
        EncodedComparisons.load(folder)
    (folder / "cache.json").write_text(json.dumps(header | {"format_version": 99}))
    with pytest.raises(ValueError, match="format version 99; this version of the library reads 1 and 2"):
        EncodedComparisons.load(folder)


def test_saving_needs_a_free_folder_and_a_known_backbone(tmp_path):
    with pytest.raises(ValueError, match="which backbone encoded this set is not known"):
        world().save(tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    with pytest.raises(FileExistsError, match="cache exists"):
        world().save(tmp_path / "cache", CONFIG)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("image_b", 6, "1 comparisons have image_b outside.*number 2"),
        ("prompt", 3, r"prompt outside 0\.\.2"),
        ("bucket_a", 2, r"bucket_a outside 0\.\.1"),
        ("preference", 1.5, r"preference outside \[0, 1\]"),
        ("preference", float("nan"), r"preference outside \[0, 1\]"),
        ("weight", -1.0, "weight negative"),
    ],
)
def test_a_comparison_that_points_nowhere_is_refused(column, value, message):
    data = world()
    getattr(data.pairs, column)[2] = value
    with pytest.raises(ValueError, match=message):
        data.subset(torch.arange(6))


def test_several_buckets_need_to_be_told_apart():
    with pytest.raises(ValueError, match="latents has 2 buckets; say with `bucket`"):
        EncodedComparisons.from_tensors(
            [torch.zeros(1, 2, 2, 2)] * 2, conditioning(1), *[torch.zeros(1, dtype=torch.long)] * 3, torch.ones(1)
        )


def test_rows_of_shards_are_rows_of_the_whole(tmp_path):
    whole = torch.randn(10, 3)
    parts = whole.split([4, 1, 5])
    infos = [write_shard(tmp_path, f"s-{i}", {"x": part}) for i, part in enumerate(parts)]
    chosen = torch.tensor([9, 0, 4, 4, 3, 5])
    for shards in ([{"x": part} for part in parts], [StoredShard(tmp_path, info) for info in infos]):
        table = ShardedRows(shards, [info.rows for info in infos])
        assert len(table) == 10
        assert torch.equal(table.rows(chosen)["x"], whole[chosen])
        for outside in (-1, 10):
            with pytest.raises(IndexError, match="a table with 10 rows"):
                table.rows(torch.tensor([outside]))
    wrong = StoredShard(tmp_path, dataclasses.replace(infos[0], rows=3))
    with pytest.raises(ValueError, match="the cache says 3; the file is damaged"):
        ShardedRows([wrong], [3]).rows(torch.tensor([0]))


def rewritten(change):
    """A damage that writes the tensors of a shard anew, as a valid file."""

    def damage(folder, shard):
        save_file({name: change(values.clone()) for name, values in load_file(folder / shard).items()}, folder / shard)

    return damage


def bytes_changed(change):
    def damage(folder, shard):
        (folder / shard).write_bytes(change((folder / shard).read_bytes()))

    return damage


def flipped(data):
    place = len(data) - 3
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGES = {
    "zeros": rewritten(lambda values: values * 0),
    "permuted": rewritten(lambda values: values.flip(0).contiguous()),
    "nan": rewritten(lambda values: values.masked_fill(values == values.flatten()[0], float("nan"))),
    "flipped": bytes_changed(flipped),
    "cut": bytes_changed(lambda data: data[: len(data) // 2]),
    "empty": bytes_changed(lambda data: b""),
    "other rows": rewritten(lambda values: values[:-1].clone()),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("shard", ["latents/00/00000.safetensors", "prompts/00000.safetensors"])
def test_a_shard_that_is_not_what_was_written_is_never_read(tmp_path, damage, shard):
    folder = tmp_path / "cache"
    world(masked=False).save(folder, CONFIG)
    DAMAGES[damage](folder, shard)
    with pytest.raises(ValueError, match=shard):
        EncodedComparisons.load(folder).batch(torch.arange(6))  # every row: one is compared when it is read
    verdict = verify_cache(folder)
    assert [problem.file for problem in verdict.problems] == [shard]


def test_labels_that_were_turned_round_are_noticed(tmp_path):
    world().save(tmp_path / "cache", CONFIG)
    path = tmp_path / "cache" / "pairs.parquet"
    table = pq.read_table(path)
    turned = pa.array([1 - value for value in table["preference"].to_pylist()], pa.float32())
    place = table.schema.names.index("preference")
    pq.write_table(table.set_column(place, table.schema.field(place), turned), path)
    with pytest.raises(ValueError, match=r"pairs\.parquet: its content is not what cache\.json recorded"):
        EncodedComparisons.load(tmp_path / "cache")


def test_labels_that_were_turned_round_are_noticed_where_no_table_has_a_hash(tmp_path):
    world().save(tmp_path / "cache", CONFIG)
    to_first_format(tmp_path / "cache", hashes=False)
    path = tmp_path / "cache" / "pairs.parquet"
    table = pq.read_table(path)
    turned = pa.array([1 - value for value in table["preference"].to_pylist()], pa.float32())
    place = table.schema.names.index("preference")
    pq.write_table(table.set_column(place, table.schema.field(place), turned), path)
    with pytest.raises(ValueError, match="its tables hold content"):
        EncodedComparisons.load(tmp_path / "cache")
    assert [problem.file for problem in verify_cache(tmp_path / "cache").problems] == ["cache.json"]


@pytest.mark.parametrize("hashes", [True, False])
def test_a_cache_of_the_first_format_is_read_and_saved_in_the_present_one(tmp_path, hashes):
    world().save(tmp_path / "cache", CONFIG)
    content = EncodedComparisons.load(tmp_path / "cache").header.content
    to_first_format(tmp_path / "cache", hashes)
    data = EncodedComparisons.load(tmp_path / "cache", CONFIG)
    assert (len(data), data.header.format_version) == (6, 1)
    assert data.content_hash == world().content_hash, "what runs of earlier versions recorded"
    assert verify_cache(tmp_path / "cache").problems == ()
    data.save(tmp_path / "again")
    assert EncodedComparisons.load(tmp_path / "again").header.content == content
    assert verify_cache(tmp_path / "again").problems == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ties": 2}, "was changed since it was written"),
        ({"pairs": "six"}, r"cache\.json\.pairs: expected int, got 'six'"),
        ({"buckets": 3}, r"cache\.json\.buckets: expected a list"),
        ({"buckets": [{"width": 1}]}, "the key 'height' is missing"),
        ({"prompts": [{"name": "../x", "rows": 3, "sha256": ""}], "sha256": ""}, r"shard '\.\./x' of 3 rows; accepted"),
        ({"prompts": [{"name": "/etc/x", "rows": 3, "sha256": ""}], "sha256": ""}, "shard '/etc/x' of 3 rows"),
        ({"prompts": [{"name": "prompts/00000", "rows": -3, "sha256": ""}], "sha256": ""}, "of -3 rows"),
        ({"backbone": []}, r"cache\.json\.backbone: expected a table"),
    ],
)
def test_a_header_of_a_wrong_shape_names_file_and_key(tmp_path, change, message):
    world().save(tmp_path / "cache", CONFIG)
    path = tmp_path / "cache" / "cache.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message) as error:
        EncodedComparisons.load(tmp_path / "cache")
    assert "\n" not in str(error.value)
    assert [problem.file for problem in verify_cache(tmp_path / "cache").problems] == ["cache.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format_version": NaN}'])
def test_a_header_that_is_none_names_the_file(tmp_path, text):
    world().save(tmp_path / "cache", CONFIG)
    (tmp_path / "cache" / "cache.json").write_text(text)
    with pytest.raises(ValueError, match=r"cache\.json"):
        EncodedComparisons.load(tmp_path / "cache")


@pytest.mark.parametrize("name", ["pairs.parquet", "prompts.parquet", "missing.parquet", "images.parquet"])
def test_every_table_is_compared_with_what_was_written(tmp_path, name):
    """Those that are not needed too: a cache of which a part is damaged is not trusted."""
    world().save(tmp_path / "cache", CONFIG)
    path = tmp_path / "cache" / name
    path.write_bytes(flipped(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"{name}: its content is not what cache\.json recorded"):
        EncodedComparisons.load(tmp_path / "cache")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}: a part of the cache is gone"):
        EncodedComparisons.load(tmp_path / "cache")


@pytest.mark.parametrize("name", ["pairs.parquet", "prompts.parquet", "missing.parquet"])
def test_tables_that_are_cut_or_hold_other_columns_are_named(tmp_path, name):
    world().save(tmp_path / "cache", CONFIG)
    to_first_format(tmp_path / "cache", hashes=False)  # so that no hash is there to notice it first
    path = tmp_path / "cache" / name
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}: not a Parquet file"):
            EncodedComparisons.load(tmp_path / "cache")
    pq.write_table(pa.table({"text": [1]}), path)
    with pytest.raises(ValueError, match=rf"{name}: the columns are text int64; expected: "):
        EncodedComparisons.load(tmp_path / "cache")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=name):
        EncodedComparisons.load(tmp_path / "cache")


def test_links_in_the_place_of_shards_are_not_followed(tmp_path):
    world().save(tmp_path / "cache", CONFIG)
    shard = tmp_path / "cache" / "prompts/00000.safetensors"
    shard.rename(tmp_path / "elsewhere")
    shard.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"prompts/00000\.safetensors: is a link"):
        EncodedComparisons.load(tmp_path / "cache")


def test_values_that_are_no_numbers_are_neither_taken_nor_stored(tmp_path):
    bad = torch.zeros(2, 2, 4, 4)
    bad[1, 0, 0, 0] = float("inf")
    index = torch.zeros(1, dtype=torch.long)
    with pytest.raises(ValueError, match="latents of bucket 0: row 1 of latents holds NaN or infinity"):
        EncodedComparisons.from_tensors(bad, conditioning(1), index, index, index, torch.ones(1))
    with pytest.raises(ValueError, match="s: row 1 of x holds NaN"):
        write_shard(tmp_path, "s", {"x": bad})
    assert list(tmp_path.iterdir()) == []


def test_a_verified_cache_says_what_lies_there_and_what_cannot_be_learnt_from(tmp_path):
    world().save(tmp_path / "cache", CONFIG)
    assert verify_cache(tmp_path / "cache").problems == ()
    (tmp_path / "cache" / "notes.txt").write_text("")
    assert [problem.file for problem in verify_cache(tmp_path / "cache").problems] == ["notes.txt"]
    data = world()
    next(data.latents[0].shards())["latents"][1] = 0
    data.save(tmp_path / "flat", CONFIG)
    (found,) = verify_cache(tmp_path / "flat").problems
    assert (found.file, found.reason) == (
        "latents/00/00000.safetensors",
        "row 1 of latents has a standard deviation of 0",
    )


def test_commands_verify_and_describe_a_cache(tmp_path, capsys):
    folder = tmp_path / "cache"
    world().save(folder, CONFIG)
    assert main(["cache", "verify", str(folder), "--json", str(tmp_path / "v.json")]) == 0
    assert json.loads((tmp_path / "v.json").read_text())["problems"] == []
    assert main(["cache", "info", str(folder), "--json", str(tmp_path / "i.json")]) == 0
    told = json.loads((tmp_path / "i.json").read_text())
    assert (told["pairs"], told["ties"], told["images"], told["prompts"]) == (6, 1, 10, 3)
    assert "sd3 'tiny'" in capsys.readouterr().out
    DAMAGES["flipped"](folder, "latents/01/00000.safetensors")
    assert main(["cache", "verify", str(folder), "--json", str(tmp_path / "v.json")]) == 1
    assert "latents/01/00000.safetensors: its content is not what the cache recorded" in capsys.readouterr().err
    assert json.loads((tmp_path / "v.json").read_text())["problems"][0]["file"] == "latents/01/00000.safetensors"
    assert main(["cache", "verify", str(tmp_path)]) == 2


@pytest.mark.parametrize("odd", [[], ["short"], [None]])
def test_hashes_of_rows_are_read_as_they_are_written_however_they_are_cut(tmp_path, odd):
    """Of rows without a hash too; what is no hash is left as it is, to differ from every row."""
    hashes = ["", *(f"{number:064x}" for number in range(5)), "", "a" * 64, *odd, ""]
    table = pa.table({"bucket": [0] * len(hashes), "sha256": pa.array(hashes, pa.string())})
    pq.write_table(table, tmp_path / "images.parquet", row_group_size=3)
    pq.write_table(pa.table({"sha256": pa.array([], pa.string())}), tmp_path / "prompts.parquet")
    header = CacheHeader(BackboneIdentity("sd3", "synthetic", None, 0), "float32", 32, (BucketShards(32, 32, ()),), ())
    found = tables.row_hashes(tmp_path, header)
    assert found.images[0].tolist() == [str(told).encode() for told in hashes]
    assert len(found.prompts) == 0
