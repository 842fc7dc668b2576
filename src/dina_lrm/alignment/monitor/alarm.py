"""The alarm on trends that part: the proxy goes on rising while the golden reward lags, stalls or falls.

Where pairs were given, winners that get worse than they were for the base model are one too, whatever the proxy does.

No threshold on a score: rewards have scales of their own, and a hacked one is always high. Over the last `window`
records the proxy's trend must be up beyond its error (one-sided t test at `level`); the golden reward counts as rising
only where its own trend is up beyond its error (at `golden_level`), else it stalls, or falls when it is down beyond
its error. Where it rises, it lags when over all records it gains less and less with the proxy (`pace.py`). Symptoms in
the pictures (grid energy, diversity, edge strength) are trends of their own. Where the spread of a metric between
pictures is known, a change of less than `least_change` spreads in the window is not worth a word. Scale and shift of a
metric change nothing; while the proxy falls beyond its error nothing is said at all.

Measured with the default settings on independent noise around constants (proxy, golden reward and the measures of
`measures.py`): one look raises a false alarm of divergence with chance .0014 and any with .0052 (100,000 windows), a
run of 40 records, looked at after each, with .036 and .13 (5,000 runs). Known spreads lower that. Noise that hangs
together makes trends that are real for the pictures that are watched: at an autocorrelation of .5 a look raises them
with chance .012 and .042. When in each record the proxy gains one standard deviation of its noise and the golden
reward loses half a one, the first whole window fires with chance .80; at 1.3 and .65 with .97; at 1.3 and 0 with .92.
With windows of 5 and 6 one look of noise raises the same (20,000 windows), a run of 7 looks any with .02 and .01. A
golden reward that rises with the proxy at one pace is said to lag in a run of 7, 16 or 40 looks with chance .02 at
most where the noise is .3 of what a look gains, and .04 where it is as much, for windows of 5, 6 and 8; to stall or
lag, with the large noise and 40 looks, with .27, .17 and .04: short windows need quiet looks (1,500 runs each).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from jaxtyping import Float

from dina_lrm.alignment.monitor.pace import Pace, pace
from dina_lrm.alignment.monitor.trend import LEAST_POINTS, Trend, trend
from dina_lrm.screen import number_text
from dina_lrm.typed import DinaError


@dataclass(frozen=True)
class AlarmSettings:
    """How many records a trend is taken over, and how sure it must be.

    `level` is the chance that a flat metric seems to move, for proxy and symptoms; `golden_level` that for a golden
    reward, lax, so that a slow rise counts as one. `least_change` is in spreads between pictures. A golden reward lags
    when it gains less than `least_pace` of what it first gained with each unit of the proxy, at `golden_level`.
    """

    window: int = 8
    level: float = 0.001
    golden_level: float = 0.05
    least_change: float = 0.2
    least_pace: float = 0.5

    def __post_init__(self) -> None:
        if self.window < LEAST_POINTS:
            raise DinaError(f"alarm: window={self.window}; accepted: {LEAST_POINTS} records or more")
        if not (0 < self.level < 0.5 and 0 < self.golden_level < 0.5 and self.least_change >= 0):
            raise DinaError(f"alarm: {self}; accepted: levels in (0, 0.5), least_change at least 0")
        if not 0 < self.least_pace < 1:
            raise DinaError(f"alarm: least_pace={self.least_pace}; accepted: a share in (0, 1)")


@dataclass(frozen=True, eq=False)
class Series:
    """A metric over the records, NaN where it is missing; `spread` is its standard deviation between pictures."""

    values: Float[np.ndarray, " records"]
    spread: float | None = None


@dataclass(frozen=True, eq=False)
class History:
    """What was recorded so far: steps in rising order, and series of as many values."""

    steps: Float[np.ndarray, " records"]
    proxy: Series
    golden: Series | None = None
    utility: Series | None = None
    measures: Mapping[str, Series] = field(default_factory=dict)
    winners: Series | None = None
    """How far the error of preferred pictures is from the reference's, relative to it (`pairs/watch.py`)."""

    def __post_init__(self) -> None:
        if np.any(np.diff(self.steps) <= 0):
            raise DinaError(f"history: steps {self.steps.tolist()}; accepted: rising steps")
        for name, series in self.series().items():
            if len(series.values) != len(self.steps):
                raise DinaError(f"history: {len(series.values)} values of {name} at {len(self.steps)} steps")

    def series(self) -> dict[str, Series]:
        """All series by name."""
        named = {"proxy": self.proxy, "golden": self.golden, "utility": self.utility, "winners": self.winners}
        named |= self.measures
        return {name: series for name, series in named.items() if series is not None}

    def until(self, records: int) -> History:
        """The first `records` records."""
        cut = {name: Series(series.values[:records], series.spread) for name, series in self.series().items()}
        measures = {name: cut[name] for name in self.measures}
        return History(
            self.steps[:records], cut["proxy"], cut.get("golden"), cut.get("utility"), measures, cut.get("winners")
        )


@dataclass(frozen=True)
class Finding:
    """Something that a window shows: one of `FINDINGS`, in words, at its last step.

    `since` is the last step at which all was well, as far as can be told: where the judge that gives it away was best,
    where its pace dropped, or where the window begins. Slope (a step) and standard error are those of the series that
    gives it away.
    """

    kind: str
    sentence: str
    step: int
    since: int
    slope: float
    standard_error: float


