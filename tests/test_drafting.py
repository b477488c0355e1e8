"""What stakeholders may be told: facts alone, in plain words, and as much as they may know."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from bot.domain.card import known_references
from bot.domain.conversation import answer
from bot.domain.drafting import ACTIONS, draft
from bot.domain.presentation import Redaction
from bot.domain.stakeholder import next_due
from bot.domain.view import IncidentView
from bot.exam import recorded
from bot.exam.examiner import INCIDENTS
from bot.exam.invented import Known
from bot.wiring import specs
from config.catalogue import Team, Updates
from runbooks.actions.catalogue_of_actions import BUILT_IN
from tests import view_samples
from tests.postmortem_samples import complete
from tests.view_samples import SAMPLES, hostile, provider_outage, verified

EVERY = timedelta(minutes=30)


def drafted(view: IncidentView, readers: Redaction = "company") -> str:
    return draft(view, view.incident.opened_at, every=EVERY, readers=readers).text


def test_it_says_what_is_going_on_the_impact_the_cause_what_is_done_what_is_not_known_and_when_there_is_more() -> None:
    assert drafted(provider_outage()).split("\n") == [
        "Chat assistant: some requests of users fail, since 2026-11-22 11:50 UTC.",
        "Impact: at the worst reading 34 % of users' requests failed; normally 0.4 % (measured at 12:01 UTC).",
        "Likely cause: model provider is failing.",
        "What is being done: moving requests to another model provider is being considered; nothing was changed yet.",
        "Not known: how many people are affected, and when it will be over.",
        "Next update: by 12:30 UTC.",
    ]


def test_what_helped_is_said_and_what_is_not_known_then() -> None:
    text = drafted(verified())
    assert "no longer shows in requests of users, as measured at" in text
    assert "moving requests to another model provider was done; it helped." in text
    assert "whether it stays well" in text


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES.keys())
@pytest.mark.parametrize("readers", ["company", "public"])
def test_no_text_from_outside_is_in_it(sample: Callable[[], IncidentView], readers: Redaction) -> None:
    view = sample()
    text = drafted(view, readers)
    assert view.incident.title not in text
    for finding in view.findings:
        assert finding.reading.summary not in text
        assert all(piece.excerpt not in text for piece in finding.reading.evidence if piece.excerpt)
    assert len(text) < 1_500


def test_what_a_hostile_page_says_is_nowhere_in_it() -> None:
    text = drafted(hostile())
    for word in ("<!", "ignore", "@", "http", "`"):
        assert word not in text


@pytest.mark.parametrize("name", INCIDENTS)
def test_nothing_in_it_is_made_up(name: str) -> None:
    view = recorded.read(name)
    policy = Updates(every_min=30)
    assert view.team is not None
    view = replace(view, team=view.team.model_copy(update={"updates": policy}))
    ahead = next_due(view)
    assert ahead is not None
    made = draft(view, ahead - EVERY, every=EVERY)
    assert Known(view=view, names=frozenset(specs())).invented(made.text, made.references) == ()
    assert set(made.references) <= known_references(view) | {pv.proposal.id for pv in view.proposals}


def test_for_everybody_neither_services_nor_people_nor_providers_are_named() -> None:
    view = complete()
    text = drafted(view, "public")
    for name in ("Chat assistant", "chat-assistant", "acme", "beta", "Ana", "assist,"):
        assert name not in text
    assert text.startswith("Our chat service: ")


def test_a_cause_of_the_companys_own_library_is_not_spelt_out() -> None:
    view = provider_outage()
    assert view.diagnosis is not None
    leader = replace(view.diagnosis.leader, mode="acme-contract-ended", title="Acme has not been paid")
    told = drafted(replace(view, diagnosis=replace(view.diagnosis, ranked=(leader,))))
    assert "Cause: we have a likely cause and are confirming it." in told
    assert "paid" not in told


def test_every_built_in_action_has_plain_words() -> None:
    assert {action.spec.name for action in BUILT_IN} | {"manual"} == set(ACTIONS)


def test_without_a_cadence_nothing_is_promised() -> None:
    assert "Next update" not in draft(provider_outage(), view_samples.NOON, every=None).text


def test_updates_that_go_nowhere_and_nonsense_are_refused() -> None:
    with pytest.raises(ValidationError, match="updates go nowhere"):
        Updates(every_min=30, to_pagerduty=False)
    for wrong in ({"every_min": 1}, {"every_min": 30, "chanel": "C1"}, {"every_min": 30, "readers": "internal"}):
        with pytest.raises(ValidationError):
            Team.model_validate({"name": "web", "slack_channel": "C0", "updates": wrong})
    assert Team(name="web", slack_channel="C0").updates is None


def test_the_questions_are_answered_from_a_whole_incident() -> None:
    view = complete()
    assert "Priority `P2` in PagerDuty" in answer("what is the priority?", view).text
    assert "`Mei Tanaka` accepted" in answer("who responded?", view).text
    told = answer("when were stakeholders told last?", view).text
    assert "by `Ana Ruiz`: `Some requests fail. We work on it.`" in told
    assert "None is due any more: it is over." in told
