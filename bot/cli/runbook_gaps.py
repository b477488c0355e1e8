"""What the last incidents and the files say about a runbook library: pure values, shown by ``runbooks coverage``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bot.cli.runbook_trial import drill_of
from bot.domain import wording
from bot.edges.usage import Used
from runbooks.links import rotten
from runbooks.model import Problem, Runbook

GOOD_BELIEF = 0.25
"""Share of the belief from which the first runbook counts as found; with 33 of them, an even share is 0.03."""
UNRESOLVED = frozenset({
    "unknown-probe", "unknown-action", "unknown-outcome", "unknown-parameter", "missing-parameter", "parameter",
    "unknown-field", "undeclared-field", "no-service", "unknown-service",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """An incident whose page the library did not serve, and what would help."""

    incident: str
    title: str
    service: str
    at: str
    kind: str
    """``none``: nothing good was found. ``unconfirmed``: found, and no probe confirmed it. ``misled``: another was the
    cause."""
    found: str
    belief: float
    told: str
    advice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """Everything that ``coverage`` tells."""

    days: int
    incidents: int | None
    """None: there is no database to look at."""
    runbooks: int
    gaps: tuple[Gap, ...] = ()
    use: Mapping[str, int] = field(default_factory=dict)
    """Runbook -> incidents that it was the cause of, or a step was proposed from."""
    helped: Mapping[str, int] = field(default_factory=dict)
    never: tuple[str, ...] = ()
    overdue: tuple[Problem, ...] = ()
    unresolved: tuple[Problem, ...] = ()
    broken: tuple[Problem, ...] = ()
    """Other errors, with which a file is not used."""
    links: tuple[Problem, ...] = ()
    no_drill: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def coverage(
    days: int, used: Sequence[Used] | None, runbooks: Sequence[Runbook], problems: Sequence[Problem]
) -> Coverage:
    """Put together. ``used``: None without a database. ``problems``: of all files, as lint found them."""
    ids = [book.id for book in runbooks]
    use = {name: sum(name in (*one.causes, *one.proposed) for one in used or ()) for name in ids}
    resolve = tuple(p for p in problems if p.rule in UNRESOLVED and (p.severity != "hint"))
    return Coverage(
        days=days, incidents=None if used is None else len(used), runbooks=len(runbooks),
        gaps=tuple(gap for one in used or () for gap in _gap(one, ids)), use={n: k for n, k in use.items() if k},
        helped={name: count for name in ids if (count := sum(name in one.helped for one in used or ()))},
        never=tuple(name for name in ids if not use[name]) if used else (),
        overdue=tuple(problem for problem in problems if problem.rule == "overdue-review"), unresolved=resolve,
        broken=tuple(p for p in problems if p.severity == "error" and p.rule not in UNRESOLVED),
        links=tuple(_links(runbooks)), no_drill=tuple(book.id for book in runbooks if not drill_of(book)),
    )  # fmt: skip


def _gap(one: Used, ids: Iterable[str]) -> Iterator[Gap]:
    """At most one gap of an incident. Looking and finding no fault is no gap."""
    found, belief = one.found[0] if one.found else ("", 0.0)
    right = one.helped or one.causes
    if one.conclusion == "no_fault" or found in right:
        return
    if right:
        kind, told = "misled", f"the page found {found or 'nothing'} first; it was {', '.join(right)}"
        advice = f"add this page to 'pages' of {right[0]}" + (f", or to 'not_pages' of {found}" if found else "")
    elif belief < GOOD_BELIEF or found not in set(ids):
        nearest = f"nearest was {found} with a belief of {wording.percent(belief)}"
        kind, told = "none", nearest if found else "nothing was found"
        advice = "write one (pagerunner runbooks new), or add this page to 'pages' of the one that should be found"
    else:
        verdict = "was inconclusive" if one.conclusion else "did not end"
        believed = f"found {found} with a belief of {wording.percent(belief)}"
        kind, told = "unconfirmed", f"{believed}, and the diagnosis {verdict}"
        advice = (
            f"if it was {found}, add what its probes showed to 'evidence'; if not, add this page to its 'not_pages'"
        )
    yield Gap(incident=one.id, title=one.title, service=one.service, at=one.opened_at.isoformat(), kind=kind,
              found=found, belief=round(belief, 3), told=told, advice=advice)  # fmt: skip


def _links(runbooks: Sequence[Runbook]) -> Iterator[Problem]:
    for book in runbooks:
        yield from rotten(Path(book.path))