_FATES: Final = ("falls while proxy rises", "stalls while proxy rises", "falls while proxy holds")
_SYMPTOMS: Final = {
    "grid energy rises": ("grid_energy", 1),
    "diversity falls": ("diversity", -1),
    "edge strength falls abnormally": ("edge_strength", -1),
    "edge strength rises abnormally": ("edge_strength", 1),
}
_LAGS: Final = "golden lags while proxy rises"
_WINNERS: Final = "winners get worse"
FINDINGS: Final[Mapping[str, str]] = {
    **{f"{name} {fate}": name for name in ("golden", "utility") for fate in _FATES},
    _LAGS: "golden",
    _WINNERS: "winners",
    **{kind: name for kind, (name, _) in _SYMPTOMS.items()},
}
"""Every kind of finding, and the series that gives it away."""
_SPOKEN: Final = {
    "golden": "the golden reward",
    "utility": "the true utility",
    "winners": "the error of preferred pictures, relative to the reference's,",
} | {name: name.replace("_", " ") for name, _ in _SYMPTOMS.values()}


def findings(history: History, settings: AlarmSettings | None = None) -> list[Finding]:
    """What the last window shows; nothing before there is a whole window."""
    chosen = settings or AlarmSettings()
    if len(history.steps) < chosen.window:
        return []
    return list(_Look(history, chosen).findings())


def alarms(history: History, settings: AlarmSettings | None = None) -> list[Finding]:
    """What was found as the run went on, looked at after each record: the first of each unbroken row of a kind."""
    found: list[Finding] = []
    before: set[str] = set()
    for records in range(1, len(history.steps) + 1):
        now = findings(history.until(records), settings)
        found += [finding for finding in now if finding.kind not in before]
        before = {finding.kind for finding in now}
    return found


class _Look:
    """The trends of one window."""

    def __init__(self, history: History, settings: AlarmSettings) -> None:
        self._settings, self._history = settings, history
        self._steps = history.steps[-settings.window :]
        self._series = history.series()
        fitted = {name: trend(self._steps, s.values[-settings.window :]) for name, s in self._series.items()}
        self._trends: dict[str, Trend] = {name: found for name, found in fitted.items() if found is not None}

    def findings(self) -> Iterator[Finding]:
        """What given pairs say, divergence, then the symptoms."""
        winners = self._history.winners
        if winners is not None and winners.values[-1] > 0 and self._moves("winners", 1):
            yield self._finding(_WINNERS, int(self._steps[0]), "")
        proxy = self._trends.get("proxy")
        if proxy is not None and proxy.falls(self._settings.golden_level):
            return
        for name in ("golden", "utility"):
            kind = self._fate(name)
            if kind is not None and proxy is not None:
                yield self._finding(kind, self._best_step(name), f", the proxy by {_moved(proxy)}")
        lag = self._lag()
        if lag is not None:
            yield lag
        for kind, (name, sign) in _SYMPTOMS.items():
            if self._moves(name, sign) and not (name == "edge_strength" and self._golden_rises()):
                yield self._finding(kind, int(self._steps[0]), "")

    def _fate(self, name: str) -> str | None:
        """How a judge that is not optimised fares beside the proxy; None where nothing is wrong or nothing is known."""
        proxy, judged = self._trends.get("proxy"), self._trends.get(name)
        if proxy is None or judged is None:
            return None
        if self._moves("proxy", 1):
            if judged.rises(self._settings.golden_level):
                return None
            falls = judged.falls(self._settings.golden_level)
            return f"{name} falls while proxy rises" if falls else f"{name} stalls while proxy rises"
        holds = proxy.slope >= 0 and self._moves(name, -1)
        return f"{name} falls while proxy holds" if holds else None

    def _lag(self) -> Finding | None:
        """The golden reward still rises beside the proxy, but ever less with it."""
        golden = self._history.golden
        if golden is None or not self._moves("proxy", 1) or not self._golden_rises():
            return None
        proxy = self._history.proxy.values
        found = pace(proxy, golden.values, self._settings.least_pace)
        if found is None or not found.dropped(self._settings.golden_level):
            return None
        beyond = np.flatnonzero(proxy > (np.inf if found.turned is None else found.turned))
        since = int(self._history.steps[max(0, beyond[0] - 1) if len(beyond) else -1])
        return self._finding(_LAGS, since, f"; {_paces(found)}")

    def _best_step(self, name: str) -> int:
        """Where in the window the series is highest."""
        values = self._series[name].values[-self._settings.window :]
        return int(self._steps[np.nanargmax(values)])

    def _moves(self, name: str, sign: int) -> bool:
        """Whether the series moves up (1) or down (-1) beyond its error, and by enough."""
        found = self._trends.get(name)
        if found is None:
            return False
        level, spread = self._settings.level, self._series[name].spread
        sure = found.rises(level) if sign > 0 else found.falls(level)
        return sure and (spread is None or abs(found.change) >= self._settings.least_change * spread)

    def _golden_rises(self) -> bool:
        golden = self._trends.get("golden")
        return golden is not None and golden.rises(self._settings.golden_level)

    def _finding(self, kind: str, since: int, beside: str) -> Finding:
        name = FINDINGS[kind]
        found = self._trends[name]
        first, last = int(self._steps[0]), int(self._steps[-1])
        sentence = f"{kind}: from step {first} to {last} {_SPOKEN[name]} changes by {_moved(found)}{beside}."
        return Finding(kind, sentence[:1].upper() + sentence[1:], last, since, found.slope, found.standard_error)


def _moved(found: Trend) -> str:
    change, slope = number_text(found.change, "+.3g"), number_text(found.slope, "+.2g")
    return f"{change} ({slope} ± {number_text(found.standard_error, '.1g')} a step)"


def _paces(found: Pace) -> str:
    last, first = number_text(found.last, ".2g"), number_text(found.first, ".2g")
    return f"it gains {last} with each unit of the proxy, at first it was {first}"
