"""Where a command computes, in what type, how it holds text encoders, and what it says before: one set of words.

The options are those that the parser itself lists.
"""

import pytest

from dina_lrm.cli.commands import COMMANDS
from dina_lrm.console.completion import completed_words

OF_NO_MODEL = {
    *("data check", "data filter", "cache info", "convert", "push", "completion", "integrate", "doctor"),
    *("annotate export", "annotate import"),
    *("annotate agreement", "cache merge", "cache repack", "cache upgrade", "synthetic generate"),
}
BUNDLED = {"demo", "ablate", "align study", "sample curve", "synthetic judge", "synthetic uncurate"}
BUNDLED |= {"synthetic pretrain"}
"""Of the bundled world alone, which is made for a processor, and small."""
CACHE = {"cache add", "cache verify"}
"""Compute as the cache says."""
ENCODES = {"prepare", "score", "evaluate", "compare", "calibrate", "rank", "serve", "profile"}
"""Encode prompts with a generator's own text encoders."""
ENCODES_AS_SAID = {"cache add", "cache verify", "train"}
"""Likewise, and the cache or the model's settings say how T5 is rounded."""
REHEARSES = {
    "train",
    "align refl",
    "align flow-grpo",
    "align lpo",
    "align dpo",
    "align nft",
    "align awm",
    "align craft",
    "align crd",
    "align dgpo",
}
"""Whose dry run takes a few steps too."""


@pytest.fixture(scope="module")
def options():
    """The names of all options of each command."""
    return {row.name: {name for one in row.options for name in one.names} for row in completed_words(COMMANDS)}


KNOWN = OF_NO_MODEL | BUNDLED | CACHE | ENCODES | ENCODES_AS_SAID | REHEARSES | {"sample", "evaluate-generator"}


def test_what_loads_a_model_can_be_told_where_and_in_what_type(options):
    assert set(options) >= KNOWN
    for command in KNOWN - OF_NO_MODEL - BUNDLED:
        wanted = {"--device"} | (set() if command in CACHE else {"--dtype"})
        assert wanted <= options[command], command


def test_what_encodes_prompts_can_be_told_how_it_holds_text_encoders(options):
    for command, names in ((name, options[name]) for name in sorted(KNOWN)):
        assert ("--offload-encoders" in names) == (command in ENCODES | ENCODES_AS_SAID), command
        assert ("--t5-weights" in names) == (command in ENCODES), command
    assert "--model.t5-weights" in options["train"]


def test_what_loads_something_large_says_so_before_and_can_be_forced(options):
    large = ENCODES | REHEARSES | {"cache add", "sample", "evaluate-generator"}
    for command, names in ((name, options[name]) for name in sorted(KNOWN)):
        assert ("--force" in names) == (command in large), command
        if command in large:
            assert "--dry-run" in names, command
