"""`dina-lrm sample`: pictures that a reward helps to choose or to make."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dina_lrm.cli.common import (
    CommonArguments,
    UserError,
    chosen_device,
    console,
    progress,
)
from dina_lrm.cli.cuts import default_cuts, parsed_cuts
from dina_lrm.cli.judges import check_rewards
from dina_lrm.generators.settings import as_asked, usual_settings
from dina_lrm.runs.ownership import check_replaceable
from dina_lrm.runs.places import check_folder
from dina_lrm.runs.progress import ReportProgress

if TYPE_CHECKING:
    from dina_lrm.generators.generator import Generator
    from dina_lrm.generators.settings import GeneratorSettings
    from dina_lrm.sampling.guidance import RewardGuidance
    from dina_lrm.sampling.noise_search import NoiseSearch
    from dina_lrm.sampling.objective import Objective
    from dina_lrm.sampling.pruning import Pruning
    from dina_lrm.sampling.selection import SamplingPlan, Selection

Method = Literal["best-of-n", "pruned", "guided", "noise-search"]
Reading = Literal["clean", "noisy", "in-pass"]
_OF_METHOD: dict[Method, tuple[str, ...]] = {
    "pruned": ("prune", "reading"),
    "guided": ("strength",),
    "noise-search": ("radius", "width"),
}

KIND = "folder of samples"
"""What its marker says."""


@dataclass
class Arguments(CommonArguments):
    """Sample with a reward: choose among samples, drop weak ones early, climb its gradient, or search the noise.

    OUT gets a picture a prompt, sheet.png (the first sample beside the chosen one) and samples.json (seeds, scores of
    all candidates, what they cost). On prompts of the synthetic world the oracle's true utility is shown beside the
    reward: trust it, not the reward.

    Examples:
        dina-lrm sample --prompts synthetic --method pruned -n 16 --out samples
        dina-lrm sample --prompts "a small red ring on white" --method best-of-n -n 4 --out ring
    """

    prompts: tuple[str, ...]
    """Prompts, a text file with a prompt a line, or "synthetic"."""
    out: Path
    """Folder for the pictures."""
    generator: str = "synthetic"
    """"synthetic", "synthetic-uncurated", "synthetic-unet", or a pipeline of diffusers by folder or hub id."""
    reward: str = "latent:synthetic"
    """latent:MODEL, or a judge of pixels such as clip or sharpness."""
    reward_level: float | None = None
    """Noise level at which a latent reward reads finished samples; by default the one stored with it."""
    method: Method = "best-of-n"
    """best-of-n: the best of N; pruned: N are begun and the worst dropped on the way; guided: pulled up the reward's
    gradient, then the best of N; noise-search: a walk through initial noises, N finished samples in all."""
    n: Annotated[int, tyro.conf.arg(aliases=("-n",))] = 16
    """Candidates a prompt."""
    prune: tuple[str, ...] = ()
    """Cuts of `pruned`, AT:KEEP or AT:within=MARGIN, where AT is a step from 0 (4:8) or a noise level (0.6:8); MARGIN
    is below the best of the prompt. By default a quarter stays after three tenths of the steps."""
    reading: Reading = "clean"
    """What `pruned` scores: the clean estimate, the noisy state, or that from the generator's own pass, which needs a
    reward on a frozen backbone."""
    strength: float = 0.1
    """guided: how far a step moves the clean estimate, whose root mean square is about 1."""
    radius: float = 0.5
    """noise-search: how far a round goes from the best noise, in (0, 1]."""
    width: int = 4
    """noise-search: candidates a round; a divisor of N."""
    prompt_count: int = 16
    """Prompts of the synthetic world."""
    steps: int | None = None
    """Sampling steps; by default 20 for the bundled generators, else 40."""
    guidance: float | None = None
    """Scale of classifier-free guidance, 1 for none; by default 3 for the bundled generators, else 4.5."""
    resolution: int | None = None
    """Side in pixels; by default 32 for the bundled generators, else 1024."""
    prompt_length: int | None = None
    """Tokens of the long text encoder; by default 0 for the bundled generators, else 128."""
    lora: Path | None = None
    """A generator's LoRA: the folder of a run of `align`, or any file or folder that diffusers reads."""
    lora_scale: float = 1.0
    """How much of it."""
    seed: int = 0
    """Of the candidates, and of the prompts of the synthetic world."""
    batch_size: int = 64
    """Images in the networks at once; changes no choice but by rounding."""
    device: str | None = None
    """Where to compute; by default a GPU where there is one."""

    def claims(self) -> Path:
        """Where the results go."""
        return self.out


