"""The timeline: facts typed by provenance, chained by hash. Prose is made from it, never the other way round."""

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

GENESIS = "0" * 64


class Provenance(enum.StrEnum):
    """How we know."""

    OBSERVED = "observed"
    HUMAN = "human"
    RETRIEVED = "retrieved"
    COMPUTED = "computed"
    MODEL = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """Something to be recorded: kind, actor and plain JSON."""

    kind: str
    """Past tense, such as ``page_received`` or ``effect_applied``: the list is :data:`KINDS`."""
    provenance: Provenance
    actor: str
    """Who: ``slack:T1/U123``, ``local:root``, ``pagerduty:PDANA01`` or ``pagerunner``."""
    data: Mapping[str, Any]


def computed(kind: str, data: Mapping[str, Any]) -> Fact:
    """A fact that our own rules worked out."""
    return Fact(kind=kind, provenance=Provenance.COMPUTED, actor="pagerunner", data=data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A recorded fact. ``seq`` counts over the whole installation; ``hash`` covers everything before it."""

    seq: int
    incident_id: str
    at: datetime
    fact: Fact
    previous: str
    hash: str


KINDS = frozenset({
    "page_received", "page_joined", "page_stale", "incident_opened", "incident_acknowledged", "incident_escalated",
    "incident_resolved", "incident_reopened", "incident_closed", "pager_changed",
    "investigation_started", "runbooks_retrieved", "probe_started", "probe_finished", "diagnosis_made",
    "investigation_ended", "hint_given",
    "proposal_made", "proposal_withheld", "proposal_superseded", "proposal_expired", "vote_cast", "vote_denied",
    "proposal_approved", "proposal_rejected",
    "effect_claimed", "effect_applied", "effect_reverted", "effect_failed", "effect_conflict", "effect_unknown",
    "effect_held", "manual_done", "lease_started", "lease_ended",
    "verification_started", "verification_made", "users_recovered", "users_not_recovered",
    "frozen", "unfrozen", "question_asked", "question_answered", "note_added", "person_did", "exported", "alarm",
    "foreign_team", "app_installed", "app_uninstalled", "verdict_given", "runbook_used",
    "entry_hidden", "entry_annotated", "entry_placed", "key_moment",
    "glass_broken", "debt_reviewed", "review_denied",
    "link_made", "link_claimed", "link_confirmed", "link_ended", "link_refused",
    "channel_opened", "channel_not_opened", "channel_archived",
    "message_added", "responder_requested", "snoozed", "role_taken", "handed_over",
    "followup_added", "issues_requested", "issue_created",
    "priority_changed", "assignees_changed", "pager_noted", "responder_added", "responder_replied",
    "status_update_published", "bridge_changed", "fields_changed", "pager_role_given", "pager_echoed", "pager_told",
    "priority_requested", "reassignment_requested", "update_due", "update_sent",
})  # fmt: skip


def canonical(value: Any) -> bytes:
    """JSON in one form only: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def link(previous: str, seq: int, incident_id: str, at: datetime, fact: Fact) -> str:
    """The hash of an entry: SHA-256 over a domain byte, the previous hash, the number and the body's digest."""
    body = canonical({
        "incident": incident_id, "at": at.isoformat(), "kind": fact.kind, "provenance": fact.provenance.value,
        "actor": fact.actor, "data": fact.data,
    })  # fmt: skip
    digest = hashlib.sha256(body).digest()
    return hashlib.sha256(b"\x00" + bytes.fromhex(previous) + seq.to_bytes(8, "big") + digest).hexdigest()
