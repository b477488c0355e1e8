"""Every state of a card that people meet, for measuring it on a phone. The hostile one is apart: it is bounded only."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bot.domain.incident import Status
from bot.domain.proposal import ProposalState
from bot.domain.timeline import Provenance
from bot.domain.view import IncidentView, ProposalView
from tests.view_samples import (
    ANA,
    BEGINNING,
    DECISION,
    EFFECT,
    MANUAL_PLAN,
    PLAN,
    SAMPLES,
    VERIFICATION,
    at,
    proposal,
    provider_outage,
    timeline,
    verified,
)

VERDICTS: tuple[tuple[float, str, Provenance, str, dict[str, Any]], ...] = (
    (40, "verdict_given", Provenance.HUMAN, "slack:T0/U0ANA", {"verdict": "noise", "by": "Ana Ruiz"}),
    (41, "verdict_given", Provenance.HUMAN, "slack:T0/U0BEN", {"verdict": "wrong_cause", "by": "Ben Okafor"}),
    (42, "verdict_given", Provenance.HUMAN, "slack:T0/U0ANA", {"verdict": "right_cause", "by": "Ana Ruiz"}),
)


def one_of_two() -> IncidentView:
    """One of two people has approved; the other is awaited."""
    plan = replace(PLAN, min_approvers=2)
    entries = timeline(*BEGINNING, DECISION[0])
    view = replace(provider_outage(), proposals=(ProposalView(proposal=proposal(plan), votes=(ANA,)),))
    return replace(view, timeline=entries)


def manual_open() -> IncidentView:
    """A step for a person, with its commands, that waits for a vote."""
    return replace(provider_outage(), proposals=(ProposalView(proposal=proposal(MANUAL_PLAN)),))


def edited() -> IncidentView:
    """A plan that a person has changed."""
    pv = ProposalView(proposal=proposal(proposed_by="slack:T0/U0ANA"))
    return replace(provider_outage(), proposals=(pv,))


def rejected() -> IncidentView:
    """Rejected; nothing was done."""
    pv = ProposalView(proposal=proposal(state=ProposalState.REJECTED), votes=(replace(ANA, decision="reject"),))
    return replace(provider_outage(), proposals=(pv,))


def expired() -> IncidentView:
    """Nobody decided."""
    return replace(provider_outage(), proposals=(ProposalView(proposal=proposal(state=ProposalState.EXPIRED)),))


def second_attempt() -> IncidentView:
    """The first mitigation did not help and was undone; a second one waits for votes."""
    earlier = SAMPLES["made_worse"]().proposals[0]
    again = ProposalView(proposal=proposal(replace(PLAN, attempt=2), id="pr-2"))
    return replace(SAMPLES["made_worse"](), proposals=(earlier, again))


def acknowledged() -> IncidentView:
    """Somebody has it, and a proposal waits."""
    taken = (3.5, "incident_acknowledged", Provenance.HUMAN, "slack:T0/U0ANA", {"by": "Ana Ruiz"})
    view = provider_outage()
    incident = replace(view.incident, status=Status.ACKNOWLEDGED, acknowledged_at=at(3.5))
    return replace(view, incident=incident, timeline=timeline(*BEGINNING, taken))


def closed() -> IncidentView:
    """Over, and people have said whether the cause was right; one of them changed her mind."""
    incident = replace(verified().incident, status=Status.CLOSED, resolved_at=at(30))
    return replace(
        verified(), incident=incident, timeline=timeline(*BEGINNING, *DECISION, *EFFECT, *VERIFICATION, *VERDICTS)
    )


STATES: Mapping[str, Callable[[], IncidentView]] = {
    **{name: make for name, make in SAMPLES.items() if name != "hostile"},
    **{each.__name__: each for each in (one_of_two, manual_open, edited, rejected, expired, second_attempt,
                                        acknowledged, closed)},
}  # fmt: skip
