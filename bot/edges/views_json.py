"""The one way an incident becomes JSON: for the API, ``--json`` and exports. The same view gives the same bytes."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from bot.domain.view import IncidentView


def plain(value: Any) -> Any:
    """Free-form JSON with sorted keys, without NaN and infinities, which JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


Free = Annotated[Any, BeforeValidator(plain)]
Object = Annotated[dict[str, Any], BeforeValidator(plain)]
Number = Annotated[float | None, BeforeValidator(plain)]


class Out(BaseModel):
    """Base of every answer: read from our own frozen values."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class IncidentOut(Out):
    """An incident."""

    id: str
    status: str
    active: bool
    title: str
    service: str
    team: str
    channel: str
    source: str
    key: str
    signature: str
    opened_at: datetime
    started_at: datetime
    acknowledged_at: datetime | None
    mitigated_at: datetime | None
    resolved_at: datetime | None
    pages: int
    investigations: int
    attempts: int
    pager_ref: str
    pager_status: str


class ServiceOut(Out):
    """The service it is about."""

    name: str
    title: str
    kind: str
    environment: str
    team: str
    mode: str


class TeamOut(Out):
    """The team that owns the service."""

    name: str
    title: str
    slack_channel: str


class ReasonOut(Out):
    """Why a document was found."""

    source: str
    text: str
    contribution: Number


class MatchOut(Out):
    """A runbook or past incident that fits."""

    document: str
    title: str
    score: Number
    prior: Number
    best_chunk: str
    reasons: list[ReasonOut]


class RetrievalOut(Out):
    """What was found for the page."""

    matches: list[MatchOut]
    mode: str
    notice: str


class EvidenceOut(Out):
    """Something that was really received. Untrusted text."""

    source: str
    excerpt: str


class ReadingOut(Out):
    """What a probe read."""

    outcome: str
    summary: str
    value: Number
    baseline: Number
    n: int
    baseline_n: int
    test: str
    p_value: Number
    interval: tuple[Number, Number] | None
    power: Number
    looks_back_s: Number
    tokens: int
    usd: Number
    evidence: list[EvidenceOut]
    details: Object


class FindingOut(Out):
    """A reading as a fact of the incident."""

    id: str
    probe: str
    service: str
    params: Object
    outcome: str
    verdict: str
    reading: ReadingOut
    started_at: datetime
    elapsed_s: Number
    round: int


class ArgumentOut(Out):
    """How a finding moved a hypothesis."""

    finding_id: str
    probe: str
    outcome: str
    weight: str
    bits: Number


class HypothesisOut(Out):
    """A cause with its probability."""

    mode: str
    title: str
    probability: Number
    arguments: list[ArgumentOut]


class NextProbeOut(Out):
    """What would tell most next."""

    probe: str
    bits: Number
    bits_per_cost: Number


class DiagnosisOut(Out):
    """What the findings say together."""

    conclusion: str
    reason: str
    causes: list[str]
    residual: list[str]
    ranked: list[HypothesisOut]
    next_probes: list[NextProbeOut]


class PlanOut(Out):
    """Everything that would happen."""

    incident_id: str
    action: str
    params: Object
    target: str
    pre_state: Object
    post_state: Object
    diff: list[tuple[str, str, str]]
    undo: str
    effect: str
    risk: str
    blast_radius: str
    verify_probe: str
    verify_outcome: str
    verify_within_s: int
    lease_s: int | None
    policy_version: str
    min_approvers: int
    approver_team: str
    expires_at: datetime
    attempt: int
    runbook: str
    runbook_revision: str
    instructions: str


class ProposalOut(Out):
    """A plan put to the vote. A vote needs the whole ``plan_hash``."""

    id: str
    plan_hash: str
    state: str
    created_at: datetime
    proposed_by: str
    rationale: str
    votable: bool
    withheld: str
    plan: PlanOut


class VoteOut(Out):
    """A counted vote."""

    principal: str
    name: str
    decision: str
    at: datetime


class EffectOut(Out):
    """One change to the world."""

    id: str
    proposal_id: str
    kind: str
    state: str
    claimed_at: datetime | None
    finished_at: datetime | None
    detail: str
    verify_by: datetime | None
    verdict: str
    lease_until: datetime | None
    next_check_at: datetime | None


class AwaitedOut(Out):
    """Somebody who may decide now."""

    name: str
    principal: str
    on_call: bool


class DebtOut(Out):
    """What a break-glass approval left."""

    proposal_id: str
    incident_id: str
    service: str
    team: str
    principal: str
    name: str
    reason: str
    at: datetime
    reviewed_by: str
    reviewer: str
    note: str
    reviewed_at: datetime | None


class ProposalViewOut(Out):
    """A proposal with its votes and effects."""

    proposal: ProposalOut
    votes: list[VoteOut]
    apply: EffectOut | None
    revert: EffectOut | None
    awaited: list[AwaitedOut]
    glass: bool
    debt: DebtOut | None


class ChangeOut(Out):
    """Something somebody changed."""

    id: str
    at: datetime
    kind: str
    service: str
    summary: str
    before: str
    after: str
    actor: str


class FactOut(Out):
    """What was recorded."""

    kind: str
    provenance: str
    actor: str
    data: Object


class EntryOut(Out):
    """A line of the timeline, chained by hash."""

    seq: int
    incident_id: str
    at: datetime
    fact: FactOut
    previous: str
    hash: str


class MessageOut(Out):
    """The card in Slack."""

    channel: str
    ts: str


class ViewOut(Out):
    """An incident with everything around it."""

    incident: IncidentOut
    service: ServiceOut | None
    team: TeamOut | None
    retrieval: RetrievalOut | None
    running: list[str]
    findings: list[FindingOut]
    diagnosis: DiagnosisOut | None
    proposals: list[ProposalViewOut]
    changes: list[ChangeOut]
    timeline: list[EntryOut]
    frozen: str
    frozen_for: list[str]
    message: MessageOut | None
    replaced: int


def view_json(view: IncidentView) -> dict[str, Any]:
    """The whole view as plain JSON, deterministic."""
    return ViewOut.model_validate(view).model_dump(mode="json")
