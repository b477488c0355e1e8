"""A backtest for people, and as a table for spreadsheets."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bot.cli.backtest_run import UNMAPPED, Backtest, Cannot, Row
from bot.cli.runbook_gaps import GOOD_BELIEF
from bot.domain import wording
from bot.domain.untrusted import clean, line
from bot.edges.export_csv import cell

if TYPE_CHECKING:
    from bot.cli.backtest_run import Gap

MOST_ROWS, MOST_GAPS, MOST_STRANGERS = 40, 15, 15
COLUMNS = ("at", "incident", "number", "title", "pagerduty_service", "service", "team", "channel", "runbook", "score",
           "belief", "good", "why", "could_not_run", "what_people_wrote")  # fmt: skip


def text(report: Backtest, *, every: bool) -> Iterator[str]:
    """Page by page, then what they come to. ``every``: all pages, instead of the newest."""
    rows = report.rows if every else report.rows[-MOST_ROWS:]
    if len(rows) < len(report.rows):
        yield f"The newest {len(rows)} of {len(report.rows):,} pages; --all shows every one.\n"
    for row in rows:
        yield from _page(row)
    good = sum(row.good for row in report.rows)
    none, from_ = len(report.rows) - good, wording.percent(GOOD_BELIEF)
    yield f"\n{wording.plural(len(report.rows), 'page')}: {good} would have shown a good runbook, {none} none"
    yield f"(good: at least {from_} of the belief; whether it is the right one, only people can say)"
    yield from _counted("By service", report.counts(lambda row: row.service))
    yield from _counted("By runbook", report.counts(lambda row: row.runbook if row.good else "none"))
    yield from _services(report)
    yield from _strangers(report)
    yield from _gaps(report.gaps)
    yield "\nNothing was posted, probed or changed."


def as_csv(report: Backtest) -> str:
    """A line for each page."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in report.rows:
        blocked = "; ".join(f"{one.probe}: {one.why}" for one in row.cannot if not one.runs)
        cells = (row.at.isoformat() if row.at else "", row.ref, row.number or "", row.title, row.pagerduty_service,
                 row.service, row.team, row.channel, row.runbook, f"{row.score:.4f}", f"{row.belief:.4f}",
                 "yes" if row.good else "no", "; ".join(row.why), blocked, " / ".join(row.notes))  # fmt: skip
        writer.writerow([cell(clean(str(value))[0]) for value in cells])
    return out.getvalue()


def _page(row: Row) -> Iterator[str]:
    ref = f" {line(row.ref, 20)}" if row.ref else ""
    yield f"{f'{row.at:%Y-%m-%d %H:%M}' if row.at else 'undated'}{ref}  “{line(row.title, 100)}”"
    where = f"{row.service} of team {row.team}, in {row.channel}" if row.service != UNMAPPED else \
        f"not in the catalogue ({line(row.pagerduty_service, 60) or 'no service'})"  # fmt: skip
    yield f"    {where}"
    if not row.runbook:
        yield "    no runbook"
        return
    word = "would show" if row.good else "no good runbook; nearest is"
    yield f"    {word} {row.runbook}, score {row.score:.3f}, belief {wording.percent(row.belief)}"
    yield from (f"      {line(reason, 140)}" for reason in row.why[:1])
    blocked = [one for one in row.cannot if not one.runs]
    if row.good and blocked:
        yield f"      could not run: {'; '.join(f'{one.probe} ({line(one.why, 80)})' for one in blocked)}"


def _counted(title: str, counts: dict[str, tuple[int, int]]) -> Iterator[str]:
    yield f"\n{title}"
    for name, (pages, good) in counts.items():
        yield f"  {pages:>5}  {line(name or 'none', 60)}" + (f", {good} with a good runbook" if good != pages else "")


def _services(report: Backtest) -> Iterator[str]:
    if not report.services:
        return
    yield "\nProbes that could not run"
    for name, cannot in report.services.items():
        blocked, unsure = [one for one in cannot if not one.runs], [one for one in cannot if one.runs]
        yield f"  {name}: {wording.plural(len(blocked), 'probe')} of those there are"
        yield from (f"    {why}: {', '.join(names)}" for why, names in _grouped(blocked))
        if unsure:
            yield f"    no baseline is recorded yet (they run, and may be inconclusive): {len(unsure)} probes"


def _grouped(cannot: Sequence[Cannot]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for one in cannot:
        groups.setdefault(line(one.why, 160), []).append(one.probe)
    return list(groups.items())


def _strangers(report: Backtest) -> Iterator[str]:
    if not report.strangers:
        return
    yield "\nPagerDuty services that the catalogue does not name: add their ids to a service's pagerduty_services"
    listed = list(report.strangers.items())
    yield from (f"  {pages:>5}  {line(name, 80) or 'without a service'}" for name, pages in listed[:MOST_STRANGERS])
    if len(listed) > MOST_STRANGERS:
        yield f"  and {len(listed) - MOST_STRANGERS} more"


def _gaps(gaps: "Sequence[Gap]") -> Iterator[str]:
    if not gaps:
        return
    yield "\nGaps worth writing a runbook for (pages without a good one, by the words they share)"
    for gap in gaps[:MOST_GAPS]:
        words = " ".join(line(word, 30) for word in gap.words) if gap.pages > 1 else ""
        told = words or f"“{line(gap.examples[0], 110)}”"
        yield f"  {gap.pages:>5}  {told}  ({', '.join(gap.services[:4])}; nearest {gap.nearest or 'nothing'})"
        yield from (f"         “{line(example, 110)}”" for example in gap.examples[:2] if words)
        yield from (f"         people wrote: {line(note, 140)}" for note in gap.notes[:1])
    if len(gaps) > MOST_GAPS:
        yield f"  and {len(gaps) - MOST_GAPS} more kinds of page: --format json has them all"
    yield "  `pagerunner runbooks new` asks what a runbook needs, and writes its skeleton."
