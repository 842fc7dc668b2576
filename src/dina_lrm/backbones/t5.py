"""The T5 encoder of Stable Diffusion 3, which is the largest part of it and may be left out."""

from pathlib import Path
from typing import Final

from dina_lrm.model_folders import INDEX
from dina_lrm.runs.json_files import read_json_object

T5: Final = ("text_encoder_3", "tokenizer_3")
"""Components of the pipeline."""


def without_t5(folder: Path) -> dict[str, None]:
    """What `from_pretrained` of this pipeline folder is told to leave T5 out; nothing where it knows no T5."""
    return dict.fromkeys(name for name in T5 if name in read_json_object(folder / INDEX))
