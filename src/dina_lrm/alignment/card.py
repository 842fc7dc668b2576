"""The card of a LoRA that an alignment run leaves: what it was trained for, what was gained, how diffusers loads it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dina_lrm import __version__
from dina_lrm.alignment.algorithms.dpo_settings import DpoConfig
from dina_lrm.alignment.config import AlignConfig
from dina_lrm.alignment.monitor.pair_calibration import calibration_sentence
from dina_lrm.alignment.monitor.records import ERRORS_95, Record, Summary
from dina_lrm.cards.bases import UNKNOWN, base_metadata, base_name, hub_id, licence_of, metadata
from dina_lrm.cards.text import PLACE, card_text, facts_table, measured_part, python, table
from dina_lrm.generators.settings import GeneratorSettings
from dina_lrm.locate import BUNDLED, BUNDLED_LORAS
from dina_lrm.rewards.names import parsed_name
from dina_lrm.runs.files import write_text
from dina_lrm.runs.ownership import changed_files, made_by, mark
from dina_lrm.sampling.reward_term import RewardTerm
from dina_lrm.screen import escaped, interval_text, number_text

KIND: Final = "LoRA"
"""What the marker of its folder says."""
CARD: Final = "README.md"


def keep_card(
    lora: Path, config: AlignConfig, records: Sequence[Record], step: int, family: str, pairs: int | None = None
) -> bool:
    """Write the card of the LoRA in a folder, of a look at `step`, and the marker that says who made the folder.

    `pairs` is how many were given to learn from, where any were.

    False where somebody has changed the card of an earlier LoRA there: it stays as it is.
    """
    card, text = lora / CARD, lora_card(config, records, step, family, pairs)
    # One with this very text is of a run that was killed before it left the marker
    if card.exists() and card.read_text(errors="replace") != text:
        if made_by(lora) is None or changed_files(lora).get(CARD):
            return False
    write_text(card, text)
    mark(lora, KIND)
    return True


def lora_card(config: AlignConfig, records: Sequence[Record], step: int, family: str, pairs: int | None = None) -> str:
    """The card in Markdown; `records` are the looks of the run, `family` is that of the generator."""
    learned = "rewards" if pairs is None else "pairs of pictures that were judged before"
    judge = pairs is not None and isinstance(config, DpoConfig) and config.dpo.reward == "judges"
    algorithm = config.algorithm
    data = metadata(
        library_name="diffusers",
        pipeline_tag="text-to-image",
        tags=["lora", "text-to-image", "alignment", "dina-lrm", algorithm],
        **base_metadata(config.generator.pretrained, "adapter"),
    )
    return card_text(
        data,
        f"# A LoRA aligned by {algorithm}\n\n"
        f"Low-rank weights that a generator learned from {learned}. The generator itself is not here.\n\n"
        f"{facts_table(_facts(config, step) | {'pairs': pairs})}\n\n"
        f"## Use\n\n{python(usage(config.generator, family))}\n\n"
        f"{measured_part(_gains(records, step, 'judges alone' if judge else 'optimised'))}\n",
    )


def usage(generator: GeneratorSettings, family: str) -> str:
    """How plain diffusers loads the LoRA, with the one beneath it where there is one."""
    name = generator.pretrained
    bundled, beneath = BUNDLED_LORAS.get(name, (name, generator.lora))
    imports = ["from diffusers import DiffusionPipeline"]
    if bundled in BUNDLED:
        imports.append(f"from dina_lrm.locate import {'BUNDLED_LORAS, ' * (name in BUNDLED_LORAS)}locate_generator")
        base = f'locate_generator("{bundled}")'
    else:
        base = f'"{hub_id(bundled) or "FOLDER OR HUB ID OF THE BASE MODEL"}"'
    without_t5 = ", text_encoder_3=None, tokenizer_3=None" if family == "sd3" and not generator.prompt_length else ""
    lines = [*imports, "", f"pipeline = DiffusionPipeline.from_pretrained({base}{without_t5})"]
    if beneath is None:
        return "\n".join([*lines, f'pipeline.load_lora_weights("{PLACE}")'])
    below = f'BUNDLED_LORAS["{name}"][1]' if name in BUNDLED_LORAS else '"THE LORA BENEATH"'
    return "\n".join(
        [
            *lines,
            f'pipeline.load_lora_weights({below}, adapter_name="beneath")',
            f'pipeline.load_lora_weights("{PLACE}", adapter_name="aligned")',
            'pipeline.set_adapters(["beneath", "aligned"])',
        ]
    )


def _facts(config: AlignConfig, step: int) -> dict[str, object]:
    generator = config.generator
    return {
        "base model": base_name(generator.pretrained),
        "LoRA beneath": None if generator.lora is None else f"`{_last(generator.lora)}`",
        "licence of the base model": licence_of(generator.pretrained),
        "licence of this LoRA": UNKNOWN,
        "rewards": "; ".join(map(_told, config.rewards)),
        "algorithm": config.algorithm,
        "updates": f"{step:,} of {config.batch_size} pictures",
        "learning rate": f"{config.lr:g}",
        "rank": generator.rank,
        "sampled with": f"{generator.sampling_steps} steps, guidance {generator.guidance:g}, {generator.resolution} "
        "pixels",
        "seed": config.seed,
        "library version": __version__,
    }


def _told(term: RewardTerm) -> str:
    """A reward by name and weight, without where on this machine or network it lies, and its licence."""
    name, model = _reward_name(term.shown), parsed_name(term.shown)[1]
    if parsed_name(term.shown)[0] == "remote":
        return f"{name}, weight {term.weight:g}"
    return f"{name}, weight {term.weight:g} (licence {licence_of(model) if model else UNKNOWN})"


def _reward_name(shown: str) -> str:
    """A reward's name without where on this machine or network it lies."""
    family, model = parsed_name(shown)
    if family == "remote":
        return "a reward on a server"
    name = model if hub_id(model) or "/" not in model else _last(model)
    return f"`{family}{f':{name}' if name else ''}`"


