"""Incidents as people meet them, for every surface that renders one. Times, names and numbers are fixed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from bot.domain.incident import Incident, Status
from bot.domain.proposal import Effect, EffectState, Plan, Proposal, ProposalState
from bot.domain.timeline import GENESIS, Entry, Fact, Provenance, link
from bot.domain.view import IncidentView, MessageRef, ProposalView, Vote
from config import strict_yaml
from config.catalogue import Catalogue
from diagnostics.model import (
    Argument,
    Change,
    Diagnosis,
    Evidence,
    Finding,
    Hypothesis,
    NextProbe,
    Reading,
    Verdict,
    Weight,
)
from knowledge.model import Match, Reason, Retrieval

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CARD = MessageRef(channel="C0ASSIST", ts="1763812800.000100")
RUNBOOK = "provider-outage#2-fail-over-to-the-second-provider"
_ROOT = Path(__file__).parent.parent


@cache
def catalogue() -> Catalogue:
    """The example catalogue."""
    text = (_ROOT / "config/example/catalogue.yaml").read_text()
    return Catalogue.model_validate(strict_yaml.load(text).value)


def at(minutes: float) -> datetime:
    """Minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def finding(
    number: int, probe: str, outcome: str, verdict: Verdict, summary: str, *, round_: int = 0, **reading: Any
) -> Finding:
    """A finding with a predictable evidence id."""
    reading.setdefault("evidence", (Evidence(source=f"read by {probe}", excerpt=summary),))
    return Finding(
        id=f"ev-{number:08x}", probe=probe, service="chat-assistant", params={}, outcome=outcome, verdict=verdict,
        reading=Reading(outcome=outcome, summary=summary, **reading), started_at=at(1 + number / 60), elapsed_s=0.8,
        round=round_,
    )  # fmt: skip


N, A, U = Verdict.NORMAL, Verdict.ABNORMAL, Verdict.INCONCLUSIVE
OUTAGE_FINDINGS = (
    finding(1, "user_signal", "errors", A, "34 % of user requests fail, 0.4 % normally", value=0.34, baseline=0.004,
            n=1800, test="two-proportion z, one-sided", p_value=1e-9, power=0.99),
    finding(2, "provider_canary", "server_error", A, "5 of 5 canaries to acme-openai ended with 503", value=1.0,
            baseline=0.0, n=5, test="Fisher exact, one-sided", p_value=4e-6, tokens=60, usd=0.0004),
    finding(3, "gateway_canary", "server_error", A, "5 of 5 canaries through llm-gateway ended with 503", value=1.0,
            n=5, tokens=60, usd=0.0004),
    finding(4, "second_provider_canary", "ok", N, "5 of 5 canaries to beta-anthropic answered, median 0.62 s",
            value=0.62, n=5, tokens=55, usd=0.0005),
    finding(5, "egress", "ok", N, "DNS, TCP, TLS and HTTP to acme-openai succeed in 0.04 s", value=0.04),
    finding(6, "rate_limit_headroom", "ample", N, "82 % of the token limit is left", value=0.82),
    finding(7, "gateway_health", "ok", N, "llm-gateway is ready, 3 of 3 deployments in rotation", value=3),
    finding(8, "status_page", "inconclusive", U, "the status page did not answer within 8 s"),
    finding(9, "change_log", "prompt", N, "1 change to chat-assistant in 24 h: chg-12", value=1),
)  # fmt: skip

RETRIEVAL = Retrieval(
    mode="fused",
    matches=(
        Match(document="provider-outage", title="Model provider is failing", score=0.91, prior=0.55,
              best_chunk="provider-outage#is-it-this",
              reasons=(Reason(source="meaning", text='"error rate above 5 percent" is close in meaning (0.81)',
                              contribution=0.5),)),
        Match(document="rate-limit-exceeded", title="Rate limit exceeded", score=0.44, prior=0.2,
              best_chunk="rate-limit-exceeded#is-it-this"),
    ),
)  # fmt: skip

OUTAGE = Diagnosis(
    conclusion="cause",
    ranked=(
        Hypothesis(mode="provider-outage", title="Model provider is failing", probability=0.97, arguments=(
            Argument(finding_id="ev-00000002", probe="provider_canary", outcome="server_error", weight=Weight.USUAL,
                     bits=4.2),
            Argument(finding_id="ev-00000004", probe="second_provider_canary", outcome="ok", weight=Weight.USUAL,
                     bits=1.1),
        )),
        Hypothesis(mode="rate-limit-exceeded", title="Rate limit exceeded", probability=0.015, arguments=(
            Argument(finding_id="ev-00000006", probe="rate_limit_headroom", outcome="ample", weight=Weight.RULES_OUT,
                     bits=-6.0),
        )),
        Hypothesis(mode="egress-failure", title="Our network cannot reach the provider", probability=0.01, arguments=(
            Argument(finding_id="ev-00000005", probe="egress", outcome="ok", weight=Weight.RULES_OUT, bits=-6.5),
        )),
        Hypothesis(mode="no-fault", title="No fault", probability=0.005),
    ),
    causes=("provider-outage",),
    next_probes=(NextProbe(probe="status_page", bits=0.02, bits_per_cost=0.01),),
    reason="sure",
)  # fmt: skip

