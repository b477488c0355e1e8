"""Questions about an incident: recognised, answered from findings with references that exist, or honestly not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.card import known_references
from bot.domain.conversation import answer, is_question, topic
from bot.domain.view import ProposalView
from knowledge.model import Match
from tests.view_samples import CHANGES, HOSTILE, OUTAGE, PLAN, RETRIEVAL, SAMPLES, catalogue, proposal, provider_outage

ASKED = {
    "why?": "why",
    "Why do you think so": "why",
    "what happened?": "why",
    "how sure are you?": "how_sure",
    "How confident is that": "how_sure",
    "what changed?": "changed",
    "was there a deploy": "changed",
    "what did you check?": "checked",
    "show me the evidence": "checked",
    "which runbook?": "runbook",
    "who owns it?": "owner",
    "who is on-call": "owner",
    "what is still unknown?": "unknown",
    "what don’t you know?": "unknown",
    "what was ruled out?": "ruled_out",
    "what will approve do?": "approve_does",
    "what happens if I press the button?": "approve_does",
    "how do we undo it?": "undo",
    "can we roll back?": "undo",
    "who can approve?": "approvers",
    "who is allowed to sign this off": "approvers",
    "status": "status",
    "where are we?": "status",
    "what did it cost so far?": "cost",
    "since when?": "since",
    "how long has this been going": "since",
    "what was it last time?": "last_time",
    "has this happened before?": "last_time",
    "is it safe?": "safe",
    "who approved it?": "approved_by",
    "was it approved?": "approved_by",
    "did it work?": "worked",
    "is it fixed?": "worked",
    "when does the lease end?": "lease",
    "how do I undo it?": "undo",
    "what is the blast radius": "safe",
    "are users affected?": "impact",
    "what should we do?": "next",
    "what about the status page?": "probe",
    "what did provider_canary say": "probe",
    "why not rate limit exceeded?": "cause",
    "is it egress-failure?": "cause",
    "approve": "no_votes",
    "LGTM, please": "no_votes",
    "what is the meaning of life?": "other",
    "can you order pizza": "other",
}


@pytest.mark.parametrize(("question", "about"), ASKED.items())
def test_a_question_is_recognised_by_its_words(question: str, about: str) -> None:
    assert topic(question, provider_outage()).name == about


@pytest.mark.parametrize("question", ASKED)
@pytest.mark.parametrize("name", SAMPLES)
def test_every_answer_is_bounded_and_cites_only_what_exists(question: str, name: str) -> None:
    view = SAMPLES[name]()
    told = answer(question, view)

    assert told.text
    assert len(told.text) <= 3_000
    assert set(told.references) <= known_references(view)


@pytest.mark.parametrize(
    ("question", "cited"),
    [
        ("why?", "ev-00000002"),
        ("how sure?", "ev-00000006"),
        ("what did you check?", "ev-00000009"),
        ("what was ruled out?", "ev-00000005"),
        ("what is still unknown?", "ev-00000008"),
        ("what changed?", "chg-12"),
        ("which runbook?", "provider-outage#is-it-this"),
        ("what will approve do?", PLAN.runbook),
        ("is it safe?", PLAN.runbook),
        ("how to undo?", PLAN.runbook),
        ("since when?", "#1"),
        ("status?", "#4"),
        ("what did it cost?", "ev-00000002"),
        ("are users affected?", "ev-00000001"),
    ],
)
def test_an_answer_rests_on_its_references_and_prints_them(question: str, cited: str) -> None:
    told = answer(question, provider_outage())

    assert told.known
    assert cited in told.references
    assert f"`{cited}`" in told.text


def test_the_answer_to_why_names_the_cause_and_what_speaks_against_the_next() -> None:
    told = answer("why?", provider_outage())

    assert told.text.startswith("Model provider is failing (97 % sure).")
    assert "5 of 5 canaries to acme-openai ended with 503" in told.text
    assert "Not Rate limit exceeded (1.5 %): rate_limit_headroom ample rules it out" in told.text


def test_who_can_approve_comes_from_the_policy_and_the_catalogue() -> None:
    told = answer("who can approve?", provider_outage())

    assert "0 of 1 approvals by team assist" in told.text
    assert "`U0ANA`, `U0BEN`" in told.text


def test_nobody_can_approve_what_the_policy_gives_to_nobody() -> None:
    shown = proposal(replace(PLAN, approver_team="", min_approvers=0), votable=False, withheld="policy names nobody")
    view = replace(provider_outage(), proposals=(ProposalView(proposal=shown),))

    assert answer("who can approve?", view).text.startswith("Nobody")


def test_an_unrecognised_question_says_that_it_does_not_know_and_what_would_tell() -> None:
    told = answer("what is the meaning of life?", SAMPLES["inconclusive"]())

    assert not told.known
    assert told.text.startswith("I don't know.")
    assert "What would tell most: golden_set (0.90 bits expected)." in told.text


def test_before_anything_is_known_why_is_not_answered_with_a_guess() -> None:
    told = answer("why?", SAMPLES["investigating"]())

    assert not told.known
    assert "What would tell: gateway_health, status_page, change_log, still running." in told.text


def test_the_last_time_is_not_made_up() -> None:
    told = answer("what was it last time?", provider_outage(), earlier=())

    assert not told.known
    assert told.text == "Not recorded: no earlier incident of chat-assistant is recorded here."
    assert answer("what was it last time?", provider_outage()).text.startswith("I don't know")


def test_an_earlier_incident_that_was_found_is_cited() -> None:
    past = Match(document="inc-00aa11", title="Provider down in March", score=0.5, prior=0.1, best_chunk="inc-00aa11")
    view = replace(provider_outage(), retrieval=replace(RETRIEVAL, matches=(*RETRIEVAL.matches, past)))
    told = answer("has this happened before?", view)

    assert told.references == ("inc-00aa11",)


def test_a_message_is_never_a_vote() -> None:
    told = answer("approve", provider_outage())

    assert told.text.startswith("Nothing was done: a message is no vote.")
    assert f"/oncall approve inc-7f3a2c {PLAN.hash[:8]}" in told.text


def test_what_speaks_against_a_named_cause_is_told_in_bits() -> None:
    told = answer("why not rate limit exceeded?", provider_outage())

    assert "-6.0 bits: rate_limit_headroom ample rules it out `ev-00000006`" in told.text


def test_undo_after_the_fact_says_when_it_happens_by_itself() -> None:
    assert "By itself at 13:04 UTC" in answer("how to undo?", SAMPLES["verified"]()).text


def test_the_owner_of_an_unknown_service_is_not_known() -> None:
    told = answer("who owns it?", replace(provider_outage(), team=None, service=None))

    assert not told.known


def test_evidence_that_is_not_there_is_not_cited() -> None:
    view = replace(provider_outage(), findings=())
    told = answer("why?", view)

    assert "ev-" not in told.text
    assert told.references == ("#4",)


def test_a_change_is_not_called_a_cause() -> None:
    assert "not yet a cause" in answer("what changed?", replace(provider_outage(), changes=CHANGES)).text


def test_the_same_question_gets_the_same_answer() -> None:
    assert answer("why?", provider_outage()) == answer("why?", provider_outage())


@pytest.mark.parametrize("question", ASKED)
def test_untrusted_text_is_quoted_and_escaped_in_every_answer(question: str) -> None:
    text = answer(question, SAMPLES["hostile"]()).text

    assert "<" not in text
    assert "\u202e" not in text
    for number, part in enumerate(text.split("`")):
        if "*Approved by" in part:
            assert number % 2 == 1, "outside a code span"


@given(st.text(max_size=600))
def test_no_question_breaks_the_answer(question: str) -> None:
    told = answer(question, provider_outage())

    assert told.text
    assert question not in told.text or len(question) < 40


@pytest.mark.parametrize("text", ["why?", "what now", "is it over?", "approve", "who owns this"])
def test_what_asks_us_something_is_a_question(text: str) -> None:
    assert is_question(text, provider_outage())


@pytest.mark.parametrize(
    "text",
    ["the deploy is done", "I am looking at the gateway", "thanks!", HOSTILE, "Bob, can you take this?",
     "Bob, can you check the gateway?", "could somebody look at it?", "lunch?", "who is hungry"],
)  # fmt: skip
def test_people_talking_to_each_other_are_left_alone(text: str) -> None:
    assert not is_question(text, provider_outage())


def test_who_decided_is_told_with_their_names() -> None:
    assert "approved by `Ana Ruiz` at 2026-11-22 12:04 UTC" in answer("who approved it?", SAMPLES["verified"]()).text
    assert "nobody has voted" in answer("who approved it?", provider_outage()).text


def test_whether_it_worked_is_told_from_the_verification() -> None:
    told = answer("did it work?", SAMPLES["verified"]())

    assert "it helped" in told.text
    assert "gateway_canary: server_error → ok" in told.text
    assert "not verified yet" in answer("is it fixed?", SAMPLES["approved"]()).text
    assert "Nothing was carried out" in answer("is it fixed?", provider_outage()).text


def test_when_the_lease_ends_is_told() -> None:
    assert "2026-11-22 13:04 UTC" in answer("when does the lease end?", SAMPLES["verified"]()).text
    assert "once the change helps" in answer("when does the lease end?", provider_outage()).text
    assert "Nothing has a lease" in answer("when does the lease end?", SAMPLES["manual"]()).text


def test_how_to_undo_says_what_there_is_to_undo_and_how() -> None:
    assert "Nothing was changed yet" in answer("how do I undo it?", provider_outage()).text
    assert "at the target yourself" in answer("how do I undo it?", SAMPLES["verified"]()).text


def test_a_manual_step_is_not_promised_to_undo_itself() -> None:
    told = answer("is it safe?", SAMPLES["manual"]()).text

    assert "undone by itself" not in told
    assert "a person has to undo it" in told
    assert "undone by itself" in answer("is it safe?", provider_outage()).text


def test_sample_services_are_in_the_catalogue() -> None:
    assert catalogue().service("chat-assistant") is not None
    assert OUTAGE.leader.mode == "provider-outage"
