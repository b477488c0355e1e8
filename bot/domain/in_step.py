"""The pager and the stakeholders in two lines for the hand-over, as escaped mrkdwn; what is not known is left out."""

from collections.abc import Iterator
from datetime import datetime

from bot.domain import wording
from bot.domain.page_facts import answer
from bot.domain.paging import Paging, paging
from bot.domain.stakeholder import next_due, updates
from bot.domain.statement import code
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView

SHOWN = 5


def in_step(view: IncidentView, now: datetime) -> Iterator[str]:
    """What the pager holds, and what stakeholders know."""
    said = "; ".join(_pager(paging(view)))
    if said:
        yield f"*PagerDuty:* {said}"
    told, ahead = updates(view), next_due(view)
    if not told and ahead is None:
        return
    last = "no update was sent yet"
    if told:
        at = wording.clock(told[-1].at, view.incident.opened_at)
        last = f"last update at {at} by {quote(told[-1].by, 60)} {code(told[-1].ref)}"
    due = "" if ahead is None else f"; the next is due {'since' if ahead <= now else 'at'} {wording.clock(ahead, now)}"
    yield f"*Stakeholders:* {last}{due}"


def _pager(state: Paging) -> Iterator[str]:
    if state.priority is not None and state.priority.text:
        yield f"priority {quote(state.priority.text, 40)} {code(state.priority.ref)}"
    if state.assigned is not None and state.assigned.text:
        yield f"assigned to {quote(state.assigned.text, 120)} {code(state.assigned.ref)}"
    for one in state.asked[-SHOWN:]:
        yield f"{quote(one.name, 60)} {answer(one.answer)} {code(one.ref)}"
    if state.bridge is not None and state.bridge.text:
        yield f"bridge {quote(state.bridge.text, 160)} {code(state.bridge.ref)}"
