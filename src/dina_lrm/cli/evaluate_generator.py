"""`dina-lrm evaluate-generator`: a tuned generator against its base, on the same prompts and seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dina_lrm.cli.arguments.evaluate_generator import Arguments
from dina_lrm.console.before import check_room, say_estimate
from dina_lrm.console.common import CommandFailed, console, titled_progress
from dina_lrm.data.sources.columns import parse_columns
from dina_lrm.evaluation.environment import command_line
from dina_lrm.profiling.estimates.sampling import Sampling
from dina_lrm.reports.generators import generator_verdict, result_tables, verdicts, write_generator_evaluation
from dina_lrm.reports.terminal import as_rich
from dina_lrm.rewards.names import check_rewards
from dina_lrm.synthetic.prompts import judged_prompts

if TYPE_CHECKING:
    from dina_lrm.evaluation.generators.plan import GeneratorPlan
    from dina_lrm.profiling.estimates.estimate import JobEstimate


def run(arguments: Arguments) -> dict[str, object]:
    """Draw, measure, compare, report."""
    plan = _plan(arguments)
    estimate = _estimate(plan)
    if arguments.dry_run:
        return say_estimate(estimate, arguments.out, arguments.quiet)
    check_room(estimate, arguments.out, arguments.force)
    found = plan.run(arguments.out / "samples", titled_progress(arguments.quiet, "picture"), command_line())
    shown, result = console(arguments.quiet), found.result
    shown.print(f"report: {write_generator_evaluation(arguments.out, found)}")
    for table in result_tables(result):
        shown.print(as_rich(table))
    for line in (generator_verdict(result).text, *verdicts(result), *result.notes):
        shown.print(line)
    name = found.without_pictures
    if name is not None:
        told = f"none of the {found.measured[name].not_finite} pictures of the {name} generator is finite"
        raise CommandFailed(f"{told}: nothing can be judged", result.to_dict())
    return {**result.to_dict(), "blocks_kept": found.blocks_kept}


def _plan(arguments: Arguments) -> GeneratorPlan:
    check_rewards(arguments.names())
    columns = parse_columns(arguments.columns, ("prompt",))
    prompts = judged_prompts(arguments.prompts, arguments.seed, arguments.count, "--count", columns)
    # The generators' libraries take seconds: what is wrong with words is said before
    from dina_lrm.evaluation.generators.plan import GeneratorPlan

    return GeneratorPlan(
        base=arguments.base,
        tuned=arguments.tuned,
        prompts=prompts,
        rewards=arguments.names(),
        images_per_prompt=arguments.images_per_prompt,
        seed=arguments.seed,
        steps=arguments.steps,
        guidance=arguments.guidance,
        resolution=arguments.resolution,
        prompt_length=arguments.prompt_length,
        lora_scale=arguments.lora_scale,
        batch_size=arguments.batch_size,
        device=arguments.place(),
        precision=arguments.precision(None),
    )


def _estimate(plan: GeneratorPlan) -> JobEstimate:
    """What drawing takes; a LoRA shares the weights of its base."""
    settings = replace(plan.pair.settings(), pretrained=plan.base)
    count = 1 if plan.pair.lora is not None else 2
    return Sampling(
        settings, plan.batch_size, plan.device, plan.rewards, generators=count, job="evaluate-generator"
    ).estimate()
