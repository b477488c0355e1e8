"""Incidents for the exports: one with a fact of every kind, one in which every foreign text attacks, a long one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bot.domain import codec
from bot.domain.incident import Status
from bot.domain.proposal import Effect, EffectState
from bot.domain.timeline import Entry, Fact, Provenance, link
from bot.domain.view import IncidentView, ProposalView
from diagnostics.model import Finding
from tests import view_samples
from tests.view_samples import INCIDENT, PLAN, at

O, H, C, R = Provenance.OBSERVED, Provenance.HUMAN, Provenance.COMPUTED, Provenance.RETRIEVED  # noqa: E741
ANA, LOCAL, PAGER, US = "slack:T0/U0ANA", "local:root", "pagerduty:PDANA01", "pagerunner"
PR = "pr-51c0de"

Told = tuple[float, str, Provenance, str, Mapping[str, Any]]


def told(minutes: float, kind: str, provenance: Provenance, actor: str, /, **data: Any) -> Told:
    return (minutes, kind, provenance, actor, data)


def page(kind: str, minutes: float, /, **data: Any) -> Told:
    values = {"event_id": "01E", "kind": "triggered", "ref": "Q2PQ7M1", "title": INCIDENT.title, "urgency": "high",
              "priority": "", "people": [], "merged_into": "", "note": "",
              "occurred_at": at(minutes - 0.2).isoformat()}  # fmt: skip
    return told(minutes, kind, O, PAGER, **{**values, **data})


def probe_finished(finding: Finding, minutes: float) -> Told:
    return told(minutes, "probe_finished", O, US, evidence=finding.id, probe=finding.probe, outcome=finding.outcome,
                verdict=finding.verdict.value, summary=finding.reading.summary, round=finding.round)  # fmt: skip


FACTS: tuple[Told, ...] = (
    page("page_received", 0),
    told(0, "incident_opened", C, US, service="chat-assistant", team="assist", title=INCIDENT.title, investigate=True),
    page("page_joined", 0.5),
    page("page_stale", 0.6, occurred_at=at(-9000).isoformat()),
    told(0.7, "investigation_started", C, US, number=1),
    told(0.8, "runbooks_retrieved", R, US, mode="fused", notice="searched by words alone",
         matches=[{"runbook": "provider-outage", "title": "Model provider is failing", "score": 0.91}]),
    told(0.9, "probe_started", C, US, probe="user_signal"),
    *(probe_finished(finding, 1 + 0.05 * n) for n, finding in enumerate(view_samples.OUTAGE_FINDINGS)),
    told(2, "hint_given", H, ANA, text="it began with the deploy", by="Ana Ruiz", why="a person gave a hint"),
    told(2.9, "diagnosis_made", C, US, conclusion="cause", causes=["provider-outage"], reason="sure",
         ranked=[{"mode": "provider-outage", "probability": 0.97}]),
    told(2.9, "investigation_ended", C, US, conclusion="cause", reason="sure",
         passed_over=[{"step": "provider-outage#1-clamp-retries", "why": "the target refused"}]),
    told(2.95, "proposal_withheld", C, US, proposal="pr-0", rationale="observe", withheld="observe mode"),
    told(3, "proposal_made", C, US, proposal=PR, plan_hash=PLAN.hash, rationale="Fail over", withheld=""),
    told(3.1, "proposal_superseded", C, US, proposal="pr-0"),
    told(3.2, "proposal_expired", C, US, proposal="pr-00", why="nobody decided"),
    told(3.3, "vote_denied", H, LOCAL, proposal=PR, decision="approve", name="root", via="cli", denied="not_approver",
         why="you are not in the team"),
    told(3.4, "proposal_rejected", H, ANA, proposal="pr-000", name="Ana Ruiz", reason="too early"),
    told(3.5, "incident_acknowledged", H, ANA, by="Ana Ruiz"),
    told(3.6, "question_asked", H, ANA, text="why?", by="Ana Ruiz"),
    told(3.6, "question_answered", C, US, text="Model provider is failing"),
    told(3.7, "frozen", H, ANA, service="*", reason="change freeze", by="Ana Ruiz"),
    told(3.8, "effect_held", C, US, proposal=PR, why="frozen by Ana Ruiz: change freeze"),
    told(3.9, "unfrozen", H, ANA, service="*", reason="over", by="Ana Ruiz"),
    told(4, "vote_cast", H, ANA, proposal=PR, decision="approve", name="Ana Ruiz", via="slack", reason="go"),
    told(4, "proposal_approved", H, ANA, proposal=PR, plan_hash=PLAN.hash),
    told(4.1, "effect_claimed", C, US, proposal=PR, effect=f"{PR}:apply"),
    told(4.2, "effect_applied", C, US, proposal=PR, effect=f"{PR}:apply", detail="version 7 became 8", observed={}),
    told(4.3, "effect_failed", C, US, proposal="pr-00", effect="pr-00:apply", detail="refused"),
    told(4.3, "effect_conflict", C, US, proposal="pr-00", effect="pr-00:revert", detail="drifted"),
    told(4.3, "effect_unknown", C, US, proposal="pr-00", effect="pr-00:apply", detail="interrupted"),
    told(4.4, "verification_started", C, US, probes=["gateway_canary", "user_signal"], attempt=1),
    *(probe_finished(finding, 6.8) for finding in view_samples.AFTER),
    told(7, "verification_made", C, US, proposal=PR, verdict="better", reason="5 of 5 canaries answered",
         evidence=["ev-00000003", "ev-00000014", "ev-00000001", "ev-00000015"]),
    told(7.2, "users_recovered", C, US, proposal=PR, reason="0 % of 64 requests failed", evidence=["ev-after"]),
    told(7.4, "users_not_recovered", C, US, proposal=PR, reason="users still fail", evidence=["ev-after"]),
    told(7, "lease_started", C, US, proposal=PR, until=at(67).isoformat()),
    told(8, "incident_escalated", H, ANA, by="Ana Ruiz"),
    told(9, "note_added", H, ANA, text="customers were told", by="Ana Ruiz"),
    told(10, "person_did", H, ANA, text="raised the quota with the vendor", by="Ana Ruiz"),
    told(11, "manual_done", H, ANA, proposal="pr-m", name="Ana Ruiz"),
    page("pager_changed", 12, kind="note", note="on it"),
    told(13, "alarm", C, US, undeliverable="card", lane="slack", why="channel not found"),
    told(13.5, "foreign_team", O, "slack:T0OTHER", team="T0OTHER", app="A0OTHER"),
    page("incident_resolved", 30, kind="resolved"),
    page("incident_reopened", 31, kind="reopened"),
    told(40, "incident_resolved", H, ANA, by="Ana Ruiz"),
    told(64, "lease_ended", C, US, proposal=PR, asked=False, why=""),
    told(64.1, "effect_reverted", C, US, proposal=PR, effect=f"{PR}:revert", detail="version 8 became 9"),
    told(65, "exported", C, US, files=["inc-7f3a2c.md"]),
    told(65, "incident_closed", C, US),
    told(70, "entry_hidden", H, ANA, entry=47, state="hidden", by="Ana Ruiz", why="says nothing"),
    told(71, "entry_annotated", H, ANA, entry=57, text="it had begun before that", by="Ana Ruiz"),
    told(72, "entry_placed", H, ANA, entry=85, state="placed", at=at(6).isoformat(), by="Ana Ruiz", why="late note"),
    told(73, "key_moment", H, ANA, entry=66, state="marked", label="first vote", role="", by="Ana Ruiz"),
    told(73.2, "role_taken", H, ANA, role="scribe", holder="Ben", by="Ana Ruiz"),
    told(73.3, "handed_over", H, ANA, holder="Ben", by="Ana Ruiz"),
    told(73.4, "responder_requested", H, ANA, target="Dana", why="knows the gateway", by="Ana Ruiz"),
    told(73.5, "snoozed", H, ANA, until=at(90).isoformat(), by="Ana Ruiz", pager=True),
    told(73.6, "message_added", H, ANA, text="the vendor called back", by="Ana Ruiz", said_at=at(20).isoformat(),
         link="", channel="C0ASSIST", ts="1763812800.000200", added_by="Ben"),
    told(73.7, "followup_added", H, ANA, text="raise the quota of acme-openai, see ev-00000002", owner="Ben Okafor",
         by="Ana Ruiz"),
    told(73.8, "issues_requested", H, ANA, entries=[109], repository="acme/assistants", redaction="company",
         plan_hash=PLAN.hash, by="Ana Ruiz"),
    told(73.9, "issue_created", O, US, entry=109, issue="acme/assistants#12", repository="acme/assistants",
         url="https://github.com/acme/assistants/issues/12"),
    told(74, "verdict_given", H, ANA, verdict="right_cause", runbook="provider-outage", by="Ana Ruiz"),
    told(75, "message_added", H, ANA, text="users write to us", by="Ana Ruiz", said_at=at(5).isoformat()),
    told(75, "responder_requested", H, ANA, target="Ben Okafor", why="help", by="Ana Ruiz"),
    told(75, "snoozed", H, ANA, until=at(90).isoformat(), by="Ana Ruiz"),
    told(75, "role_taken", H, ANA, role="comms", holder="Ben Okafor", by="Ana Ruiz"),
    told(75, "handed_over", H, ANA, holder="Ben Okafor", by="Ana Ruiz"),
    page("priority_changed", 76, kind="priority", priority="P1", to="P1"),
    page("assignees_changed", 76, kind="reassigned", people=["Ben Okafor"], to="Ben Okafor", policy="Assist"),
    page("pager_noted", 76, kind="note", note="the vendor knows"),
    page("responder_added", 76, kind="responder", person="Mei Tanaka", answer="pending", policy="Data", text="help us"),
    page("responder_replied", 77, kind="responder", person="Mei Tanaka", answer="accepted", policy="Data"),
    page("status_update_published", 77, kind="status_update", text="We work on it."),
    page("bridge_changed", 77, kind="bridge", lines=["https://meet.example/inc-1"]),
    page("fields_changed", 77, kind="fields", lines=["environment: production"]),
    page("pager_role_given", 77, kind="role", person="Mei Tanaka", about="Incident Commander"),
    page("pager_echoed", 77, kind="priority", priority="P2", by="Ana Ruiz", to="P2"),
    told(78, "priority_requested", H, ANA, to="P2", by="Ana Ruiz"),
    told(78, "reassignment_requested", H, ANA, to="Ben Okafor", by="Ana Ruiz"),
    told(78, "pager_told", O, US, what="priority", ref="Q1", priority="P2", to="P2", by="Ana Ruiz",
         occurred_at=at(78).isoformat()),
    told(79, "update_due", C, US, due_at=at(79).isoformat()),
    told(80, "update_sent", H, ANA, text="Some requests fail. We work on it.", by="Ana Ruiz", to=["PagerDuty Q1"]),
    told(80, "glass_broken", H, ANA, proposal=PR, name="Ana Ruiz", reason="nobody else answers", team="assist"),
    told(80, "review_denied", H, ANA, proposal=PR, name="Ana Ruiz", why="nobody reviews their own"),
    told(80, "debt_reviewed", H, "slack:T0/U0BEN", proposal=PR, name="Ben Okafor", note="it was right"),
    told(80, "link_made", H, LOCAL, link="ln-0a1b2c3d", label="root on box", by=LOCAL),
    told(80, "link_claimed", H, ANA, link="ln-0a1b2c3d", label="root on box", name="Ana Ruiz"),
    told(80, "link_confirmed", H, LOCAL, link="ln-0a1b2c3d", label="root on box", name="Ana Ruiz"),
    told(80, "link_refused", H, ANA, name="Ana Ruiz", why="the code is not valid"),
    told(80, "link_ended", H, ANA, link="ln-0a1b2c3d", label="root on box", by="Ana Ruiz"),
    told(80, "runbook_used", C, US, runbook="provider-outage", library="company", file="oncall/provider-outage.md",
         commit="1a2b3c4d5e6f" + 28 * "0", sha256=64 * "f", source="git@git.internal.example:sre/runbooks.git",
         link="https://git.internal.example/sre/runbooks/blob/1a2b3c4d5e6f/oncall/provider-outage.md"),
    told(80, "channel_opened", C, US, channel_name="inc-20261122-support-bot", channel="C0LOOP00001"),
    told(80, "channel_not_opened", C, US, why="the channel is archived"),
    told(80, "channel_archived", C, US, channel_name="inc-20261122-support-bot"),
    told(80, "app_uninstalled", O, "slack:T0LOOP", team="T0LOOP", by="", why="it was uninstalled in Slack"),
    told(80, "app_installed", O, "slack:T0LOOP", team="T0LOOP", by="slack:T0LOOP/U0ANA", why=""),
)  # fmt: skip
"""A fact of every kind, in order of time."""


def chained(facts: Sequence[Told]) -> tuple[Entry, ...]:
    """The facts as a chain, the first one following what another incident recorded."""
    entries: list[Entry] = []
    previous = "ab" * 32
    for seq, (minutes, kind, provenance, actor, data) in enumerate(facts, start=41):
        fact = Fact(kind=kind, provenance=provenance, actor=actor, data=data)
        moment = at(minutes)
        digest = link(previous, seq, INCIDENT.id, moment, fact)
        entries.append(
            Entry(seq=seq, incident_id=INCIDENT.id, at=moment, fact=fact, previous=previous, hash=digest)
        )  # fmt: skip
        previous = digest
    return tuple(entries)


def complete() -> IncidentView:
    """Everything happened: the whole way, and every kind of fact."""
    base = view_samples.verified()
    (pv,) = base.proposals
    revert = Effect(id=f"{PR}:revert", proposal_id=PR, kind="revert", state=EffectState.DONE, claimed_at=at(64),
                    finished_at=at(64.1), detail="version 8 became 9")  # fmt: skip
    incident = replace(base.incident, status=Status.CLOSED, resolved_at=at(40))
    return replace(
        base, incident=incident, timeline=chained(FACTS),
        proposals=(ProposalView(proposal=pv.proposal, votes=pv.votes, apply=pv.apply, revert=revert),),
    )  # fmt: skip


FOREIGN = frozenset({
    "title", "summary", "excerpt", "source", "name", "reason", "rationale", "detail", "blast_radius", "undo", "text",
    "before", "after", "notice", "instructions", "withheld", "why", "note", "by", "test", "pager_ref", "lane", "next",
    "outcome", "target", "channel", "owner", "issue", "url", "repository",
})  # fmt: skip
"""Fields whose text is, or may be, somebody else's."""


