import json
import shutil

import pytest

from dina_lrm.data.encoding.encoders import encoding_backbone, native_resolution
from tests.tiny import saved_tiny_pipeline


def test_the_prompt_length_is_the_papers_where_there_is_a_long_encoder(tiny_folder, tmp_path):
    assert encoding_backbone(str(tiny_folder)).config.prompt_length == 0
    with_t5 = saved_tiny_pipeline(tmp_path / "t5", t5=True)
    assert encoding_backbone(str(with_t5)).config.prompt_length == 128
    assert encoding_backbone(str(with_t5), prompt_length=7).config.prompt_length == 7


def test_the_resolution_is_that_of_the_generator(tiny_folder, tmp_path):
    backbone = encoding_backbone(str(tiny_folder))
    assert native_resolution(backbone) == 32
    silent = tmp_path / "generator"
    shutil.copytree(tiny_folder, silent)
    config = silent / "transformer" / "config.json"
    config.write_text(
        json.dumps({key: value for key, value in json.loads(config.read_text()).items() if key != "sample_size"})
    )
    with pytest.raises(ValueError, match="does not say for which image size it was made; give a resolution"):
        native_resolution(encoding_backbone(str(silent)))
