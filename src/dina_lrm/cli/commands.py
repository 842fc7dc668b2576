"""The table of commands: where the options of each are described, and which function does its work.

Only the chosen command is imported, and its function only after its words were understood: help, and the answer to
wrong words, wait for no library.
"""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.console.command import Command


def _command(name: str, help: str, job: str | None = None) -> Command:
    """The command of `cli/arguments/NAME.py` and of `cli/NAME.py:run`, or of another job of `cli`."""
    return Command(f"dina_lrm.cli.arguments.{name}", f"dina_lrm.cli.{job or f'{name}:run'}", help)


COMMANDS: dict[str, Command] = {
    "demo": _command("demo", "The whole path on the bundled world: train, measure, score, report."),
    "doctor": _command("doctor", "Show versions and devices; check that the bundled model scores right."),
    "data check": _command("data_check", "Say what a comparison file holds and what is wrong with it."),
    "data filter": _command("data_filter", "Write the comparisons that pass filters; say what they removed."),
    "prepare": _command("prepare", "Encode comparisons into a cache of latents and conditioning."),
    "cache verify": _command("cache:Verify", "Say whether a cache is what was written, to the bit.", "cache:verify"),
    "cache merge": _command("cache:Merge", "Make one cache of two, their shards as they are.", "cache:merge"),
    "cache add": _command("cache_add", "Add comparisons to a cache; only what is new is encoded."),
    "cache repack": _command("cache:Repack", "Write a cache in other shards, or another type.", "cache:repack"),
    "cache upgrade": _command("cache:Upgrade", "Write a cache of an earlier format anew.", "cache:upgrade"),
    "cache info": _command("cache:Info", "Say what made a cache, and what it holds.", "cache:info"),
    "train": _command("train", "Train a reward model on comparisons, by a recipe."),
    "evaluate": _command("evaluate", "Measure reward models: accuracy, calibration, what they miss."),
    "calibrate": _command("calibrate", "Fit a temperature, so that win probabilities can be believed."),
    "align best": _command(
        "align_distill:Best", "Align a generator as gained most for its compute: guidance and reward.", "align:run"
    ),
    "align refl": _command("align_by:Refl", "Align a generator by the gradient of a reward.", "align:run"),
    "align flow-grpo": _command("align_by:FlowGrpo", "Align a generator by rewards of groups of images.", "align:run"),
    "align lpo": _command(
        "align_by:Lpo", "Align a generator by preferences between candidates of a step.", "align:run"
    ),
    "align dpo": _command(
        "align_by:Dpo", "Align a generator by preferences between its finished samples.", "align:run"
    ),
    "align nft": _command(
        "align_forward:Nft", "Align a generator by its own samples, noised again, by their rewards.", "align:run"
    ),
    "align awm": _command(
        "align_forward:Awm", "Align a generator by matching its own samples, weighted by their rewards.", "align:run"
    ),
    "align craft": _command(
        "align_forward:Craft", "Align a generator by its own samples that rewards prefer, drawn once.", "align:run"
    ),
    "align crd": _command(
        "align_forward:Crd", "Align a generator until its samples are told apart as their rewards are.", "align:run"
    ),
    "align dgpo": _command(
        "align_forward:Dgpo", "Align a generator by preferences between its samples in groups.", "align:run"
    ),
    "align distill": _command(
        "align_distill:Distill", "Align a generator by distilling its sampling under guidance of rewards.", "align:run"
    ),
    "align study": _command("align_study", "Measure alignment on the synthetic world against the truth."),
    "sample": _command("sample", "Sample with a reward: best-of-N, pruned, guided, search of the noise."),
    "sample curve": _command("sample_curve", "Measure best-of-N, pruned and not, against the truth."),
    "evaluate-generator": _command("evaluate_generator", "Judge a tuned generator beside its base, seed by seed."),
    "ablate": _command("ablate", "Repeat the paper's tables in miniature on the synthetic world."),
    "profile": _command("profile", "Say what scoring, training and aligning cost in FLOPs, time and memory."),
    "serve": _command("serve", "Answer trainers over HTTP with scores of latents and pictures."),
    "studio": _command("studio", "Look at scores in a browser: why this score, and is it real."),
    "integrate": _command("integrate", "Show how a reward goes into a trainer, and write its files."),
    "score": _command("score", "Score image files for prompts into a table."),
    "annotate": replace(
        _command("annotate", "Ask people which of two pictures is better, in a browser."),
        takes_a_word=True,
        former="vote",
    ),
    "annotate import": _command(
        "annotate_exchange:Import", "Bring in votes that another program collected.", "annotate_exchange:bring"
    ),
    "annotate export": _command(
        "annotate_exchange:Export", "Write votes as comparisons, or for another program.", "annotate_exchange:write"
    ),
    "annotate agreement": _command(
        "annotate_agreement", "Say how far annotators agree, with others and with themselves."
    ),
    "rank": _command("rank", "Show the pictures of a folder from best to worst, as one page."),
    "compare": _command("compare", "Say which of two images is preferred for a prompt."),
    "completion": _command("completion", "Print a script that completes all this in a shell."),
    "convert": _command("convert", "Turn a checkpoint folder released with the paper into ours."),
    "push": _command("push", "Put a reward model, a LoRA or a data set on the Hugging Face Hub."),
    "synthetic generate": _command("synthetic_generate", "Write comparisons of the synthetic world as files."),
    "synthetic judge": _command(
        "synthetic_training:Judge", "Train the world's judge of pixels.", "synthetic_training:judge"
    ),
    "synthetic uncurate": _command(
        "synthetic_training:Uncurate", "Train the LoRA that draws damaged pictures.", "synthetic_training:uncurate"
    ),
    "synthetic pretrain": _command(
        "synthetic_training:Pretrain", "Train the world's generator.", "synthetic_training:pretrain"
    ),
}
