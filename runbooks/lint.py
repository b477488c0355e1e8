"""Checks a parsed runbook against what exists: probes, outcomes, actions, parameters, services; says what to write.

It knows what a probe and an action *are*, never what they do: the registries are handed in.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from config.catalogue import Catalogue, Service
from runbooks.front_matter import is_person, nearest
from runbooks.model import ActionSpec, ActionStep, ProbeSignature, Problem, Runbook, VerifyStep
from runbooks.parameters import ParameterFault, faults
from runbooks.parse import Key, Parsed
from runbooks.phrases import alike
from runbooks.resolve import applies

_OTHER_TEMPLATES = re.compile(r"\{\{|\{%|\$\{|\$\(|%\([a-z_]+\)s")
_ORDER = {"error": 0, "warning": 1, "hint": 2}


def lint(
    parsed: Parsed,
    *,
    probes: Mapping[str, ProbeSignature],
    actions: Mapping[str, ActionSpec],
    catalogue: Catalogue | None = None,
    runbook_ids: Collection[str] | None = None,
    today: date | None = None,
) -> tuple[Problem, ...]:
    """Everything wrong with one file, what the parser found included, in order of line; hints last. What is not handed
    in (catalogue, the ids of all runbooks, today) is not checked."""
    problems = list(parsed.problems)
    if parsed.runbook is not None:
        check = _Check(parsed, parsed.runbook, probes, actions, catalogue)
        problems += check.problems(runbook_ids, today)
    return tuple(
        sorted(dict.fromkeys(problems), key=lambda p: (p.severity == "hint", p.line, p.column, _ORDER[p.severity]))
    )


def lint_all(
    files: Sequence[Parsed],
    *,
    probes: Mapping[str, ProbeSignature],
    actions: Mapping[str, ActionSpec],
    catalogue: Catalogue | None = None,
    today: date | None = None,
) -> tuple[Problem, ...]:
    """:func:`lint` over a whole library, and what only shows when files are seen together."""
    runbooks = [parsed.runbook for parsed in files if parsed.runbook is not None]
    ids = {runbook.id for runbook in runbooks}
    problems: list[Problem] = []
    for parsed in files:
        problems += lint(parsed, probes=probes, actions=actions, catalogue=catalogue, runbook_ids=ids, today=today)
    return (*problems, *duplicates(runbooks))


def duplicates(runbooks: Sequence[Runbook]) -> Iterator[Problem]:
    """One problem for each file whose id another file claims too, naming both."""
    first: dict[str, Runbook] = {}
    for runbook in runbooks:
        other = first.setdefault(runbook.id, runbook)
        if other is not runbook:
            message = f"two files claim the id {runbook.id!r}: {other.path} and {runbook.path}"
            yield Problem(
                file=runbook.path,
                line=1,
                column=1,
                rule="duplicate-id",
                message=message,
                suggestion="rename one of them",
            )


def could_earn(book: Runbook) -> Iterator[tuple[str, str]]:
    """What a runbook could earn next, and what to add for it."""
    few = bool(book.pages) and len(book.pages) < 3
    offers = (
        (not book.pages, "retrieval tests",
         "add 'pages' with what such pages really say: it is found by them, and `runbooks test` tries each"),
        (few, "retrieval tests", "add a few more 'pages'; three to ten wordings find it well"),
        (bool(book.pages) and not book.not_pages, "sharper retrieval tests",
         "add 'not_pages' for pages that look alike and belong elsewhere"),
        (not book.evidence, "diagnosis", "add 'evidence' so that probes can speak for or against this cause"),
        (not book.probes, "diagnosis", "add a ```probe block so that the deciding check runs by itself"),
        (not book.actions, "automation", "add an ```action block so that a mitigation can be proposed"),
        (book.reviewed is None, "reminders",
         "add 'reviewed' and 'review_every' so that lint tells when it is out of date"),
    )  # fmt: skip
    yield from ((prize, advice) for missing, prize, advice in offers if missing)


@dataclass(frozen=True, slots=True)
class _Check:
    parsed: Parsed
    runbook: Runbook
    probes: Mapping[str, ProbeSignature]
    actions: Mapping[str, ActionSpec]
    catalogue: Catalogue | None

    def problems(self, runbook_ids: Collection[str] | None, today: date | None) -> Iterator[Problem]:
        if not self.runbook.executable:
            yield self._found(
                (), "plain", "plain Markdown: it is found and quoted, never executed",
                "add front matter with 'title' and 'owner' to let it hold probes and actions: "
                f"`pagerunner runbooks new --from {self.parsed.file}`", "hint",
            )  # fmt: skip
            return
        yield from self._evidence()
        yield from self._probe_blocks()
        for step in self.runbook.actions:
            yield from self._action(step)
        yield from self._pages(runbook_ids)
        yield from self._scope()
        yield from self._review(today)
        yield from self._could_earn()

    # --- what is named ---

    def _evidence(self) -> Iterator[Problem]:
        for probe, outcomes in self.runbook.evidence.items():
            signature = self.probes.get(probe)
            if signature is None:
                yield self._unknown(("evidence", probe), "probe", probe, self.probes)
                continue
            for outcome in outcomes:
                if outcome not in signature.outcomes:
                    yield self._outcome(("evidence", probe, outcome), probe, outcome)
        words = {word for outcomes in self.runbook.evidence.values() for word in outcomes.values()}
        if words and "usual" not in words:
            yield self._found(
                ("evidence",), "nothing-usual", "no outcome is 'usual': nothing would make this cause likely",
                "say what the probes usually show when this is the cause", "warning",
            )  # fmt: skip

    def _probe_blocks(self) -> Iterator[Problem]:
        for step in self.runbook.probes:
            signature = self.probes.get(step.probe)
            if signature is None:
                yield self._unknown(("block", step.line), "probe", step.probe, self.probes)
            else:
                found = faults(step.params, signature.params, self._services(), self.catalogue)
                yield from self._parameters(step.line, found, step.params)

    def _action(self, step: ActionStep) -> Iterator[Problem]:
        spec = self.actions.get(step.action)
        if spec is None:
            yield self._unknown(("block", step.line), "action", step.action, self.actions)
        else:
            found = faults(step.params, spec.params, self._services(), self.catalogue)
            yield from self._parameters(step.line, found, step.params)
            if step.min_risk is not None and step.min_risk < spec.risk:
                message = f"risk {step.min_risk} is milder than {spec.risk}, which {step.action!r} has"
                yield self._found(("block", step.line, "@risk"), "risk", message, "a runbook can only make it stricter")
            if step.lease_s is not None and not spec.leasable:
                message = f"{step.action!r} cannot be reverted after a time"
                yield self._found(("block", step.line, "@lease"), "lease", message, "remove the lease")
        if step.verify is not None:
            yield from self._verify(step.line, step.verify)
        elif not step.unverified and (spec is None or spec.risk != "R0"):
            yield self._found(
                ("block", step.line), "no-verify", f"nothing says how to see that {step.action!r} helped",
                "add a line such as 'verify: gateway_canary is ok within 5m', or 'unverified:' with the reason",
            )  # fmt: skip

    def _verify(self, line: int, verify: VerifyStep) -> Iterator[Problem]:
        place = ("block", line, "@verify")
        if verify.probe not in self.probes:
            yield self._unknown(place, "probe", verify.probe, self.probes)
        elif verify.outcome not in self.probes[verify.probe].outcomes:
            yield self._outcome(place, verify.probe, verify.outcome)

    def _parameters(self, line: int, found: Sequence[ParameterFault], params: Mapping[str, Any]) -> Iterator[Problem]:
        for fault in found:
            yield self._found(("block", line, *fault.path), fault.rule, fault.message, fault.suggestion, fault.severity)
        for name, value in params.items():
            if isinstance(value, str) and _OTHER_TEMPLATES.search(value):
                yield self._found(
                    ("block", line, name), "literal-template", f"{value!r} stays exactly this text",
                    "'$service.name' is the only substitution", "warning",
                )  # fmt: skip

    # --- where it belongs ---

    def _pages(self, runbook_ids: Collection[str] | None) -> Iterator[Problem]:
        own: list[tuple[Key, str]] = [(("pages", number), text) for number, text in enumerate(self.runbook.pages)]
        own += [(("reports", number), text) for number, text in enumerate(self.runbook.reports)]
        for where, earlier in alike(own):
            yield self._found(
                where, "alike-pages", f"nearly the same words as {earlier!r}: each finds the other one",
                "say it in another voice, or remove one of them", "warning",
            )  # fmt: skip
        seen = {text.casefold() for _, text in own}
        for number, entry in enumerate(self.runbook.not_pages):
            place = ("not_pages", number, "belongs_to")
            if entry.belongs_to == self.runbook.id:
                yield self._found(
                    place, "belongs-to-itself", "a page that belongs to this very runbook", "move it to 'pages'"
                )
            elif runbook_ids is not None and entry.belongs_to not in runbook_ids:
                yield replace(self._unknown(place, "runbook", entry.belongs_to, runbook_ids), severity="warning")
            if entry.text.casefold() in seen:
                yield self._found(
                    ("not_pages", number, "text"),
                    "page-and-not-page",
                    "the same phrase stands in 'pages' or 'reports'",
                    "keep it where it belongs, and remove the other",
                    "warning",
                )

    def _scope(self) -> Iterator[Problem]:
        if self.catalogue is None:
            return
        if not is_person(self.runbook.owner) and self.catalogue.team(self.runbook.owner) is None:
            teams = [team.name for team in self.catalogue.teams]
            yield replace(self._unknown(("owner",), "team", self.runbook.owner, teams), severity="warning")
        tags = {tag for service in self.catalogue.services for tag in service.tags}
        known = {"*", *(s.name for s in self.catalogue.services), *tags, *(f"tag:{tag}" for tag in tags)}
        for number, scope in enumerate(self.runbook.services):
            if scope not in known:
                problem = self._unknown(("services", number), "service or tag", scope, known)
                yield replace(problem, severity="warning")
        if not self._services():
            yield self._found(
                ("services",), "no-service", "no service of the catalogue is meant",
                "widen 'services' or 'kinds', or declare the service in the catalogue", "warning",
            )  # fmt: skip

    def _review(self, today: date | None) -> Iterator[Problem]:
        reviewed, every = self.runbook.reviewed, self.runbook.review_every_days
        if reviewed is None or today is None:
            return
        if reviewed > today:
            yield self._found(
                ("reviewed",), "reviewed", f"{reviewed} is in the future",
                f"write the day it was read, such as {today}", "warning",
            )  # fmt: skip
        elif every is not None and reviewed + timedelta(days=every) < today:
            late = (today - reviewed).days - every
            yield self._found(
                ("reviewed",), "overdue-review", f"its review is overdue by {late} days",
                "read it, correct it, and set 'reviewed' to today", "warning",
            )  # fmt: skip

    def _could_earn(self) -> Iterator[Problem]:
        for prize, advice in could_earn(self.runbook):
            yield self._found((), "could-earn", f"this runbook could earn {prize}", advice, "hint")

    # --- saying it ---

    def _services(self) -> tuple[Service, ...]:
        services = self.catalogue.services if self.catalogue else ()
        return tuple(service for service in services if applies(self.runbook, service))

    def _unknown(self, place: Key, what: str, name: str, known: Collection[str]) -> Problem:
        rule = f"unknown-{what.split(' ', maxsplit=1)[0]}"
        advice = nearest(name, known) or f"there is none yet: declare the {what} first"
        return self._found(place, rule, f"there is no {what} {name!r}", advice)

    def _outcome(self, place: Key, probe: str, outcome: str) -> Problem:
        known = self.probes[probe].outcomes
        return self._found(place, "unknown-outcome", f"{probe!r} never reports {outcome!r}", nearest(outcome, known))

    def _found(
        self,
        place: Key,
        rule: str,
        message: str,
        suggestion: str,
        severity: Literal["error", "warning", "hint"] = "error",
    ) -> Problem:
        line, column = self.parsed.place(place)
        return Problem(
            file=self.parsed.file, line=line, column=column, rule=rule,
            message=message, severity=severity, suggestion=suggestion,
        )  # fmt: skip
