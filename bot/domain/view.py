"""All that is known of one incident, in one value: what cards, answers, exports and the API are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.incident import Incident
from bot.domain.page import Page
from bot.domain.proposal import Debt, Effect, Proposal, ProposalState
from bot.domain.room import Room
from bot.domain.timeline import Entry
from config.catalogue import Service, Team
from diagnostics.model import Change, Diagnosis, Finding
from knowledge.model import Retrieval

MOST_PAGES = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """A counted vote."""

    principal: str
    name: str
    decision: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Awaited:
    """Somebody who may decide now, by name: ``Ana Lima``, ``@assist-oncall``, ``whoever is on call``."""

    name: str
    principal: str = ""
    """Empty: a group, or somebody whom chat does not know."""
    on_call: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ProposalView:
    """A proposal with its votes and effects."""

    proposal: Proposal
    votes: tuple[Vote, ...] = ()
    apply: Effect | None = None
    revert: Effect | None = None
    awaited: tuple[Awaited, ...] = ()
    """While it is open, who may decide, as far as their names are known yet."""
    glass: bool = False
    """While it is open, whether the policy lets anybody approve it alone in an emergency."""
    debt: Debt | None = None
    """What a break-glass approval left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageRef:
    """A message in chat."""

    channel: str
    ts: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IncidentView:
    """An incident with everything around it."""

    incident: Incident
    service: Service | None
    team: Team | None
    retrieval: Retrieval | None = None
    running: tuple[str, ...] = ()
    """Names of probes that have started and not ended."""
    findings: tuple[Finding, ...] = ()
    diagnosis: Diagnosis | None = None
    proposals: tuple[ProposalView, ...] = ()
    """Oldest first."""
    changes: tuple[Change, ...] = ()
    timeline: tuple[Entry, ...] = ()
    pages: tuple[Page, ...] = ()
    """What the pager said, oldest first; at most :data:`MOST_PAGES`, for a storm says the same again and again."""
    frozen: str = ""
    """Why all execution is stopped for this service; empty when it is not."""
    frozen_for: tuple[str, ...] = ()
    """What has to be unfrozen then: ``*``, the service, or both."""
    message: MessageRef | None = None
    """The card, when it has been posted."""
    room: Room | None = None
    """Its own channel, if it was to have one."""

    @property
    def open_proposal(self) -> ProposalView | None:
        """The newest proposal that can still be voted on or is being executed."""
        live = {"open", "approved", "executing"}
        return next((p for p in reversed(self.proposals) if p.proposal.state.value in live), None)

    @property
    def stale(self) -> bool:
        """Whether it was opened by a page from long ago, and is not investigated for that reason."""
        return self.incident.investigations == 0 and bool(self.entries("page_stale"))

    @property
    def looking(self) -> bool:
        """Whether an investigation that somebody or something asked for has not ended."""
        asked = self.entries("investigation_started", "hint_given", "incident_reopened")
        ended = self.entries("investigation_ended")
        return bool(asked) and (not ended or asked[-1].seq > ended[-1].seq)

    @property
    def replaced(self) -> int:
        """Proposals that newer ones, or newer findings, took the place of before anybody decided: people are asked one
        thing at a time."""
        return sum(p.proposal.state is ProposalState.SUPERSEDED for p in self.proposals)

    def entries(self, *kinds: str) -> Sequence[Entry]:
        """Timeline entries of these kinds, oldest first."""
        return [entry for entry in self.timeline if entry.fact.kind in kinds]
