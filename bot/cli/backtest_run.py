"""What the pages of the past would have met: which service, team and runbook, and which probes could not have run."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.cli.runbook_gaps import GOOD_BELIEF
from bot.domain import searching
from bot.domain.clusters import clusters
from bot.domain.page import Page
from bot.edges.history_records import Past
from config.catalogue import Catalogue, Service
from diagnostics import golden
from diagnostics.baseline import EVERY
from diagnostics.model import ProbeSpec
from knowledge.model import Librarian, Retrieval
from runbooks.model import Library, Runbook, RunbookError
from runbooks.resolve import resolve

UNMAPPED = "unmapped"
MOST_NOTES = 3
_LACKS: Mapping[str, str] = {
    "prometheus": "no metrics: the service names no Prometheus",
    "golden_set": "no golden set",
    "gateway": "no target: the service names no gateway",
    "fallback_provider": "no target: the service names no second provider",
    "index": "no target: the service names no index",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cannot:
    """A probe that could not have run for a service, or would have had nothing to compare with."""

    probe: str
    why: str
    runs: bool = False
    """It runs all the same, and may end inconclusive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One page of the past. Texts are untrusted."""

    at: datetime | None
    """None: the file does not say."""
    ref: str
    number: int | None
    title: str
    pagerduty_service: str
    service: str
    """Name in the catalogue, or ``unmapped``."""
    team: str
    channel: str
    runbook: str
    score: float
    belief: float
    good: bool
    """Whether the first runbook has enough of the belief to count as found."""
    why: tuple[str, ...]
    cannot: tuple[Cannot, ...]
    """Of the probes that this runbook goes by."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Pages without a good runbook that say much the same: something to write."""

    words: tuple[str, ...]
    pages: int
    services: tuple[str, ...]
    examples: tuple[str, ...]
    nearest: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Backtest:
    """All of it."""

    rows: tuple[Row, ...]
    services: Mapping[str, tuple[Cannot, ...]] = field(default_factory=dict)
    """Service -> probes of any runbook that could not have run."""
    strangers: Mapping[str, int] = field(default_factory=dict)
    """PagerDuty services that no service of the catalogue names -> pages."""
    gaps: tuple[Gap, ...] = ()

    def counts(self, of: Callable[[Row], str]) -> dict[str, tuple[int, int]]:
        """Group -> pages, and those with a good runbook; the largest first."""
        pages = Counter(of(row) for row in self.rows)
        good = Counter(of(row) for row in self.rows if row.good)
        return {name: (count, good[name]) for name, count in sorted(pages.items(), key=lambda i: (-i[1], i[0]))}


