"""Less of a view for readers further away: what is left out is left out of the view, so no form of it can tell more.

``company`` leaves out what was received from outside and tenants' names. ``public`` keeps no free text at all: only
numbers, times, ids and words of our own closed lists pass; people, services and targets become roles and kinds.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.domain import wording
from bot.domain.edits import moment
from bot.domain.presentation import Redaction
from bot.domain.proposal import Debt, Effect, Plan
from bot.domain.redaction_names import LEFT_OUT, Names, tenants_in, without
from bot.domain.timeline import KINDS, Entry
from bot.domain.view import IncidentView, ProposalView
from diagnostics.model import Change, Diagnosis, Evidence, Finding, Reading
from diagnostics.series import RECORD
from knowledge.model import Retrieval

MODES = frozenset({
    "provider-outage", "provider-latency", "rate-limit-exceeded", "provider-capacity", "quota-exhausted",
    "credential-failure", "model-retired", "request-contract-break", "egress-failure", "gateway-overload",
    "gateway-misrouting", "retry-storm", "streaming-break", "dependency-break", "model-drift", "prompt-regression",
    "generation-config-regression", "context-overflow", "structured-output-break", "ungrounded-answers",
    "tool-backend-down", "tool-contract-drift", "agent-runaway", "agent-destructive-action", "embedding-mismatch",
    "vector-store-outage", "stale-index", "retrieval-regression", "prompt-injection", "guardrail-overblocking",
    "guardrail-bypass", "response-cache-crosstalk", "key-or-supply-chain-compromise", "data-leak",
    "safety-escalation", "prompt-cache-loss", "inference-saturation", "inference-bad-replica", "traffic-surge",
    "cost-spike", "moderation-backlog", "generation-queue-backlog", "telemetry-failure", "no-fault", "other",
})  # fmt: skip
"""Failure modes of the closed list, with or without a runbook yet, whose names tell nothing of anybody."""
_CHANGES = frozenset({
    "prompt", "model", "config", "gateway", "index", "tool", "secret", "guardrail", "dependency", "deploy", "network",
})  # fmt: skip
_WORDS = frozenset({
    *wording.OUTCOMES, *wording.EFFECT_VERDICTS, *MODES, *_CHANGES, *KINDS, "cause", "no_fault", "approve", "reject",
    "slack", "cli", "api", "terminal", "high", "low", "triggered", "acknowledged", "resolved", "reopened", "escalated",
    "note", "fused", "words", "hidden", "placed", "marked", "undone", "began", "sure", "normal", "abnormal",
    "inconclusive", "not_run", "error", "not_approver", "self_approval", "observe_mode", "frozen", "expired",
    "commander", "scribe", "comms", "pending", "accepted", "declined", "priority", "assign", "update", "snooze",
    "responder", "reassigned", "status_update", "bridge", "fields", "role",
})  # fmt: skip
_IDS = re.compile(r"(?:ev|pr|inc)-[0-9a-z-]{1,40}(?::(?:apply|revert))?|[0-9a-f]{64}", re.ASCII)
_PROBE = re.compile(r"[a-z][a-z0-9_]{1,40}", re.ASCII)
_RECEIVED: Mapping[str, tuple[str, ...]] = {"responder_added": ("text",), "fields_changed": ("lines",),
                                            "bridge_changed": ("lines",)}  # fmt: skip
"""Kind of fact -> keys with text of the page. A published status update was written for others to read."""
_ID_KEYS = frozenset({"proposal", "effect", "evidence", "plan_hash"})
_PROBE_KEYS = frozenset({"probe", "probes"})
_TIME_KEYS = frozenset({"occurred_at", "until", "at", "onset", "due_at"})


def redacted(view: IncidentView, level: Redaction) -> IncidentView:
    """The view for these readers."""
    if level == "internal":
        return view
    view = replace(view, room=None)  # Where people talked about it is for those who were there.
    found = tenants_in(view)
    view = _without_received(without(view, {name: f"tenant-{n}" for n, name in enumerate(found, start=1)}))
    return view if level == "company" else _Public(view).view()


def _without_received(view: IncidentView) -> IncidentView:
    """Without page bodies, provider replies, samples and what was matched in them."""
    return replace(
        view,
        findings=tuple(_finding_without_received(finding) for finding in view.findings),
        retrieval=_retrieval(view.retrieval, str, str),
        pages=(),
        timeline=tuple(_entry_without_received(entry) for entry in view.timeline),
    )


def _finding_without_received(finding: Finding) -> Finding:
    kept = tuple(replace(one, excerpt="", source=f"{LEFT_OUT} {one.source}") for one in finding.reading.evidence)
    reading = replace(finding.reading, evidence=kept, details=numbers(finding.reading.details))
    return replace(finding, reading=reading)


def _entry_without_received(entry: Entry) -> Entry:
    """A note in the pager is text of its page, and so is what fields hold and a request to help says."""
    data = entry.fact.data
    kept = {key: LEFT_OUT for key in ("note", *_RECEIVED.get(entry.fact.kind, ())) if data.get(key)}
    return replace(entry, fact=replace(entry.fact, data={**data, **kept})) if kept else entry


def _retrieval(retrieval: Retrieval | None, document: Any, title: Any) -> Retrieval | None:
    """What was found, with how it was found, and without the words that were found."""
    if retrieval is None:
        return None
    matches = tuple(
        replace(
            match, document=document(match.document), title=title(match.title), best_chunk="",
            reasons=tuple(replace(reason, text=f"by {reason.source}") for reason in match.reasons),
        )
        for match in retrieval.matches
    )  # fmt: skip
    notice = "" if document is not str else retrieval.notice
    return replace(retrieval, matches=matches, notice=notice, similar=())


def numbers(details: Mapping[str, Any]) -> dict[str, Any]:
    """Of plain JSON, the onset and the recorded numbers: a name in it could be anybody's."""
    kept: dict[str, Any] = {}
    if moment(details.get("onset")) is not None:
        kept["onset"] = details["onset"]
    record = details.get(RECORD)
    if isinstance(record, Mapping):
        series: dict[str, list[Any]] = {}
        for name, values in record.items():
            if isinstance(values, list | tuple):
                own = [value for value in values if isinstance(value, int | float)]
                series.setdefault(str(name).split(":", maxsplit=1)[0], []).extend(own)
        kept[RECORD] = {name: values for name, values in series.items() if re.fullmatch(r"[a-z0-9_.]{1,64}", name)}
    return kept


