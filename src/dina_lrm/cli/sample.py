"""`dina-lrm sample`: pictures that a reward helps to choose or to make."""

from __future__ import annotations

from dataclasses import replace

from dina_lrm.cli.arguments.sample import Arguments
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import console, progress
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.generators.settings import as_asked, usual_settings
from dina_lrm.profiling.estimates.sampling import Sampling
from dina_lrm.reports.samples import KIND, SHEET, sample_facts, sample_lines, write_samples
from dina_lrm.rewards.names import check_rewards
from dina_lrm.runs.ownership import check_replaceable
from dina_lrm.sampling.job import SamplingJob
from dina_lrm.sampling.methods import MethodChoice
from dina_lrm.sampling.reward_term import RewardTerm, named_term
from dina_lrm.sampling.selection import SamplingPlan
from dina_lrm.sampling.tuned import tuned_generator
from dina_lrm.synthetic.prompts import prompts_or_texts


def run(arguments: Arguments) -> dict[str, object]:
    """Sample, and write what came out."""
    check_replaceable(arguments.out, KIND)
    guided = arguments.method == "guided"
    guides = tuple(named_term("--guide", text) for text in arguments.guide)
    check_rewards((arguments.reward,), gradient=guided and not guides)
    check_rewards([guide.name for guide in guides], gradient=True)
    columns = parse_columns(arguments.columns, ("prompt",))
    prompts = prompts_or_texts(arguments.prompts, [arguments.seed, 7], arguments.prompt_count, columns)
    settings = as_asked(  # the smallest LoRA: none is trained here, and a stored one takes its place
        replace(usual_settings(arguments.generator, arguments.resolution), rank=1, alpha=1.0),
        resolution=arguments.resolution,
        prompt_length=arguments.prompt_length,
        sampling_steps=arguments.steps,
        guidance=arguments.guidance,
        precision=arguments.precision(None),
    )
    names = (arguments.reward, *(guide.name for guide in guides))
    estimate = Sampling(settings, arguments.batch_size, arguments.place(), tuple(dict.fromkeys(names))).estimate()
    if arguments.dry_run:
        return say_estimate(estimate, arguments.out, arguments.quiet)
    check_room(estimate, arguments.out, arguments.force)
    plan = SamplingPlan(arguments.n, settings.sampling_steps, arguments.seed, arguments.batch_size)
    generator = tuned_generator(settings, arguments.place(), arguments.lora, arguments.lora_scale)
    reward = RewardTerm(arguments.reward, noise_level=arguments.reward_level)
    a = arguments
    choice = MethodChoice(a.method, a.prune, a.reading, a.strength, a.radius, a.width)
    job = SamplingJob(reward, plan, choice.method(plan, generator.levels(plan.steps)), a.lora is not None, guides)
    with progress("sampling", arguments.quiet, "prompt") as report:
        sampled = job.run(generator, prompts, report)
    write_samples(arguments.out, sampled, {"arguments": arguments})
    say = console(arguments.quiet)
    for line in sample_lines(sampled):
        say.print(line)
    say.print(f"sheet: {arguments.out / SHEET}")
    return sample_facts(sampled)
