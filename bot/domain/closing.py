"""The postmortem in a few lines, for the card's thread. Slack mrkdwn, escaped; what was not recorded is left out."""

from collections.abc import Iterator

from bot.domain import measures, plan_card, wording
from bot.domain.card import verdict
from bot.domain.statement import code, plain
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView, ProposalView

SAID = ("detect", "acknowledge", "mitigate", "duration")


def closing(view: IncidentView) -> str:
    """Three to five lines: what it was, how long it took, what was done and whether it helped, what users felt."""
    return "\n".join(_lines(view))


def _lines(view: IncidentView) -> Iterator[str]:
    incident = view.incident
    yield f"*{plain(incident.id)}* {quote(incident.title)}"
    if view.diagnosis is not None:
        yield f"Diagnosis: {plain(verdict(view.diagnosis))} {code(measures.last_ref(view, 'diagnosis_made'))}"
    took = [
        f"{each.label.split(',')[0]} {wording.duration(each.seconds)}"
        for each in measures.measures(view)
        if each.key in SAID and each.seconds is not None
    ]
    if took:
        yield plain(" · ".join(took), 400)
    done = [pv for pv in view.proposals if pv.apply is not None]
    yield _done(done[-1]) if done else "Nothing was changed by Pagerunner."
    signal = [f for f in view.findings if f.probe == measures.USERS]
    if signal:
        last = signal[-1]
        yield f"Users, last read: {plain(last.outcome)}, {quote(last.reading.summary)} {code(last.id)}"


def _done(pv: ProposalView) -> str:
    assert pv.apply is not None
    by = ", ".join(quote(vote.name, 40) for vote in pv.votes if vote.decision == "approve")
    result = wording.EFFECT_VERDICTS.get(pv.apply.verdict, plain(pv.apply.state.value))
    undone = ", undone" if pv.revert is not None and pv.revert.state.value == "done" else ""
    approved = f", approved by {by}" if by else ""
    return f"Done: {plain(plan_card.title(pv.proposal.plan))}{approved}: {result}{undone}"
