"""Statements that several kinds of question need: a probe's reading, what was not read, what would tell."""

from collections.abc import Iterable, Iterator

from bot.domain import wording
from bot.domain.card import newest_findings
from bot.domain.next_step import next_step
from bot.domain.questions.kind import Case
from bot.domain.statement import Statement, code, plain
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView
from diagnostics.model import Finding, Verdict

SUMMARY = 200
TOLD = (Verdict.NORMAL, Verdict.ABNORMAL)


def finding(view: IncidentView, finding_id: str) -> Finding | None:
    """The finding with this evidence id."""
    return next((each for each in view.findings if each.id == finding_id), None)


def newest(view: IncidentView, probe: str) -> Finding | None:
    """The newest reading of a probe."""
    return next((each for each in newest_findings(view) if each.probe == probe), None)


def seen(one: Finding) -> Statement:
    """What a probe showed, with its own words."""
    when = wording.clock(one.started_at)
    head = f"{wording.mark(one.verdict)} {plain(one.probe)} {plain(one.outcome)} at {when}"
    return Statement(text=f"{head}: {quote(one.reading.summary, SUMMARY)}", refs=(one.id,), known=one.verdict in TOLD)


def readings(case: Case, *probes: str) -> Iterator[Statement]:
    """The newest reading of each of these probes; nothing of one that was not read, or could not be."""
    for probe in probes:
        one = newest(case.view, probe)
        if one is not None and one.verdict is not Verdict.NOT_RUN:
            yield seen(one)


def read_or_not(case: Case, *probes: str) -> Iterator[Statement]:
    """The newest readings; if there is none, or none could tell, that it is not known, and which probe would tell."""
    found = list(readings(case, *probes))
    if any(each.known for each in found):
        yield from found
    else:
        yield from not_told(case, probes, found)


def not_told(case: Case, probes: Iterable[str], found: Iterable[Statement] = ()) -> Iterator[Statement]:
    """That it is not known, why not, and what would tell."""
    yield Statement(text="I don't know.", known=False)
    yield from found
    running = [probe for probe in probes if probe in case.view.running]
    if running:
        yield Statement(text=f"What would tell: {plain(', '.join(running), 200)}, still running.", known=False)
    else:
        yield would_run(case, *probes)


def would_run(case: Case, *probes: str) -> Statement:
    """Which probe would tell, and how to run it."""
    commands = " or ".join(f"`/oncall probe {probe}`" for probe in probes)
    one = next((each for each in (newest(case.view, p) for p in probes) if each is not None), None)
    why = f" (not run: {quote(one.reading.summary)})" if one is not None and one.verdict is Verdict.NOT_RUN else ""
    return Statement(text=f"What would tell: {commands}{why}.", refs=(one.id,) if why and one else (), known=False)


def would_tell(case: Case) -> Iterator[Statement]:
    """What would tell most about the cause; nothing if nothing would."""
    view = case.view
    if view.running:
        yield Statement(text=f"What would tell: {plain(', '.join(view.running), 200)}, still running.")
    elif view.diagnosis is not None and view.diagnosis.next_probes:
        best = view.diagnosis.next_probes[0]
        yield Statement(text=f"What would tell most: {plain(best.probe)} ({best.bits:.2f} bits expected).")


def no_cause(case: Case) -> Iterator[Statement]:
    """That there is no diagnosis yet, and what would give one."""
    yield Statement(text="I don't know: nothing has been diagnosed.", known=False)
    would = list(would_tell(case))
    yield from would or [Statement(text=plain(next_step(case.view), 300), known=False)]


def ask(case: Case, what: str) -> Statement:
    """Who would know what no probe reads: the owners."""
    team = case.view.team
    whom = f"team {plain(team.name)}" if team is not None else "the service's owner"
    return Statement(text=f"{what}: ask {whom}.", known=False)


def named(probe: str) -> str:
    """A probe's name as it is printed."""
    return code(probe)