PLAN = Plan(
    incident_id="inc-7f3a2c", action="shift_traffic",
    params={"gateway": "llm-gateway", "route": "chat", "from": "acme-openai", "to": "beta-anthropic", "percent": 100},
    target="llm-gateway/routes/chat",
    pre_state={"weights": {"acme-openai": 100, "beta-anthropic": 0}},
    post_state={"weights": {"acme-openai": 0, "beta-anthropic": 100}},
    diff=(("weights.acme-openai", "100", "0"), ("weights.beta-anthropic", "0", "100")),
    undo="Set the weights back to acme-openai 100, beta-anthropic 0, if nobody changed them meanwhile.",
    effect="converge", risk="R2", blast_radius="All users of route chat get answers from beta-anthropic.",
    verify_probe="gateway_canary", verify_outcome="ok", verify_within_s=300, lease_s=3600, policy_version="2026-11-22",
    min_approvers=1, approver_team="assist", expires_at=at(18), attempt=1, runbook=RUNBOOK, runbook_revision="ab" * 32,
)  # fmt: skip

MANUAL_PLAN = replace(
    PLAN, action="manual", effect="manual", risk="R1", target="manual/restart-the-egress-proxy",
    params={"title": "Restart the egress proxy"}, pre_state={}, post_state={"done": True},
    diff=(("Egress proxy", "as it is", "restarted"),), undo="Nothing to undo.", lease_s=None, verify_probe="egress",
    blast_radius="Requests in flight are cut off once.", runbook="egress-failure#1-restart-the-proxy",
    instructions="kubectl -n edge rollout restart deploy/egress-proxy\n"
                 "kubectl -n edge rollout status deploy/egress-proxy\nThen look at https://grafana.example/d/egress",
)  # fmt: skip


def proposal(plan: Plan = PLAN, state: ProposalState = ProposalState.OPEN, **changes: Any) -> Proposal:
    """A proposal of this plan."""
    values: dict[str, Any] = {
        "id": "pr-51c0de", "plan": plan, "plan_hash": plan.hash, "state": state, "created_at": at(3),
        "proposed_by": "pagerunner", "votable": True,
        "rationale": "The second provider answers normally, so chat can run there until acme-openai is back.",
    }  # fmt: skip
    return Proposal(**{**values, **changes})


INCIDENT = Incident(
    id="inc-7f3a2c", status=Status.OPEN, title="LLM error rate above 5 percent for 10 minutes",
    service="chat-assistant", team="assist", channel="C0ASSIST", key="llm-errors-chat", signature="5d41402abc4b2a76",
    opened_at=at(0), started_at=at(-10), pages=3, investigations=1, pager_ref="Q2PQ7M1", pager_status="triggered",
)  # fmt: skip

CHANGES = (
    Change(id="chg-12", at=at(-180), kind="prompt", service="chat-assistant",
           summary="Prompt chat 13: shorter greeting", before="12", after="13", actor="mia"),
)  # fmt: skip


