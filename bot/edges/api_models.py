"""What ``/api/v1`` takes, and what it answers to people's acts."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bot.domain.proposal import VoteResult

SAID: dict[VoteResult, tuple[int, str, str]] = {
    VoteResult.RECORDED: (200, "The vote is recorded; more approvers are needed.", ""),
    VoteResult.APPROVED: (200, "Approved; it will be executed now.", ""),
    VoteResult.REJECTED: (200, "Rejected; nothing will be executed.", ""),
    VoteResult.REPEATED: (200, "This person had voted so already; nothing changed.", ""),
    VoteResult.NOT_FOUND: (404, "There is no such proposal.", "List the incident's proposals."),
    VoteResult.NOT_OPEN: (409, "The proposal is not open any more.", "Read the incident to see what became of it."),
    VoteResult.EXPIRED: (409, "The proposal has expired.", "Ask for another one."),
    VoteResult.STALE_PLAN: (409, "The plan is not the one that was shown.", "Read the proposal and vote on its hash."),
    VoteResult.CONTEXT_MISMATCH: (409, "The vote did not come from where the proposal was shown.", "Use its own card."),
    VoteResult.NOT_APPROVER: (403, "This person may not approve this plan.", "Ask an approver of the team."),
    VoteResult.LOCAL_PERSON: (403, "It needs several people; a local vote does not show who.", "Approve it in Slack."),
    VoteResult.SELF_APPROVAL: (403, "Nobody approves what they proposed.", "Ask another approver."),
    VoteResult.OBSERVE_MODE: (403, "The service is in observe mode: nothing is executed.", "Set its mode to act."),
    VoteResult.INCIDENT_CLOSED: (409, "The incident is over.", "Reopen it in the pager if it is not."),
    VoteResult.FROZEN: (409, "Execution is frozen.", "Unfreeze the service first."),
    VoteResult.NO_BREAK_GLASS: (403, "The policy does not let this person approve it alone.", "Ask an approver."),
    VoteResult.NOT_NEEDED: (409, "An ordinary approval of this person is enough.", "Approve it without break-glass."),
    VoteResult.NO_REASON: (422, "Break-glass needs a reason.", "Give one in a few words."),
    VoteResult.UNINSPECTABLE: (409, "The plan cannot be shown faithfully.", "Carry it out by hand."),
}
"""What became of a vote: HTTP status, words, and what to do."""


class Body(BaseModel):
    """Base of every request body: nothing unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VoteIn(Body):
    """A vote on exactly this plan."""

    plan_hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    decision: Literal["approve", "reject"]
    reason: str = Field(default="", max_length=1_000)
    break_glass: bool = False
    """Approve alone what needs others, with a reason, where the policy lets this person."""


class EditIn(Body):
    """The same action with other parameters."""

    params: dict[str, str] = Field(max_length=32)


class TextIn(Body):
    """Something a person says."""

    text: str = Field(min_length=1, max_length=4_000)


class NoteIn(TextIn):
    """Something for the timeline."""

    kind: Literal["note_added", "person_did", "question_asked"] = "note_added"


class FreezeIn(Body):
    """A service's name, or ``*`` for everything."""

    service: str = Field(pattern=r"^(\*|[a-z0-9][a-z0-9._-]{0,62})$")
    reason: str = Field(default="", max_length=500)


class ToldOut(BaseModel):
    """What happened."""

    ok: bool
    text: str


class VotedOut(BaseModel):
    """What became of a vote."""

    result: str
    text: str


class ErrorDetail(BaseModel):
    """What is wrong, where, and what to do."""

    what: str
    where: str
    fix: str


class ErrorOut(BaseModel):
    """An answer that is no."""

    error: ErrorDetail