@dataclass(frozen=True, kw_only=True)
class Tester:
    """Meets each page with what is in use here."""

    catalogue: Catalogue
    library: Library
    librarian: Librarian
    specs: Mapping[str, ProbeSpec]
    golden_root: Path
    recorded: Mapping[str, frozenset[str]] | None
    """Service -> what baselines are recorded of; None: there is no database here, as before an installation."""
    _met: dict[tuple[str, str, str], Retrieval] = field(default_factory=dict)
    _lacking: dict[str, tuple[Cannot, ...]] = field(default_factory=dict)

    def report(self, rows: Sequence[Row]) -> Backtest:
        """The rows, and what they come to."""
        names = sorted({row.service for row in rows if row.service != UNMAPPED})
        known = [(name, self.catalogue.service(name)) for name in names]
        strangers = Counter(row.pagerduty_service for row in rows if row.service == UNMAPPED)
        return Backtest(
            rows=tuple(rows), services={name: self._lacks(one) for name, one in known if one is not None},
            strangers=dict(strangers.most_common()), gaps=tuple(_gaps([row for row in rows if not row.good])),
        )  # fmt: skip

    def row(self, past: Past) -> Row:
        """What this page would have met."""
        service = self.service(past)
        page, found = past.page, self._search(past.page, service)
        team = self.catalogue.team(service.team) if service else None
        best = found.matches[0] if found.matches else None
        book = self.library.get(best.document) if best else None
        return Row(
            at=page.occurred_at if past.dated else None, ref=page.incident_ref, number=page.number, title=page.title,
            pagerduty_service=" ".join(part for part in (page.service_ref, past.service_title) if part),
            service=service.name if service else UNMAPPED, team=team.name if team else "",
            channel=team.slack_channel if team else self.catalogue.fallback_channel,
            runbook=best.document if best else "", score=best.score if best else 0.0,
            belief=best.prior if best else 0.0, good=best is not None and best.prior >= GOOD_BELIEF,
            why=tuple(f"{r.source}: {r.text}" for r in best.reasons) if best else (),
            cannot=tuple(self._of(book, service)) if book and service else (), notes=past.notes[:MOST_NOTES],
        )  # fmt: skip

    def service(self, past: Past) -> Service | None:
        """The service of the catalogue that it is about."""
        page = past.page
        found = self.catalogue.service(past.service) if past.service else None
        found = found or self.catalogue.service_of_pagerduty(page.service_ref)
        return found or self.catalogue.service(page.service_name)

    def _search(self, page: Page, service: Service | None) -> Retrieval:
        """Many pages say the same: each text is searched for once."""
        key = (service.name if service else "", page.title, page.body)
        if key not in self._met:
            self._met[key] = self.librarian.search(searching.query(page.title, service, [page]), limit=3)
        return self._met[key]

    def _of(self, book: Runbook, service: Service) -> Iterator[Cannot]:
        """The probes that this runbook goes by, as far as they could not run."""
        own = {step.probe for step in book.probes} | set(book.evidence)
        yield from (one for one in self._lacks(service) if one.probe in own)
        for step in book.probes:
            try:
                resolve(step.params, service, self.catalogue)
            except RunbookError as error:
                yield Cannot(probe=step.probe, why=str(error))

    def _lacks(self, service: Service) -> tuple[Cannot, ...]:
        if service.name not in self._lacking:
            found = [self._cannot(spec, service) for spec in self.specs.values()]
            self._lacking[service.name] = tuple(one for one in found if one is not None)
        return self._lacking[service.name]

    def _cannot(self, spec: ProbeSpec, service: Service) -> Cannot | None:
        missing = [name for name in spec.applies if not getattr(service, name, None)]
        if missing:
            why = "; ".join(_LACKS.get(name, f"the service has no {name}") for name in missing)
            return Cannot(probe=spec.name, why=why)
        provider = self.catalogue.provider(service.provider)
        if spec.name == "status_page" and provider is not None and provider.status is None:
            return Cannot(probe=spec.name, why=f"no target: {provider.name} declares no status page")
        if "golden_set" in spec.applies:
            try:
                golden.load(self.golden_root / service.golden_set)
            except (golden.GoldenError, OSError) as error:
                return Cannot(probe=spec.name, why=f"its golden set cannot be used: {error}")
        recorded = (self.recorded or {}).get(service.name, frozenset())
        if spec.name in EVERY and spec.name not in recorded:
            return Cannot(probe=spec.name, why="no baseline is recorded to compare with", runs=True)
        return None


def _gaps(rows: Sequence[Row]) -> Iterator[Gap]:
    for cluster in clusters([row.title for row in rows]):
        own = [rows[number] for number in cluster.members]
        near = Counter(f"{row.runbook} {row.belief:.0%}" for row in own if row.runbook)
        notes = dict.fromkeys(note for row in own for note in row.notes)
        yield Gap(
            words=cluster.words, pages=len(own), services=tuple(dict.fromkeys(row.service for row in own)),
            examples=tuple(dict.fromkeys(row.title for row in own))[:3],
            nearest=near.most_common(1)[0][0] if near else "", notes=tuple(notes)[:2],
        )  # fmt: skip


def plain(report: Backtest) -> dict[str, Any]:
    """As JSON."""
    from dataclasses import asdict  # noqa: PLC0415

    rows = [{**asdict(row), "at": row.at.isoformat() if row.at else None} for row in report.rows]
    return {
        "pages": len(rows), "with_a_good_runbook": sum(row.good for row in report.rows),
        "good_from_belief": GOOD_BELIEF, "rows": rows,
        "by_service": {n: {"pages": p, "good": g} for n, (p, g) in report.counts(lambda row: row.service).items()},
        "by_runbook": {n: {"pages": p, "good": g} for n, (p, g) in report.counts(lambda row: row.runbook).items()},
        "cannot_run": {name: [asdict(one) for one in these] for name, these in report.services.items()},
        "not_in_the_catalogue": dict(report.strangers), "gaps": [asdict(gap) for gap in report.gaps],
    }  # fmt: skip
