import subprocess
import sys
from dataclasses import replace

import pytest

from dina_lrm.backbones.settings import BackboneConfig

CONFIG = BackboneConfig("sd3", "somewhere", depth=3, visual_taps=(1, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 0}, "depth: got 0"),
        ({"visual_taps": ()}, "visual_taps: got none"),
        ({"visual_taps": (2, 1)}, r"visual_taps: got \(2, 1\), expected strictly increasing numbers in 0..3"),
        ({"text_taps": (1, 4)}, r"text_taps: got \(1, 4\)"),
        ({"prompt_length": -1}, "prompt_length: got -1"),
    ],
)
def test_configs_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)


def test_settings_need_no_torch():
    code = "import sys, dina_lrm.backbones.settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
