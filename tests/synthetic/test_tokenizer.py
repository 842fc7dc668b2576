"""The bundled tokenizers, in the files of transformers 5 and in those of its predecessors."""

import json
import shutil

import pytest
from transformers import CLIPTokenizer

from dina_lrm.locate import BUNDLED
from dina_lrm.synthetic.tokenizer import write_vocabulary
from dina_lrm.synthetic.vocabulary import WORDS

FOLDERS = sorted(
    folder for kinds in BUNDLED.values() if "generator" in kinds for folder in kinds["generator"].glob("tokenizer*")
)
OLDER = ("vocab.json", "merges.txt")


def test_there_are_some():
    assert len(FOLDERS) >= 3


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_the_older_files_hold_the_same_tokenizer(folder, tmp_path):
    shutil.copy(folder / "tokenizer.json", tmp_path)
    write_vocabulary(tmp_path)
    assert all((tmp_path / name).read_bytes() == (folder / name).read_bytes() for name in OLDER)
    (tmp_path / "tokenizer.json").unlink()
    whole, older = CLIPTokenizer.from_pretrained(folder), CLIPTokenizer.from_pretrained(tmp_path, model_max_length=16)
    text = [*WORDS, "a large red bar on white", "unheard of"]
    assert whole(text).input_ids == older(text).input_ids
    assert older.vocab_size == len(json.loads((folder / "vocab.json").read_text()))
