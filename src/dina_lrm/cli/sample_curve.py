"""`dina-lrm sample curve`: what best-of-N gains and costs on the synthetic world, pruned and not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dina_lrm.cli.common import CommonArguments, UserError, check_seeds, console, progress
from dina_lrm.runs.ownership import check_results
from dina_lrm.runs.places import check_folder

if TYPE_CHECKING:
    from dina_lrm.experiments.sampling_curve import Schedule
    from dina_lrm.experiments.sampling_pools import Pool
    from dina_lrm.sampling.ledger import UnitFlops


@dataclass
class Arguments(CommonArguments):
    """Draw candidates for prompts of the synthetic world and measure best-of-N at every N: reward, true utility, FLOPs.

    Everything is read off one pool a seed, which OUT/pools keeps: what is there is not drawn again. Three cuts are
    measured beside plain best-of-N. OUT gets curve.json, curve.md (the table) and curve.png. With the defaults it takes
    eight minutes of one core.

    Example:
        dina-lrm sample curve --prompt-count 4 --candidates 4 --seeds 0 --out curve
    """

    out: Path
    """Folder of the study."""
    prompt_count: int = 64
    """Prompts, the same for all seeds."""
    candidates: int = 16
    """Of a prompt in each pool; the largest N is twice as many where there are several seeds."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One pool each."""
    steps: int = 10
    """Sampling steps, at least 10: cuts are at three and five tenths of them."""
    batch_size: int = 64
    """Images in the networks at once."""

    def claims(self) -> Path:
        """Where the results go."""
        return self.out


def run(arguments: Arguments) -> dict[str, object]:
    """Draw what is missing, then write what was found."""
    for name, least in (("prompt_count", 2), ("candidates", 1), ("steps", 10), ("batch_size", 1)):
        given = getattr(arguments, name)
        if given < least:
            raise UserError(f"--{name.replace('_', '-')} {given}: accepted are whole numbers of at least {least}")
    check_seeds(arguments.seeds)
    check_folder("--out", arguments.out)
    check_results(arguments.out, "curve.json", _is_curve, ("curve.md", "curve.png"))
    from dina_lrm.experiments.sampling_curve import best_of_n_curve, curve_plot, curve_table, stored_points
    from dina_lrm.reports.theme import save_figure
    from dina_lrm.runs.files import replaced_when_complete
    from dina_lrm.typed import to_plain

    schedules = _schedules(arguments.steps)
    pools, units = _pools(arguments, sorted({step for one in schedules for step, _ in one.cuts}))
    largest = arguments.candidates * min(2, len(pools))
    ns = [n for n in (2**power for power in range(12)) if n <= largest]
    points = best_of_n_curve(pools, ns, schedules, units)
    table = curve_table(points)
    found: dict[str, object] = {
        "prompts": arguments.prompt_count,
        "candidates": arguments.candidates,
        "seeds": list(arguments.seeds),
        "steps": arguments.steps,
        "schedules": to_plain(schedules),
        "unit flops": to_plain(units),
        "points": stored_points(points),
    }
    for name, text in (("curve.json", json.dumps(found, indent=1)), ("curve.md", table)):
        with replaced_when_complete(arguments.out / name) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    save_figure(curve_plot(points), arguments.out / "curve.png")
    shown = console(arguments.quiet)
    for line in table.splitlines():
        shown.print(line)
    return found


def _is_curve(found: Mapping[str, object]) -> bool:
    return {"points", "schedules", "unit flops"} <= found.keys()


def _schedules(steps: int) -> tuple[Schedule, ...]:
    """Chosen on 32 other prompts of another seed."""
    from dina_lrm.experiments.sampling_curve import Schedule

    early, late = 3 * steps // 10, steps // 2
    return (
        Schedule("clean, one cut", "clean", ((early, 0.25),)),
        Schedule("clean, two cuts", "clean", ((early, 0.375), (late, 0.125))),
        Schedule("noisy, two cuts", "noisy", ((early, 0.5), (late, 0.25))),
    )


def _pools(arguments: Arguments, cut_steps: Sequence[int]) -> tuple[list[Pool], UnitFlops]:
    from dina_lrm.experiments.sampling_pools import Pool, draw_pool
    from dina_lrm.generators.load import loaded_generator
    from dina_lrm.generators.settings import usual_settings
    from dina_lrm.sampling.ledger import unit_flops
    from dina_lrm.sampling.objective import Objective
    from dina_lrm.sampling.reward_term import RewardTerm
    from dina_lrm.sampling.selection import SamplingPlan
    from dina_lrm.synthetic.prompts import SYNTHETIC, prompts_of

    prompts = list(prompts_of(SYNTHETIC, [0, 7], arguments.prompt_count).prompts)
    generator = loaded_generator(
        replace(usual_settings(SYNTHETIC), rank=1, alpha=1.0, sampling_steps=arguments.steps), "cpu"
    )
    pools = []
    with generator.reference(), progress("candidates", arguments.quiet) as report:
        objective = Objective(generator, (RewardTerm(),), differentiable=False)
        for number, seed in enumerate(arguments.seeds):
            path = arguments.out / "pools" / f"seed-{seed}.npz"
            plan = SamplingPlan(arguments.candidates, arguments.steps, seed, arguments.batch_size)
            if not path.is_file():

                def told(done: int, total: int, before: int = number) -> None:
                    report(before * total + done, len(arguments.seeds) * total)

                draw_pool(generator, objective, prompts, plan, cut_steps, told).save(path)
            pool = Pool.load(path)
            if (pool.plan.n, pool.plan.steps, pool.prompts) != (plan.n, plan.steps, tuple(prompts)):
                raise UserError(f"{path}: was drawn with other settings; give another --out, or remove it")
            pools.append(pool)
        units = unit_flops(generator, objective, arguments.steps, prompts[0])
    return pools, units