def poisoned(payload: str, view: IncidentView | None = None) -> IncidentView:
    """The complete incident with this text in every place that can hold foreign text; its chain holds again."""
    data = codec.dump(view or complete())
    entries = data.pop("timeline")
    poisoned_data = _poison(data, payload)
    for each in poisoned_data["proposals"]:
        each["proposal"]["plan"]["diff"] = [[payload, payload, payload]]
    for number, change in enumerate(poisoned_data["changes"]):
        change.update(id=f"{payload}{number}", actor=payload, kind=payload)
    # The service and the team are the catalogue's, which an operator wrote.
    poisoned_data |= {"service": data["service"], "team": data["team"], "timeline": []}
    facts: list[Told] = [
        ((datetime.fromisoformat(e["at"]) - at(0)).total_seconds() / 60, e["fact"]["kind"],
         Provenance(e["fact"]["provenance"]), e["fact"]["actor"] if e["fact"]["actor"] == US else payload,
         _poison(e["fact"]["data"], payload, every=True))
        for e in entries
    ]  # fmt: skip
    return replace(codec.load(IncidentView, poisoned_data), timeline=chained(facts))


def _poison(value: Any, payload: str, *, every: bool = False, field: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _poison(inner, payload, every=every, field=key) for key, inner in value.items()}
    if isinstance(value, list):
        return [_poison(inner, payload, every=every, field=field) for inner in value]
    ours = field in ("evidence", "proposal", "effect") or value in ("meaning", "words", "pagerduty")
    return payload if isinstance(value, str) and (every or field in FOREIGN) and not ours else value


def long(entries: int) -> IncidentView:
    """An incident that was read again and again: as many probe readings as entries."""
    findings = tuple(
        replace(view_samples.AFTER[number % 2], id=f"ev-{number:08x}", started_at=at(5 + number / 12), round=1)
        for number in range(1, entries + 1)
    )
    facts = [*FACTS[:1], *(probe_finished(finding, 5 + n / 12) for n, finding in enumerate(findings))]
    return replace(complete(), findings=findings, timeline=chained(facts))
