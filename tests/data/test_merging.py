"""Two caches become the one that a single run over both would have made."""

import json
from dataclasses import replace

import pytest
import torch

from dina_lrm.backbones.conditioning import Conditioning
from dina_lrm.backbones.settings import BackboneConfig
from dina_lrm.cli.main import main
from dina_lrm.data.cache.encoded import EncodedComparisons
from dina_lrm.data.cache.merging import merge_caches
from dina_lrm.data.cache.verification import verify_cache
from tests.data.first_format import to_first_format

CONFIG = BackboneConfig("qwen-image", "tiny", depth=1, visual_taps=(1,), prompt_length=5)
GENERATOR = torch.Generator().manual_seed(0)
LATENTS = torch.randn(9, 2, 4, 4, generator=GENERATOR)
MASK = torch.arange(5) < torch.tensor([1, 3, 5, 2])[:, None]
EMBEDS = torch.randn(4, 5, 4, generator=GENERATOR).masked_fill(~MASK[..., None], 0)
PAIRS = [(0, 1, 0), (1, 2, 0), (3, 4, 1), (4, 0, 1), (5, 6, 2), (7, 8, 3), (2, 8, 3)]
"""Images and prompt of each comparison."""


def cache(folder, chosen, config=CONFIG, shift=0.0):
    """A cache of some of the comparisons: of what they need, in the order that they need it."""
    pairs = [PAIRS[number] for number in chosen]
    images = list(dict.fromkeys(image for *sides, _ in pairs for image in sides))
    prompts = list(dict.fromkeys(prompt for *_, prompt in pairs))
    first, second, prompt = (
        torch.tensor([known.index(pair[place]) for pair in pairs])
        for place, known in enumerate((images, images, prompts))
    )
    EncodedComparisons.from_tensors(
        LATENTS[images],
        Conditioning(EMBEDS[prompts] + shift * MASK[prompts][..., None], prompt_mask=MASK[prompts]),
        first,
        second,
        prompt,
        torch.tensor([number / 10 for number in chosen]),
        prompts=[f"prompt {number}" for number in prompts],
        pair_id=[f"pair {number}" for number in chosen],
    ).save(folder, config)
    return folder


def content(folder):
    return EncodedComparisons.load(folder, CONFIG).header.content


def test_either_order_has_the_content_of_one_run_and_every_comparison_reads_the_same(tmp_path):
    one, other = cache(tmp_path / "one", [0, 2, 3]), cache(tmp_path / "other", [1, 4, 5, 6])
    whole = cache(tmp_path / "whole", range(7))
    merged = merge_caches(one, other, tmp_path / "ab")
    assert merged.header.content == content(tmp_path / "ab") == content(whole)
    assert merge_caches(other, one, tmp_path / "ba").header.content == content(whole)
    assert (merged.common_images, merged.common_prompts, merged.linked + merged.copied) == (1, 1, 4)
    assert verify_cache(tmp_path / "ab").problems == ()
    both, single = (EncodedComparisons.load(folder, CONFIG) for folder in (tmp_path / "ab", whole))
    assert both.pairs.pair_id == [f"pair {number}" for number in (0, 2, 3, 1, 4, 5, 6)]
    for row, name in enumerate(both.pairs.pair_id):
        found, wanted = (
            data.batch(torch.tensor([place])) for data, place in ((both, row), (single, int(name.split()[1])))
        )
        assert torch.equal(found.latents[found.first], wanted.latents[wanted.first])
        assert torch.equal(found.latents[found.second], wanted.latents[wanted.second])
        assert torch.equal(found.conditioning.prompt_embeds[0], wanted.conditioning.prompt_embeds[0])
        assert torch.equal(found.preference, wanted.preference)
    third = cache(tmp_path / "third", [0])
    assert merge_caches(tmp_path / "ab", third, tmp_path / "again").header.pairs == 8


def test_caches_that_do_not_fit_are_refused_with_both_values(tmp_path):
    one = cache(tmp_path / "one", [0, 2])
    longer = cache(tmp_path / "longer", [1], replace(CONFIG, prompt_length=7))
    with pytest.raises(ValueError, match=r"prompt length 5, .*longer by .* prompt length 7"):
        merge_caches(one, longer, tmp_path / "out")
    other = cache(tmp_path / "other", [0], shift=1.0)
    with pytest.raises(ValueError, match=r"prompt 'prompt 0' has the values \w{12} in .*one and \w{12} in .*other"):
        merge_caches(one, other, tmp_path / "out")
    (other / "prompts" / "00000.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"prompts/00000\.safetensors of the cache is gone"):
        merge_caches(one, other, tmp_path / "out")
    cut = cache(tmp_path / "cut", [1]) / "latents" / "00" / "00000.safetensors"
    cut.write_bytes(cut.read_bytes()[:-8])
    with pytest.raises(ValueError, match=r"00000\.safetensors: the file is damaged"):
        merge_caches(one, tmp_path / "cut", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_commands_merge_and_upgrade(tmp_path, capsys):
    one, other = cache(tmp_path / "one", [0, 2]), cache(tmp_path / "other", [1, 4])
    told = tmp_path / "told.json"
    assert main(["cache", "merge", str(one), str(other), "--out", str(tmp_path / "both"), "--json", str(told)]) == 0
    assert json.loads(told.read_text())["content"] == content(tmp_path / "both")
    assert main(["cache", "merge", str(one), str(other), "--out", str(tmp_path / "both")]) == 2
    before = content(one)
    to_first_format(one)
    assert main(["cache", "merge", str(one), str(other), "--out", str(tmp_path / "more")]) == 2
    assert "dina-lrm cache upgrade" in " ".join(capsys.readouterr().err.split())
    assert main(["cache", "upgrade", str(one), "--out", str(tmp_path / "new"), "--json", str(told)]) == 0
    assert json.loads(told.read_text())["content"] == content(tmp_path / "new") == before
