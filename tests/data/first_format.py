"""A cache as versions wrote it whose format was the first: shards beside the tables, no keys, no hashes of rows."""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from dina_lrm.data.cache.content import FirstTally
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.shards import ShardInfo
from dina_lrm.data.cache.tables import SCHEMAS
from dina_lrm.runs.content import content_of

_LATER = ("order", "encode_batch")


def to_first_format(folder: Path, hashes: bool = True) -> None:
    """Turn a cache of the present format into one of the first; without `hashes`, one of its earliest versions."""
    data = EncodedComparisons.load(folder)
    header = {k: v for k, v in json.loads((folder / "cache.json").read_text()).items() if k not in (*_LATER, "sha256")}
    for name, schema in SCHEMAS[1].items():
        table = pq.read_table(folder / name)
        if "bucket_a" in table.schema.names:
            table = table.append_column("bucket", table["bucket_a"])
        pq.write_table(table.select(schema.names), folder / name, compression="zstd")
    shards = [shard for bucket in header["buckets"] for shard in bucket["shards"]] + header["prompts"]
    for shard in shards:
        old = folder / f"{shard['name']}.safetensors"
        shard["name"] = shard["name"].replace("/", "-")
        old.rename(folder / f"{shard['name']}.safetensors")
    for place in sorted(folder.rglob("*"), reverse=True):
        if place.is_dir():
            place.rmdir()
    tally = FirstTally(ShardInfo(**shard) for shard in shards)
    tally.count(*data._rows())
    header |= {"format_version": 1, "content": tally.content}
    header["tables"] = {name: content_of(folder / name) for name in SCHEMAS[1]} if hashes else {}
    header = header if hashes else {k: v for k, v in header.items() if k != "tables"}
    sealed = {"sha256": hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()} if hashes else {}
    if not hashes:
        header["backbone"].pop("content")
    (folder / "cache.json").write_text(json.dumps(header | sealed))