class _Public:
    """Makes the public view: every text is looked up, and what is not known is left out."""

    def __init__(self, view: IncidentView) -> None:
        self._view = view
        self._names = Names(view)
        self._books = {match.document: n for n, match in enumerate(view.retrieval.matches, 1)} if view.retrieval else {}
        self._modes: dict[str, str] = {}

    def view(self) -> IncidentView:
        """All of it."""
        view, names = self._view, self._names
        kind = view.service.kind if view.service is not None else "service"
        what = f"{kind} service" if view.service is not None else "service"
        incident = replace(
            view.incident, title=f"Page about the {what}", service=names.service(view.incident.service), team="team",
            channel="", key="", signature="", pager_ref="", pager_status="", source="pager",
        )  # fmt: skip
        retrieval = _retrieval(view.retrieval, self._book, lambda _: "A runbook")
        return replace(
            view, incident=incident, retrieval=retrieval, message=None, frozen="stopped" if view.frozen else "",
            service=names.shown_service(), team=names.shown_team(),
            running=tuple(self._probe(name) for name in view.running),
            findings=tuple(self._finding(finding) for finding in view.findings),
            diagnosis=self._diagnosis(view.diagnosis), proposals=tuple(map(self._proposal, view.proposals)),
            changes=tuple(self._change(n, change) for n, change in enumerate(view.changes, 1)),
            timeline=tuple(self._entry(entry) for entry in view.timeline),
        )  # fmt: skip

    def _finding(self, finding: Finding) -> Finding:
        outcome = self._word(finding.outcome)
        reading = finding.reading
        kept = Reading(
            outcome=outcome, summary=wording.outcome(outcome), value=reading.value, baseline=reading.baseline,
            n=reading.n, baseline_n=reading.baseline_n, p_value=reading.p_value, interval=reading.interval,
            power=reading.power, looks_back_s=reading.looks_back_s, tokens=reading.tokens, usd=reading.usd,
            details=numbers(reading.details),
            evidence=(Evidence(source=LEFT_OUT, excerpt=""),) if reading.evidence else (),
        )  # fmt: skip
        return replace(finding, probe=self._probe(finding.probe), service=self._names.service(finding.service),
                       params={}, outcome=outcome, reading=kept)  # fmt: skip

    def _diagnosis(self, diagnosis: Diagnosis | None) -> Diagnosis | None:
        if diagnosis is None:
            return None
        ranked = tuple(
            replace(
                each, mode=self._mode(each.mode), title=self._mode(each.mode).replace("-", " "),
                arguments=tuple(
                    replace(a, probe=self._probe(a.probe), outcome=self._word(a.outcome)) for a in each.arguments
                ),
            )
            for each in diagnosis.ranked
        )  # fmt: skip
        return replace(
            diagnosis, ranked=ranked, causes=tuple(map(self._mode, diagnosis.causes)),
            reason=self._word(diagnosis.reason) if diagnosis.reason else "",
            next_probes=tuple(replace(each, probe=self._probe(each.probe)) for each in diagnosis.next_probes),
        )  # fmt: skip

    def _proposal(self, pv: ProposalView) -> ProposalView:
        plan, names = pv.proposal.plan, self._names
        kept: Plan = replace(
            plan, action=plan.action if _PROBE.fullmatch(plan.action) else "http_action", params={}, target="a target",
            pre_state={}, post_state={}, diff=(), undo=LEFT_OUT, blast_radius=LEFT_OUT,
            verify_probe=self._probe(plan.verify_probe), verify_outcome=self._word(plan.verify_outcome),
            policy_version="", approver_team="of the service" if plan.approver_team else "",
            runbook=self._book(plan.runbook.split("#", maxsplit=1)[0]), runbook_revision="", instructions="",
        )  # fmt: skip
        proposal = replace(
            pv.proposal, plan=kept, proposed_by=names.actor(pv.proposal.proposed_by), rationale=LEFT_OUT,
            withheld=LEFT_OUT if pv.proposal.withheld else "",
        )  # fmt: skip
        votes = tuple(replace(v, principal=names.actor(v.principal), name=names.person(v.principal)) for v in pv.votes)
        return replace(pv, proposal=proposal, votes=votes, apply=_effect(pv.apply), revert=_effect(pv.revert),
                       awaited=(), debt=self._debt(pv.debt))  # fmt: skip

    def _debt(self, debt: Debt | None) -> Debt | None:
        if debt is None:
            return None
        names, reviewed = self._names, debt.reviewed_by
        return replace(
            debt, service=names.service(debt.service), team="of the service", principal=names.actor(debt.principal),
            name=names.person(debt.principal), reason=LEFT_OUT, note=LEFT_OUT if debt.note else "",
            reviewed_by=names.actor(reviewed) if reviewed else "", reviewer=names.person(reviewed) if reviewed else "",
        )  # fmt: skip

    def _change(self, number: int, change: Change) -> Change:
        kind = change.kind if change.kind in _CHANGES else "other"
        return replace(change, id=f"change-{number}", kind=kind, service=self._names.service(change.service),
                       summary=f"A change of kind {kind}", before="", after="",
                       actor="Engineer" if change.actor else "")  # fmt: skip

    def _entry(self, entry: Entry) -> Entry:
        actor = entry.fact.actor
        data = {key: self._value(key, value) for key, value in entry.fact.data.items() if key in _SHOWN_KEYS}
        for key in ("by", "name"):
            if entry.fact.data.get(key):
                data[key] = self._names.person(actor)
        fact = replace(entry.fact, actor=self._names.actor(actor), data=data)
        return replace(entry, fact=fact)

    def _value(self, key: str, value: Any) -> Any:
        """A value of a fact, if it is a number, a time, an id or a word of ours; otherwise that it is left out."""
        if value is None or isinstance(value, bool | int | float) or value in ("", [], (), {}):
            return value
        if key in ("matches", "passed_over", "files"):
            return []
        if isinstance(value, list | tuple):
            return [self._value(key, each) for each in value]
        if isinstance(value, Mapping):
            return {k: self._value(str(k), v) for k, v in value.items() if k in ("mode", "probability")}
        text = str(value)
        if key in _TIME_KEYS and moment(value) is not None:
            return value
        known = (
            text in _WORDS
            or (key in _ID_KEYS and _IDS.fullmatch(text) is not None)
            or (key in _PROBE_KEYS and text == self._probe(text))
        )
        if key in ("mode", "causes", "leader", "ranked"):
            return self._mode(text)
        return text if known else LEFT_OUT

    def _probe(self, name: str) -> str:
        return name if _PROBE.fullmatch(name) else "a_probe"

    def _word(self, word: str) -> str:
        return word if word in _WORDS else "other"

    def _mode(self, mode: str) -> str:
        """A failure mode of the built-in library, or ``cause-N`` for one of the company's own."""
        return mode if mode in MODES else self._modes.setdefault(mode, f"cause-{len(self._modes) + 1}")

    def _book(self, document: str) -> str:
        return document if document in MODES else f"runbook-{self._books.setdefault(document, len(self._books) + 1)}"


_SHOWN_KEYS = frozenset({
    *_ID_KEYS, *_PROBE_KEYS, *_TIME_KEYS, "title", "urgency", "number", "matches", "outcome", "summary", "conclusion",
    "leader", "probability", "ranked", "causes", "passed_over", "text", "decision", "via", "denied", "verdict",
    "reason", "entry", "state", "label", "role", "round", "attempt", "rationale", "detail", "why", "kind", "service",
    "team", "answer", "what", "due_at",
})  # fmt: skip
"""Keys of facts that a sentence needs; the value of each is looked up all the same."""


def _effect(effect: Effect | None) -> Effect | None:
    return None if effect is None else replace(effect, detail="")
