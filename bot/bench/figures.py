"""A measured figure beside what it must reach, for people, for documents and for programs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

NOTE = """The recording of baselines is off while this is measured (`PAGERUNNER_CANARY_TOKENS_PER_HOUR=0`): what was
normal is loaded before. The figures hold without the canaries that a server sends every service in the background."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure. ``at`` says whether ``must`` is the most or the least that is good enough."""

    what: str
    value: float | None
    """None: it could not be measured; ``detail`` says why."""
    unit: str
    must: float
    at: Literal["most", "least"] = "most"
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether it is as good as it must be; what was not measured is not."""
        if self.value is None:
            return False
        return self.value <= self.must if self.at == "most" else self.value >= self.must

    @property
    def verdict(self) -> str:
        return "not measured" if self.value is None else "met" if self.met else "MISSED"

    @property
    def shown(self) -> str:
        return "-" if self.value is None else quantity(self.value, self.unit)

    @property
    def wanted(self) -> str:
        return f"{'≤' if self.at == 'most' else '≥'} {quantity(self.must, self.unit)}"

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what, "value": None if self.value == math.inf else self.value, "unit": self.unit,
            "must": self.must, "at": self.at,
            "verdict": self.verdict, "detail": self.detail,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All figures of a run, with where and when they were measured."""

    about: Sequence[tuple[str, str]]
    """What is being read: date, commit, machine, references."""
    figures: Sequence[Figure]

    def as_json(self) -> dict[str, Any]:
        return {"about": dict(self.about), "figures": [figure.as_json() for figure in self.figures]}

    def text(self) -> str:
        """For a terminal."""
        lines = [f"{name}: {value}" for name, value in self.about]
        wide = max((len(f.what) for f in self.figures), default=0)
        for f in self.figures:
            lines += ["", f"{f.what:{wide}}  {f.shown:>10}  must be {f.wanted:<10}  {f.verdict}"]
            lines += [f"    {f.detail}"] if f.detail else []
        return "\n".join(lines)

    def markdown(self) -> str:
        """For a document."""
        lines = ["# Measured", "", "Written by `python -m bot.bench --write docs/bench.md`; do not edit.", "", NOTE, ""]
        lines += [f"- {name}: {value}" for name, value in self.about]
        lines += ["", "| What | Measured | Must | | How it came about |", "|---|---|---|---|---|"]
        lines += [f"| {f.what} | {f.shown} | {f.wanted} | {f.verdict} | {f.detail} |" for f in self.figures]
        return "\n".join(lines) + "\n"


def quantity(value: float, unit: str) -> str:
    """A number with its unit, as exact as it is worth reading."""
    if math.isinf(value):
        return "never"
    number = f"{value:.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {unit}".strip()


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed. Raises :class:`ValueError` for none."""
    if not values:
        raise ValueError("no values to take a percentile of")
    ordered = sorted(values)
    rank = max(1, -int(-share * len(ordered) // 1))
    return ordered[min(rank, len(ordered)) - 1]


def spread(values: Sequence[float], unit: str) -> str:
    """Median and range, for a detail."""
    return (
        f"median {quantity(percentile(values, 0.5), unit)} [{quantity(min(values), unit)} to "
        f"{quantity(max(values), unit)}] of {len(values)}"
    )