def run(arguments: Arguments) -> dict[str, object]:
    """Sample, and write what came out."""
    from dina_lrm.generators.load import loaded_generator

    if (arguments.out / "samples.json").exists():
        raise UserError(f"--out {arguments.out}: holds samples already; give another folder")
    check_folder("--out", arguments.out)
    check_replaceable(arguments.out, KIND)
    _check_options(arguments)
    if arguments.prompt_count < 1:
        raise UserError(f"--prompt-count {arguments.prompt_count}: accepted are whole numbers of at least 1")
    check_rewards((arguments.reward,))
    from dina_lrm.synthetic.prompts import prompts_or_texts

    prompts = prompts_or_texts(arguments.prompts, [arguments.seed, 7], arguments.prompt_count)
    from dina_lrm.cli.sampled import Sampled, pixels_of, shown_lines, write_samples
    from dina_lrm.sampling.best_of_n import best_of_n
    from dina_lrm.sampling.ledger import unit_flops
    from dina_lrm.sampling.objective import Objective
    from dina_lrm.sampling.reward_term import RewardTerm
    from dina_lrm.sampling.selection import SamplingPlan
    from dina_lrm.sampling.tuned import lora_file, tuning_run

    settings = _settings(arguments)
    plan = SamplingPlan(arguments.n, settings.sampling_steps, arguments.seed, arguments.batch_size)
    generator = loaded_generator(settings, chosen_device(arguments.device))
    if arguments.lora is not None:
        lora = lora_file(arguments.lora)
        run = None if lora is None else tuning_run(lora)
        if run is not None:
            run.expect_base(arguments.generator)
        generator.load_lora(arguments.lora, arguments.lora_scale)
    chosen = _chosen(arguments, plan, generator)
    generator.check_prompts(prompts)
    with generator.reference() if arguments.lora is None else nullcontext():
        term = RewardTerm(arguments.reward, noise_level=arguments.reward_level)
        objective = Objective(generator, (term,), differentiable=arguments.method == "guided")
        with progress("prompts", arguments.quiet) as report:
            start = time.perf_counter()
            found = chosen.sample(generator, objective, prompts, plan, report)
            seconds = time.perf_counter() - start
        alone = best_of_n(generator, objective, prompts, replace(plan, n=1))
        units = unit_flops(generator, objective, plan.steps, prompts[0])
        sampled = Sampled(
            tuple(found), tuple(alone), pixels_of(generator, found), pixels_of(generator, alone), units, seconds
        )
    write_samples(arguments.out, sampled, arguments, KIND)
    say = console(arguments.quiet)
    for line in shown_lines(sampled):
        say.print(line)
    say.print(f"sheet: {arguments.out / 'sheet.png'}")
    return sampled.facts()


def _check_options(arguments: Arguments) -> None:
    """UserError for an option of another method than the one that is meant: it would do nothing."""
    for method, names in _OF_METHOD.items():
        for name in names:
            given, usual = getattr(arguments, name), Arguments.__dataclass_fields__[name].default
            if given != usual and arguments.method != method:
                raise UserError(f"--{name} with --method {arguments.method}: accepted with --method {method}")


def _settings(arguments: Arguments) -> GeneratorSettings:
    # The smallest LoRA: none is trained here, and a stored one takes its place
    return as_asked(
        replace(usual_settings(arguments.generator), rank=1, alpha=1.0),
        resolution=arguments.resolution,
        prompt_length=arguments.prompt_length,
        sampling_steps=arguments.steps,
        guidance=arguments.guidance,
    )


@dataclass(frozen=True)
class _Chosen:
    """The method with its settings; only one of them is set, or none."""

    pruning: Pruning | None = None
    guidance: RewardGuidance | None = None
    search: NoiseSearch | None = None

    def sample(
        self, generator: Generator, objective: Objective, prompts: list[str], plan: SamplingPlan, report: ReportProgress
    ) -> list[Selection]:
        from dina_lrm.sampling.best_of_n import best_of_n
        from dina_lrm.sampling.noise_search import noise_search

        if self.search is not None:
            return noise_search(generator, objective, prompts, plan, self.search, report)
        return best_of_n(generator, objective, prompts, plan, self.pruning, self.guidance, report)


def _chosen(arguments: Arguments, plan: SamplingPlan, generator: Generator) -> _Chosen:
    from dina_lrm.sampling.guidance import RewardGuidance
    from dina_lrm.sampling.noise_search import NoiseSearch
    from dina_lrm.sampling.pruning import Pruning

    if arguments.method == "pruned":
        cuts = parsed_cuts(arguments.prune, generator.levels(plan.steps)) or default_cuts(plan.n, plan.steps)
        return _Chosen(pruning=Pruning(cuts, arguments.reading))
    if arguments.method == "guided":
        return _Chosen(guidance=RewardGuidance(arguments.strength))
    if arguments.method == "noise-search":
        return _Chosen(search=NoiseSearch(arguments.width, arguments.radius))
    return _Chosen()