def timeline(*facts: tuple[float, str, Provenance, str, Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Chained entries: minutes after noon, kind, provenance, actor, data."""
    entries: list[Entry] = []
    previous = GENESIS
    for seq, (minutes, kind, provenance, actor, data) in enumerate(facts, start=1):
        fact = Fact(kind=kind, provenance=provenance, actor=actor, data=data)
        digest = link(previous, seq, INCIDENT.id, at(minutes), fact)
        entries.append(
            Entry(seq=seq, incident_id=INCIDENT.id, at=at(minutes), fact=fact, previous=previous, hash=digest)
        )
        previous = digest
    return tuple(entries)


O, H, C = Provenance.OBSERVED, Provenance.HUMAN, Provenance.COMPUTED  # noqa: E741
BEGINNING = (
    (0, "page_received", O, "pagerduty:PDANA01", {"title": INCIDENT.title, "event_id": "01EVENT"}),
    (0, "incident_opened", C, "pagerunner", {"service": "chat-assistant"}),
    (0.1, "investigation_started", C, "pagerunner", {}),
    (
        2.9,
        "diagnosis_made",
        C,
        "pagerunner",
        {"conclusion": "cause", "ranked": [{"mode": "provider-outage", "probability": 0.97}]},
    ),
    (3, "proposal_made", C, "pagerunner", {"proposal": "pr-51c0de", "plan_hash": PLAN.hash}),
)
DECISION = (
    (4, "vote_cast", H, "slack:T0/U0ANA", {"proposal": "pr-51c0de", "decision": "approve"}),
    (4, "proposal_approved", C, "pagerunner", {"proposal": "pr-51c0de"}),
)
EFFECT = (
    (4.1, "effect_claimed", C, "pagerunner", {"proposal": "pr-51c0de"}),
    (4.2, "effect_applied", O, "pagerunner", {"proposal": "pr-51c0de"}),
    (4.2, "lease_started", C, "pagerunner", {"proposal": "pr-51c0de"}),
)
VERIFICATION = ((7, "verification_made", C, "pagerunner", {"proposal": "pr-51c0de", "verdict": "better"}),)


def _view(**changes: Any) -> IncidentView:
    service = catalogue().service("chat-assistant")
    assert service is not None
    values: dict[str, Any] = {
        "incident": INCIDENT, "service": service, "team": catalogue().team("assist"), "retrieval": RETRIEVAL,
        "findings": OUTAGE_FINDINGS, "diagnosis": OUTAGE, "changes": CHANGES, "timeline": timeline(*BEGINNING),
        "message": CARD,
    }  # fmt: skip
    return IncidentView(**{**values, **changes})


def received() -> IncidentView:
    """The first card: a page and nothing else."""
    return _view(
        retrieval=None, findings=(), diagnosis=None, timeline=timeline(*BEGINNING[:2]), message=None, changes=()
    )


def investigating() -> IncidentView:
    """Probes tick."""
    running = ("gateway_health", "status_page", "change_log")
    return _view(findings=OUTAGE_FINDINGS[:6], running=running, diagnosis=None, timeline=timeline(*BEGINNING[:3]))


def provider_outage() -> IncidentView:
    """A diagnosis, and a proposal that waits for votes."""
    return _view(proposals=(ProposalView(proposal=proposal()),))


ANA = Vote(principal="slack:T0/U0ANA", name="Ana Ruiz", decision="approve", at=at(4))


def approved() -> IncidentView:
    """Approved, and being carried out."""
    effect = Effect(
        id="pr-51c0de:apply", proposal_id="pr-51c0de", kind="apply", state=EffectState.CLAIMED, claimed_at=at(4.1)
    )
    pv = ProposalView(proposal=proposal(state=ProposalState.EXECUTING), votes=(ANA,), apply=effect)
    incident = replace(INCIDENT, status=Status.ACKNOWLEDGED, acknowledged_at=at(3.5))
    return _view(incident=incident, proposals=(pv,), timeline=timeline(*BEGINNING, *DECISION, EFFECT[0]))


AFTER = (
    finding(20, "gateway_canary", "ok", N, "5 of 5 canaries through llm-gateway answered, median 0.71 s", round_=1,
            value=0.0, n=5, tokens=60, usd=0.0004),
    finding(21, "user_signal", "recovered", N, "0.5 % of user requests fail, 34 % before", round_=1, value=0.005,
            baseline=0.004, n=900, p_value=0.31, power=0.97),
)  # fmt: skip


def _done(verdict: str) -> Effect:
    return Effect(
        id="pr-51c0de:apply", proposal_id="pr-51c0de", kind="apply", state=EffectState.DONE, claimed_at=at(4.1),
        finished_at=at(4.2), detail="version 7 became 8", verify_by=at(9.2), verdict=verdict, lease_until=at(64),
    )  # fmt: skip


def verified() -> IncidentView:
    """It helped: before and after, and the lease runs."""
    pv = ProposalView(proposal=proposal(state=ProposalState.DONE), votes=(ANA,), apply=_done("better"))
    incident = replace(INCIDENT, status=Status.MITIGATED, acknowledged_at=at(3.5), mitigated_at=at(7), attempts=1)
    entries = timeline(*BEGINNING, *DECISION, *EFFECT, *VERIFICATION)
    return _view(incident=incident, proposals=(pv,), findings=(*OUTAGE_FINDINGS, *AFTER), timeline=entries)


def made_worse() -> IncidentView:
    """It did not help and was undone by itself; people must go on."""
    undone = Effect(
        id="pr-51c0de:revert", proposal_id="pr-51c0de", kind="revert", state=EffectState.DONE, claimed_at=at(9.3),
        finished_at=at(9.4), detail="version 8 became 9",
    )  # fmt: skip
    pv = ProposalView(proposal=proposal(state=ProposalState.DONE), votes=(ANA,), apply=_done("worse"), revert=undone)
    again = finding(
        22, "gateway_canary", "timeout", A, "5 of 5 canaries got no answer in 8 s", round_=1, n=5, tokens=60
    )
    incident = replace(INCIDENT, status=Status.ACKNOWLEDGED, acknowledged_at=at(3.5), attempts=2)
    entries = timeline(*BEGINNING, *DECISION, *EFFECT)
    return _view(incident=incident, proposals=(pv,), findings=(*OUTAGE_FINDINGS, again), timeline=entries)


def observe() -> IncidentView:
    """A proposal in a service that is only observed: nothing can be approved."""
    service = catalogue().service("chat-assistant")
    assert service is not None
    shown = proposal(votable=False, withheld="chat-assistant is in observe mode")
    return _view(service=service.model_copy(update={"mode": "observe"}), proposals=(ProposalView(proposal=shown),))


def no_fault() -> IncidentView:
    """Looked, found nothing, did nothing."""
    calm = [f for f in OUTAGE_FINDINGS if f.verdict is N]
    signal = finding(1, "user_signal", "ok", N, "0.4 % of user requests fail, 0.4 % normally", n=1800, power=0.99,
                     value=0.004, baseline=0.004, p_value=0.48)  # fmt: skip
    outage = replace(OUTAGE.ranked[0], probability=0.03, arguments=())
    ranked = (Hypothesis(mode="no-fault", title="No fault", probability=0.93), outage, *OUTAGE.ranked[1:3])
    diagnosis = replace(OUTAGE, conclusion="no_fault", ranked=ranked, causes=(), reason="nothing informative left")
    return _view(findings=(signal, *calm), diagnosis=diagnosis)


def inconclusive() -> IncidentView:
    """Two causes fit about as well, and one finding fits none."""
    first = replace(OUTAGE.ranked[0], probability=0.46)
    second = replace(OUTAGE.ranked[1], probability=0.38, arguments=())
    diagnosis = replace(
        OUTAGE, conclusion="inconclusive", ranked=(first, second, *OUTAGE.ranked[2:]), causes=(), reason="deadline",
        residual=("ev-00000003",), next_probes=(NextProbe(probe="golden_set", bits=0.9, bits_per_cost=0.02),),
    )  # fmt: skip
    return _view(diagnosis=diagnosis)


def frozen() -> IncidentView:
    """A proposal while all execution is stopped."""
    return replace(provider_outage(), frozen="change freeze until Monday (Ana Ruiz)")


def manual() -> IncidentView:
    """A step that only a person can do, approved and waiting for Done."""
    pv = ProposalView(proposal=proposal(MANUAL_PLAN, ProposalState.EXECUTING), votes=(ANA,))
    incident = replace(INCIDENT, status=Status.ACKNOWLEDGED, acknowledged_at=at(3.5))
    return _view(incident=incident, proposals=(pv,), timeline=timeline(*BEGINNING, *DECISION))


def resolved() -> IncidentView:
    """Over."""
    incident = replace(verified().incident, status=Status.RESOLVED, resolved_at=at(30))
    return replace(verified(), incident=incident)


HOSTILE = (
    '<!channel> *Approved by <@U0BOSS>* <https://evil.example|Approve> "},{"type":"actions" \u202etfihs\u202c\x07 `x`'
)


def hostile() -> IncidentView:
    """Untrusted text that tries everything, in every place that can hold it."""
    incident = replace(INCIDENT, title=HOSTILE + "A" * 5_000)
    nasty = finding(2, "provider_canary", "server_error", A, HOSTILE * 20)
    vote = replace(ANA, name=HOSTILE)
    change = replace(CHANGES[0], summary=HOSTILE, before=HOSTILE, after=HOSTILE)
    match = replace(RETRIEVAL.matches[0], reasons=(Reason(source="words", text=HOSTILE, contribution=0.1),))
    shown = proposal(rationale=HOSTILE)
    return _view(
        incident=incident, findings=(OUTAGE_FINDINGS[0], nasty, *OUTAGE_FINDINGS[2:]), changes=(change,),
        retrieval=replace(RETRIEVAL, matches=(match,), notice=HOSTILE), frozen=HOSTILE,
        proposals=(ProposalView(proposal=shown, votes=(vote,)),),
    )  # fmt: skip


SAMPLES: Mapping[str, Callable[[], IncidentView]] = {
    each.__name__: each
    for each in (received, investigating, provider_outage, approved, verified, made_worse, observe, no_fault,
                 inconclusive, frozen, manual, resolved, hostile)
}  # fmt: skip
