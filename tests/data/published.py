"""Small data sets in the layouts in which they are published, with pictures of the synthetic world."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dina_lrm.images import png_bytes
from dina_lrm.synthetic.comparisons import training_comparisons

MADE = training_comparisons(prompts=2, images=4, seed=0)
PICTURES = [Image.fromarray(image) for image in MADE.images]
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def save_pictures(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(PICTURES):
        picture.save(folder / f"{number}.png")


def hpdv3(root):
    save_pictures(root / "images")
    row = {"model1": "real_images", "model2": "sd2"}
    rows = [
        {"prompt": "p0", "path1": "images/0.png", "path2": "images/1.png", "confidence": 0.97, "choice_dist": [12, 7]},
        {"prompt": "p0", "path1": "images/2.png", "path2": "images/1.png", "confidence": None, "choice_dist": None},
        {"prompt": "p1", "path1": "images/4.png", "path2": "images/gone.jpg", "confidence": 1.0, "choice_dist": [9, 0]},
    ]
    (root / "test.json").write_text(json.dumps([row | more for more in rows]))


def hpdv2(root):
    save_pictures(root)
    people = [{"rank": [1, 2, 2], "user_hash": "a"}, {"rank": [1, 2, 3], "user_hash": "b"}]
    ranking = {"prompt": "p0", "image_path": ["0.png", "1.png", "2.png"], "rank": [1, 2.5, 2.5]}
    (root / "test.json").write_text(json.dumps([ranking | {"raw_annotations": people}]))
    pairs = [
        {"prompt": "p0", "file_path": ["0.png", "1.png"], "human_preference": [1, 0]},
        {"prompt": "p0", "file_path": ["2.png", "1.png"], "human_preference": [0, 1]},
    ]
    (root / "train.json").write_text(json.dumps(pairs))


def imagereward(root):
    save_pictures(root / "images")
    rows = [
        {"id": "000-1", "prompt": "p", "generations": [f"images/{n}.png" for n in range(4)], "ranking": [1, 2, 2, 4]},
        {"id": "000-2", "prompt": "p", "generations": ["images/4.png", "images/none.webp"], "ranking": [2, 1]},
    ]
    (root / "data").mkdir()
    (root / "data" / "test.json").write_text(json.dumps(rows))


def genai_bench(root):
    folder = root / "image_generation"
    folder.mkdir()
    votes = ["leftvote", "rightvote", "tievote", "bothbad_vote"]
    images = [{"bytes": png_bytes(picture), "path": None} for picture in PICTURES[:4]]
    columns = {
        "prompt": pa.array([f"p{n}" for n in range(4)]),
        "left_model": pa.array(["a"] * 4),
        "left_image": pa.array(images, IMAGE),
        "right_model": pa.array(["b"] * 4),
        "right_image": pa.array(images[1:] + images[:1], IMAGE),
        "vote_type": pa.array(votes),
    }
    pq.write_table(pa.table(columns), folder / "test_v1-00000-of-00001.parquet")


def pick_a_pic(root):
    folder = root / "data"
    folder.mkdir()
    images = [png_bytes(picture) for picture in PICTURES[:3]]
    columns = {
        "caption": ["p0", "p1", "p2"],
        "jpg_0": images,
        "jpg_1": images[1:] + images[:1],
        "label_0": [1.0, 0.5, 0.0],
        "label_1": [0.0, 0.5, 0.0],
        "has_label": [True, True, False],
        "ranking_id": [7, 8, 9],
        "num_example_per_prompt": [1, 1, 1],
        "model_0": ["a"] * 3,
        "model_1": ["b"] * 3,
    }
    pq.write_table(pa.table(columns), folder / "test_unique-00000-of-00001-abc.parquet")


def rankings(root):
    save_pictures(root)
    rows = [{"prompt": "p", "images": ["0.png", "1.png", "2.png"], "ranks": [1, 1, 2]}]
    (root / "rankings.jsonl").write_text("\n".join(map(json.dumps, rows)))


def released_latents(root):
    def stored(latents):
        buffer = io.BytesIO()
        np.save(buffer, latents)
        return buffer.getvalue()

    generator = np.random.default_rng(0)
    latents = [generator.normal(size=(16, 4, 4)).astype(np.float32) for _ in range(3)]
    columns = {
        "prompt": ["p0", "p1"],
        "model1": ["a", "a"],
        "model2": ["b", "b"],
        "detailed_results": ["{'confidence': 0.9, 'choice_dist': [8, 2]}", "{}"],
        "image1_path": ["x/0.png", "x/1.png"],
        "image2_path": ["x/1.png", "x/2.png"],
        "latent1": [stored(latents[0]), stored(latents[1])],
        "latent2": [stored(latents[1]), stored(latents[2])],
        "latent1_shape": [[16, 4, 4]] * 2,
        "latent2_shape": [[16, 4, 4]] * 2,
    }
    pq.write_table(pa.table(columns), root / "part-0.parquet", compression="zstd")
    (root / "bucket_index.csv").write_text("global_id,parquet_path,row_group,row_index,width,height,bucket_id\n")


LAYOUTS = {
    "hpdv3": hpdv3,
    "hpdv2": hpdv2,
    "imagereward": imagereward,
    "genai-bench": genai_bench,
    "pick-a-pic": pick_a_pic,
    "rankings": rankings,
    "released-latents": released_latents,
}