def _gains(records: Sequence[Record], step: int, objective: str) -> str:
    """Judges, truth and measures at the look of `step` beside those before anything was learned."""
    now = next((record for record in records if record.step == step), None)
    if not records or now is None or now is records[0]:
        return "Nothing was measured at this step."
    first = records[0]
    rows = [
        {
            "measure": _name(kind, name, now, objective),
            "before": number_text(before.mean, ".3g"),
            "after": number_text(after.mean, ".3g"),
            "gain (95 % interval)": gain(before, after),
        }
        for kind in ("judges", "truth", "measures")
        for name, before in getattr(first, kind).items()
        if (after := getattr(now, kind).get(name)) is not None
    ]
    told = (
        f"{now.pictures} pictures of {now.prompts} prompts that were not trained on, with the same prompts and noise "
        "before and after. The intervals are those of two means that have nothing to do with each other: as a rule "
        "wider than those of a comparison picture by picture, which `dina-lrm evaluate-generator` makes."
    )
    parts = [table(tuple(rows[0]), rows), told]
    if now.win_rates:
        parts.append(f"It was learned from win rates. {_calibrated(now, objective)}")
    return "\n\n".join(parts)


def _calibrated(now: Record, objective: str) -> str:
    """Whether the win rates that were learned from were calibrated in the end."""
    reward, judges = next(reversed(now.win_rates.items()))
    name = f"the objective ({objective})" if reward == now.proxy else _reward_name(reward)
    return " ".join(calibration_sentence(name, judge, found) for judge, found in judges.items())


def gain(before: Summary, after: Summary) -> str:
    """The difference of two means with its 95 % interval, from their standard errors as if they were independent."""
    if before.mean is None or after.mean is None:
        return interval_text(None, None, None)
    value = after.mean - before.mean
    if before.standard_error is None or after.standard_error is None:
        return interval_text(value, None, None, "+.3g")
    half = ERRORS_95 * math.hypot(before.standard_error, after.standard_error)
    return interval_text(value, value - half, value + half, "+.3g")


def _name(kind: str, name: str, record: Record, objective: str) -> str:
    if kind == "truth":
        return f"true {name}"
    if kind == "judges" and name == record.proxy:
        return f"objective ({objective})"
    return f"{name} (nothing is optimised for it)" if kind == "judges" and name == record.golden else name


def _last(place: str) -> str:
    return escaped(Path(place).name)
