"""Pages, incidents and plans for tests of storage and flow."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bot.domain.page import Page
from bot.domain.proposal import Plan, Principal, Proposal, ProposalState
from bot.edges.casebook import SqlCasebook
from bot.ports import Placed, Received
from tests.conftest import START

ANA = Principal(id="slack:T0LOOP/U0ANA", name="Ana", via="slack")
BEN = Principal(id="slack:T0LOOP/U0BEN", name="Ben", via="slack")
LOCAL = Principal(id="local:root", name="root", via="cli")


def page(event: str = "E1", **changes: Any) -> Page:
    made = Page(
        event_id=event, kind="triggered", occurred_at=START, received_at=START, source="pagerduty",
        incident_ref="Q1", incident_key="gateway/errors", title="LLM error rate 18.4% on chat (5m)",
        service_ref="PSVCCHAT", service_name="Chat",
    )  # fmt: skip
    return replace(made, **changes)


def placed(one: Page, *, service: str = "chat-assistant", team: str = "assist", channel: str = "C0ASSIST") -> Placed:
    received = Received(key=f"pagerduty:{one.event_id}", source="pagerduty", body=b"{}", received_at=one.received_at)
    return Placed(received=received, page=one, service=service, team=team, channel=channel)


async def settle(
    inbox: Any, casebook: SqlCasebook, *pages: Page, now: datetime = START, service: str = "chat-assistant"
) -> str:
    """Accept and settle pages; returns the id of the incident the first one belongs to."""
    batch = [placed(one, service=service) for one in pages]
    for item in batch:
        await inbox.accept(item.received)
    await casebook.settle(batch, now)
    from bot.domain.joining import incident_id

    return incident_id(pages[0])


def plan(incident: str, **changes: Any) -> Plan:
    made = Plan(
        incident_id=incident, action="shift_traffic", params={"route": "chat", "to_provider": "beta-anthropic"},
        target="llm-gateway/routes/chat", pre_state={"weights": {"acme-openai": 100}},
        post_state={"weights": {"beta-anthropic": 100}}, diff=(("traffic", "acme 100 %", "beta 100 %"),),
        undo="Shift back", effect="converge", risk="R2", blast_radius="Everybody on chat",
        verify_probe="gateway_canary",
        verify_outcome="ok", verify_within_s=300, lease_s=3600, policy_version="1", min_approvers=1,
        approver_team="assist", expires_at=START + timedelta(minutes=15), attempt=1,
        runbook="provider-outage#2-fail-over", runbook_revision="r1",
    )  # fmt: skip
    return replace(made, **changes)


def proposal(one: Plan, proposal_id: str = "pr-1", **changes: Any) -> Proposal:
    made = Proposal(
        id=proposal_id, plan=one, plan_hash=one.hash, state=ProposalState.OPEN, created_at=START,
        proposed_by="pagerunner", rationale="because", votable=True,
    )  # fmt: skip
    return replace(made, **changes)
