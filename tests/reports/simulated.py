"""Evaluation results of simulated models, measured by the library's own functions: no model, no images."""

import numpy as np
from scipy.stats import norm

from dina_lrm.evaluation.diagnostics import PairGroups
from dina_lrm.evaluation.environment import environment
from dina_lrm.evaluation.measures import KnownAnswers, diagnostics_of, measure_readings, worst_disagreements
from dina_lrm.evaluation.readings import PairScores, Reading
from dina_lrm.evaluation.results import EvaluationResult, SetResult

READINGS = tuple(Reading(levels) for levels in ((0.1,), (0.2,), (0.4,), (0.6,), (0.8,), (0.2, 0.5, 0.7)))
KINDS = (
    "blur",
    "noise",
    "low contrast",
    "colour shift",
    "wrong colour",
    "wrong shape",
    "wrong relation",
    "wrong count",
)
SETS = {"in_domain": 0.35, "unseen_compositions": 0.42, "unseen_defects": 0.55, "generated": 0.7}


def simulated_set(name: str, error: float, pairs: int, seed: int) -> SetResult:
    """A judge whose scores are the true utility plus noise that grows away from t = 0.3."""
    generator = np.random.default_rng(seed)
    utility = generator.normal(size=(2, pairs))
    truth = norm.cdf((utility[0] - utility[1]) / 0.5)
    preference = (generator.random(pairs) < truth).astype(np.float64)
    spread = [error * (1 + 3 * (np.mean(reading.levels) - 0.3) ** 2) for reading in READINGS]
    scores = utility[:, :, None] + np.array(spread) * generator.normal(size=(2, pairs, len(READINGS)))
    widths = np.hypot(0.3, np.array(spread))
    probability = norm.cdf((scores[0] - scores[1]) / widths)
    read = PairScores(READINGS, scores[0], scores[1], probability, lambda m, column: norm.cdf(m / widths[column]))
    known = KnownAnswers(preference, np.arange(pairs) // 2, truth)
    kind = generator.integers(0, len(KINDS), pairs)
    severity = np.where(kind < 4, generator.uniform(0.05, 1, pairs), np.nan)
    groups = PairGroups(tuple(KINDS[k] for k in kind), severity)
    return SetResult(
        name=name,
        pairs=pairs,
        images=2 * pairs,
        missing=0,
        ceiling=float(np.maximum(truth, 1 - truth).mean()),
        data_hash="0" * 16,
        notes=("labels made by an oracle that is right on 93 % of rendered scenes",) if name == "generated" else (),
        readings=measure_readings(read, known),
        diagnostics=diagnostics_of(read, 2, known, groups) if name == "in_domain" else (),
        disagreements=worst_disagreements(
            read, 2, known, lambda i: f"a large red ring above a small blue cross, number {i}"
        ),
        seconds=1.5,
    )


def simulated_result(model: str = "synthetic", extra: float = 0.0, pairs: int = 600, seed: int = 0) -> EvaluationResult:
    """Four sets at five noise levels and one ensemble."""
    return EvaluationResult(
        model=model,
        description={"backbone": {"family": "sd3", "depth": 6}, "noise_level": 0.4},
        reference=READINGS[2],
        sets=tuple(simulated_set(n, e + extra, pairs, seed + i) for i, (n, e) in enumerate(SETS.items())),
        convention="micro_strict",
        seed=0,
        environment=environment(),
        command="dina-lrm evaluate synthetic --on synthetic",
        seconds=6.0,
    )
