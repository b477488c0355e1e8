"""Slack end to end, without Slack: real Bolt over Socket Mode and signed HTTP in the loopback workspace."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from sqlalchemy import select

from bot.domain.detail import detail
from bot.domain.proposal import Principal, ProposalState, VoteResult
from bot.domain.signature import SigningSecret
from bot.domain.view import MessageRef, ProposalView
from bot.edges import slack_http
from bot.edges.database import Database
from bot.edges.inbox import SqlInbox
from bot.edges.schema import seen
from bot.edges.slack_app import build_app, http_handler, keep_socket_mode, start_socket_mode
from bot.edges.slack_chat import SlackChat
from bot.edges.slack_client import Refused, Workspace, wait_of
from bot.edges.slack_http import SlackRefused
from bot.edges.slack_people import SlackPeople
from bot.ports import RetryLater, Told, Undeliverable
from config.catalogue import Approvers, Catalogue
from drills.slack.events import signature
from drills.slack.limits import Fault
from tests.slack_rig import Mode, Rig, rig, until
from tests.view_samples import HOSTILE, INCIDENT, MANUAL_PLAN, PLAN, SAMPLES, at, catalogue, proposal, provider_outage


@pytest.fixture(params=["socket", "http"])
async def slack(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    mode: Mode = request.param
    async with rig(mode) as running:
        await running.post_card()
        yield running


@pytest.fixture
async def socket() -> AsyncIterator[Rig]:
    async with rig("socket") as running:
        await running.post_card()
        yield running


@pytest.fixture
async def http() -> AsyncIterator[Rig]:
    async with rig("http") as running:
        await running.post_card()
        yield running


def modal(running: Rig, user: str) -> dict[str, Any]:
    shown = running.slack.surfaces.top(user)
    assert shown is not None
    return dict(shown.view)


def filled(values: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {block: {"value": value} for block, value in values.items()}


# --- Votes -------------------------------------------------------------------------------------------------------


async def test_an_approver_presses_approve_and_is_told(slack: Rig) -> None:
    await slack.press("U0ANA", "approve")

    assert slack.office.votes == [("pr-51c0de", "approve", "slack:T0LOOP/U0ANA", VoteResult.APPROVED)]
    assert slack.told("U0ANA") == ["Approved. It is being carried out exactly as shown, once."]


async def test_after_the_decision_the_buttons_are_gone_from_the_same_message(slack: Rig) -> None:
    before = slack.card
    await slack.press("U0BEN", "reject")
    after = await slack.post_card()

    assert after == before
    assert slack.told("U0BEN") == ["Rejected. Nothing was done."]
    assert not {"Approve", "Reject", "Edit", "Another option"} & set(slack.buttons())


async def test_somebody_without_the_right_is_told_whose_it_is(slack: Rig) -> None:
    await slack.press("U0GUEST", "approve")

    assert slack.office.votes[-1][3] is VoteResult.NOT_APPROVER
    assert "You are not an approver for this." in slack.told("U0GUEST")[0]
    assert "Team assist decides this." in slack.told("U0GUEST")[0]


async def test_with_two_approvers_wanted_the_first_is_told_the_count(slack: Rig) -> None:
    slack.office.put(replace(provider_outage(), proposals=(ProposalView(proposal=two_wanted()),)))
    await slack.post_card()
    await slack.press("U0ANA", "approve")
    await slack.press("U0ANA", "approve")
    await slack.press("U0BEN", "approve")

    assert [vote[3] for vote in slack.office.votes] == [
        VoteResult.RECORDED, VoteResult.REPEATED, VoteResult.APPROVED,
    ]  # fmt: skip
    assert "(1 of 2 so far)" in slack.told("U0ANA")[0]


def two_wanted() -> Any:
    return proposal(replace(PLAN, min_approvers=2))


async def test_a_plan_that_changed_since_the_card_is_not_approved(slack: Rig) -> None:
    newer = proposal(replace(PLAN, lease_s=60))
    slack.office.put(replace(provider_outage(), proposals=(ProposalView(proposal=newer),)))
    await slack.press("U0ANA", "approve")

    assert slack.office.votes[-1][3] is VoteResult.STALE_PLAN
    assert slack.told("U0ANA")[-1].startswith("The plan has changed since it was shown.")


async def test_a_press_on_a_copy_of_the_card_counts_for_nothing(slack: Rig) -> None:
    shown = slack.shown()
    copied = await slack.client.chat_postMessage(channel="C0INCIDENTS", text="copy", blocks=shown["blocks"])
    for button in ("approve", "another", "acknowledge", "why"):
        await slack.slack.acts.act("U0ANA", "C0INCIDENTS", copied["ts"], f"pagerunner_{button}")

    assert slack.office.votes == [("pr-51c0de", "approve", "slack:T0LOOP/U0ANA", VoteResult.CONTEXT_MISMATCH)]
    assert slack.office.done_ == []
    assert all("did not come from the card" in text for text in slack.told("U0ANA", "C0INCIDENTS"))


async def test_the_same_press_sent_again_is_counted_and_answered_once(slack: Rig) -> None:
    await slack.press("U0ANA", "approve")
    await slack.slack.delivery.link.replay(20)

    assert len(slack.office.votes) == 1
    assert len(slack.told("U0ANA")) == 1


async def test_while_nothing_can_be_stored_a_press_does_nothing_and_says_so(slack: Rig) -> None:
    slack.office.down = True
    done = await slack.press("U0ANA", "approve")

    assert not done.ok
    assert slack.office.votes == []
    assert "nothing was recorded" in slack.told("U0ANA")[0]


async def test_a_failure_inside_is_told_without_a_traceback(slack: Rig, caplog: pytest.LogCaptureFixture) -> None:
    slack.office.broken = True
    await slack.press("U0ANA", "why")

    assert slack.told("U0ANA") == [
        "Something went wrong. Look at the card to see whether it was recorded, and try again if it was not."
    ]
    assert "slack_listener_failed" in caplog.text


# --- The other buttons ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("button", ["acknowledge", "escalate"])
async def test_acknowledge_and_escalate_follow_a_press(slack: Rig, button: str) -> None:
    await slack.press("U0ANA", button)

    assert slack.office.done_ == [(button, INCIDENT.id, "slack:T0LOOP/U0ANA")]
    assert slack.told("U0ANA") == [f"{button} &lt;done&gt; &amp; recorded"]


async def test_another_option_is_asked_for_by_proposal(slack: Rig) -> None:
    await slack.press("U0ANA", "another")

    assert slack.office.done_ == [("another", "pr-51c0de", "slack:T0LOOP/U0ANA")]


async def test_done_is_pressed_after_a_manual_action(slack: Rig) -> None:
    slack.office.put(SAMPLES["manual"]())
    await slack.post_card()
    await slack.press("U0ANA", "done")

    assert slack.office.done_ == [("done", "pr-51c0de", "slack:T0LOOP/U0ANA")]


async def test_why_answers_the_person_and_puts_the_evidence_into_the_thread_once(slack: Rig) -> None:
    await slack.press("U0ANA", "why")
    await slack.press("U0BEN", "why")

    assert "Model provider is failing (97 % sure)" in slack.told("U0ANA")[0]
    assert "Model provider is failing (97 % sure)" in slack.told("U0BEN")[0]
    assert len(slack.thread()) == 1
    assert "+4.2 bits: provider_canary server_error" in slack.thread()[0]


async def test_edit_proposes_the_same_action_with_other_parameters(slack: Rig) -> None:
    await slack.press("U0ANA", "edit")
    view = modal(slack, "U0ANA")
    done = await slack.slack.acts.submit("U0ANA", view["id"], filled({"p_percent": "50"}))

    assert done.ok
    assert slack.office.done_[0][:3] == ("edit", "pr-51c0de", "slack:T0LOOP/U0ANA")
    assert "'percent': '50'" in slack.office.done_[0][3]
    assert "'to': 'beta-anthropic'" in slack.office.done_[0][3]
    assert slack.told("U0ANA") == ["A new proposal was made."]


@pytest.mark.parametrize(
    ("value", "said"),
    [("half", "must be a number"), ("12.5", "must be a whole number"), ("1e99", "too large"), ("5\u200b0", "be seen")],
)
async def test_edit_refuses_what_is_not_of_the_parameters_kind(slack: Rig, value: str, said: str) -> None:
    await slack.press("U0ANA", "edit")
    done = await slack.slack.acts.submit("U0ANA", modal(slack, "U0ANA")["id"], filled({"p_percent": value}))

    assert said in done.errors["p_percent"]
    assert slack.office.done_ == []


async def test_edit_shows_what_the_action_refuses_at_its_field_and_can_be_corrected(slack: Rig) -> None:
    slack.office.edit_answer = Told(ok=False, text="percent must be at most 100")
    await slack.press("U0ANA", "edit")
    view = modal(slack, "U0ANA")
    refused = await slack.slack.acts.submit("U0ANA", view["id"], filled({"p_percent": "500"}))
    slack.office.edit_answer = Told(ok=True, text="A new proposal was made.")
    taken = await slack.slack.acts.submit("U0ANA", view["id"], filled({"p_percent": "90"}))

    assert refused.errors == {"p_percent": "percent must be at most 100"}
    assert taken.ok
    assert len(slack.office.done_) == 2


async def test_edit_of_a_plan_that_changed_meanwhile_is_refused(slack: Rig) -> None:
    await slack.press("U0ANA", "edit")
    newer = proposal(replace(PLAN, lease_s=60))
    slack.office.put(replace(provider_outage(), proposals=(ProposalView(proposal=newer),)))
    await slack.slack.acts.submit("U0ANA", modal(slack, "U0ANA")["id"], filled({"p_percent": "50"}))

    assert slack.office.done_ == []
    assert slack.told("U0ANA")[-1].startswith("The plan has changed")


async def test_a_form_that_slack_no_longer_opens_is_explained(slack: Rig) -> None:
    slack.slack.api.faults.add(Fault(method="views.open", status=200, error="expired_trigger_id"))
    await slack.press("U0ANA", "edit")

    assert "press the button again" in slack.told("U0ANA")[0]


async def test_what_a_person_did_by_themselves_goes_on_the_timeline(slack: Rig) -> None:
    slack.office.put(SAMPLES["observe"]())
    await slack.post_card()
    await slack.press("U0BEN", "did")
    await slack.slack.acts.submit("U0BEN", modal(slack, "U0BEN")["id"], filled({"text": "I switched it by hand"}))

    assert slack.office.done_ == [("person_did", INCIDENT.id, "I switched it by hand")]


# --- /oncall -------------------------------------------------------------------------------------------------------


async def test_help_lists_every_command(slack: Rig) -> None:
    text = await slack.type("U0ANA", "/oncall")

    for name in ("help", "list", "show", "why", "approve", "reject", "ack", "escalate", "resolve", "export",
                 "freeze", "unfreeze"):  # fmt: skip
        assert f"`/oncall {name}" in text


async def test_list_shows_what_is_open(slack: Rig) -> None:
    text = await slack.type("U0CHI", "/oncall list", "C0TRUST")

    assert "`inc-7f3a2c` open, chat-assistant, since 2026-11-22 12:00 UTC" in text
    slack.office.views.clear()
    assert await slack.type("U0CHI", "/oncall list", "C0TRUST") == "There is no open incident."


async def test_show_is_the_card_for_one_person_without_buttons(slack: Rig) -> None:
    await slack.type("U0ANA", "/oncall show")
    messages = slack.slack.workspace.channels["C0ASSIST"].messages.values()
    shown = [m.payload for m in messages if m.only_for == "U0ANA"][-1]

    assert shown["blocks"][0]["text"]["text"] == "Model provider is failing (97 % sure)"
    assert not [block for block in shown["blocks"] if block["type"] == "actions"]


async def test_an_incident_is_also_found_by_the_pagers_reference(slack: Rig) -> None:
    assert "97 % sure" in await slack.type("U0CHI", "/oncall why Q2PQ7M1", "C0TRUST")


async def test_why_takes_any_question(slack: Rig) -> None:
    assert "Prompt chat 13" in await slack.type("U0ANA", "/oncall why inc-7f3a2c what changed?")
    assert "is owned by team assist" in await slack.type("U0ANA", "/oncall why who owns it?")


async def test_a_vote_by_command_names_the_plan_that_was_seen(slack: Rig) -> None:
    asked = await slack.type("U0ANA", "/oncall approve inc-7f3a2c")

    assert slack.office.votes == []
    assert f"`/oncall approve inc-7f3a2c {PLAN.hash[:8]}`" in asked
    assert (await slack.type("U0ANA", f"/oncall approve inc-7f3a2c {PLAN.hash[:8]}")).startswith("Approved.")
    assert slack.office.votes[-1][3] is VoteResult.APPROVED


async def test_a_vote_by_command_on_another_plan_is_refused(slack: Rig) -> None:
    text = await slack.type("U0ANA", "/oncall approve inc-7f3a2c 00000000")

    assert text.startswith("The plan has changed since it was shown.")
    assert slack.office.votes == []


async def test_reject_by_command_takes_a_reason(slack: Rig) -> None:
    text = await slack.type("U0BEN", f"/oncall reject inc-7f3a2c {PLAN.hash[:12]} beta is down too")

    assert text == "Rejected. Nothing was done."


@pytest.mark.parametrize(
    ("command", "done"),
    [("ack", "acknowledge"), ("escalate", "escalate"), ("resolve", "resolve")],
)
async def test_incident_commands_work_without_an_id_where_it_is_clear(slack: Rig, command: str, done: str) -> None:
    await slack.type("U0ANA", f"/oncall {command}")

    assert slack.office.done_ == [(done, INCIDENT.id, "slack:T0LOOP/U0ANA")]


async def test_freeze_and_unfreeze_name_a_service_and_a_reason(slack: Rig) -> None:
    await slack.type("U0ANA", "/oncall freeze chat-assistant release day")
    await slack.type("U0ANA", "/oncall freeze * everything burns")
    await slack.type("U0ANA", "/oncall unfreeze *")

    assert slack.office.done_ == [
        ("freeze", "chat-assistant", "release day"), ("freeze", "*", "everything burns"), ("unfreeze", "*", ""),
    ]  # fmt: skip


WRONG = (
    ("/oncall aprove", "Did you mean `approve`?"),
    ("/oncall dance", "`/oncall help` shows"),
    ("/oncall show inc-7f3a2d", "Did you mean `inc-7f3a2c`?"),
    ("/oncall show nothing", "`/oncall list` shows"),
    ("/oncall ack inc-7f3a2c now", "I do not know what `now` means here"),
    ("/oncall freeze", "Usage: `/oncall freeze SERVICE|* REASON`"),
    ("/oncall freeze chat-assistant", "Usage: `/oncall freeze SERVICE|* REASON`"),
    ("/oncall freeze chat-asistant today", "Did you mean `chat-assistant`?"),
    ("/oncall unfreeze", "Name a service"),
    ("/oncall export inc-7f3a2c xls", "There is no form `xls`"),
    ("/oncall " + "x" * 100_000, "characters long"),
    ("/oncall show \u202einc", "invisible characters"),
    ("/oncall show <!channel>", "`&lt;!channel&gt;`"),
    ("/oncall show ../../etc", "There is no incident"),
)


async def test_a_wrong_command_says_what_to_type_instead(socket: Rig) -> None:
    answers = [(typed, said, await socket.type("U0ANA", typed)) for typed, said in WRONG]

    assert [typed[:60] for typed, said, text in answers if said not in text or "<" in text] == []
    assert socket.office.done_ == []


async def test_where_two_incidents_are_open_the_command_asks_which(socket: Rig) -> None:
    socket.office.views["inc-2"] = replace(provider_outage(), incident=replace(INCIDENT, id="inc-2"), message=None)

    assert (await socket.type("U0ANA", "/oncall show")).startswith("Which incident?")


async def test_no_control_character_of_a_command_reaches_the_log(socket: Rig, caplog: pytest.LogCaptureFixture) -> None:
    await socket.type("U0ANA", "/oncall show x\x1b[31m\x07")

    assert "\x1b" not in caplog.text


async def test_export_uploads_the_file_below_the_card(slack: Rig) -> None:
    told = await slack.type("U0ANA", "/oncall export inc-7f3a2c csv")
    files = [m.payload["files"][0] for m in slack.slack.workspace.channels["C0ASSIST"].messages.values()
             if "files" in m.payload and m.payload.get("thread_ts") == slack.card.ts]  # fmt: skip

    assert files[0]["name"] == "inc-7f3a2c.csv"
    assert told == "inc-7f3a2c.csv follows in the thread of the card."


async def test_export_can_be_chosen_in_a_form(slack: Rig) -> None:
    await slack.type("U0ANA", "/oncall export")
    view = modal(slack, "U0ANA")
    await slack.slack.acts.submit("U0ANA", view["id"], filled({"incident": INCIDENT.id, "form": "html"}))

    assert await until(lambda: [text for text in slack.told("U0ANA") if "inc-7f3a2c.html" in text])


async def test_where_files_are_not_allowed_the_beginning_is_shown_as_text(socket: Rig) -> None:
    socket.slack.api.faults.add(Fault(method="files.getUploadURLExternal", status=200, error="missing_scope"))
    await socket.type("U0ANA", "/oncall export inc-7f3a2c")
    (told,) = socket.thread()

    assert "missing_scope" in told
    assert "`pagerunner export inc-7f3a2c` writes it whole" in told
    assert "```# inc-7f3a2c as md" in told


# --- Conversation --------------------------------------------------------------------------------------------------


async def test_a_question_in_the_thread_is_answered_there_and_put_on_the_timeline(slack: Rig) -> None:
    slack.slack.acts.say("U0BEN", "C0ASSIST", "why?", thread_ts=slack.card.ts)
    told = await until(slack.thread)

    assert told[0].startswith("Model provider is failing (97 % sure).")
    assert ("question_asked", INCIDENT.id, "why?") in slack.office.done_


async def test_a_mention_is_answered_once_although_slack_sends_two_events(slack: Rig) -> None:
    slack.slack.acts.say("U0BEN", "C0ASSIST", "@pagerunner what did you check?", thread_ts=slack.card.ts)
    await until(slack.thread)
    await until(lambda: len([d for d in slack.slack.delivery.sent if d["kind"] == "events_api" and d["ok"]]) >= 2)

    assert len(slack.thread()) == 1
    assert "`ev-00000009`" in slack.thread()[0]


async def test_a_mention_elsewhere_answers_below_it(slack: Rig) -> None:
    done = slack.slack.acts.say("U0CHI", "C0INCIDENTS", "@pagerunner status?")
    where = slack.slack.workspace.channels["C0INCIDENTS"].messages
    reply = await until(
        lambda: [m for m in where.values() if m.payload.get("thread_ts") == done.ts and m.ts != done.ts]
    )

    assert reply[0].payload["text"].startswith("Ask me in the thread of an incident's card")


async def test_people_talking_to_each_other_are_not_interrupted(slack: Rig) -> None:
    slack.slack.acts.say("U0BEN", "C0ASSIST", "the deploy is done", thread_ts=slack.card.ts)
    slack.slack.acts.say("U0BEN", "C0ASSIST", "how sure?", thread_ts=slack.card.ts)
    await until(slack.thread)

    assert len(slack.thread()) == 1


async def test_events_that_arrive_again_are_answered_once(slack: Rig) -> None:
    slack.slack.delivery.mischief.repeat = 3
    slack.slack.acts.say("U0BEN", "C0ASSIST", "why?", thread_ts=slack.card.ts)
    await until(lambda: len([d for d in slack.slack.delivery.sent if d["kind"] == "events_api"]) >= 4)

    assert len(slack.thread()) == 1


async def test_an_event_whose_first_delivery_was_lost_is_answered(slack: Rig) -> None:
    slack.slack.delivery.mischief.lose_first = 1
    slack.slack.acts.say("U0BEN", "C0ASSIST", "why?", thread_ts=slack.card.ts)

    assert await until(slack.thread)


async def test_an_event_that_could_not_be_stored_is_asked_for_again(slack: Rig) -> None:
    slack.office.down = True
    slack.slack.acts.say("U0BEN", "C0ASSIST", "why?", thread_ts=slack.card.ts)
    await until(lambda: [d for d in slack.slack.delivery.sent if d["kind"] == "events_api" and not d["ok"]])
    slack.office.down = False

    assert await until(slack.thread)


@pytest.mark.parametrize(
    ("text", "done"),
    [("hint: it is the gateway", None), ("did: restarted it", ("person_did", INCIDENT.id, "restarted it")),
     ("Note: customer called", ("note_added", INCIDENT.id, "customer called"))],
)  # fmt: skip
async def test_what_people_tell_is_taken_down(socket: Rig, text: str, done: tuple[str, ...] | None) -> None:
    socket.slack.acts.say("U0BEN", "C0ASSIST", text, thread_ts=socket.card.ts)
    await until(socket.thread)

    assert socket.office.hints == (["it is the gateway"] if done is None else [])
    assert socket.office.done_ == ([] if done is None else [done])


async def test_our_own_messages_are_never_read_as_questions(slack: Rig) -> None:
    await slack.chat.say(slack.card, "why? @pagerunner why?")
    slack.slack.acts.say("U0BEN", "C0ASSIST", "how sure?", thread_ts=slack.card.ts)
    await until(lambda: len(slack.thread()) >= 2)

    assert len(slack.thread()) == 2


async def test_a_stranger_gets_no_answer_about_an_incident(slack: Rig) -> None:
    slack.slack.workspace.channels["C0ASSIST"].members.append("U0STRANGER")
    slack.slack.acts.say("U0STRANGER", "C0ASSIST", "why?", thread_ts=slack.card.ts)
    slack.slack.acts.say("U0BEN", "C0ASSIST", "how sure?", thread_ts=slack.card.ts)
    await until(slack.thread)

    assert len(slack.thread()) == 1
    assert slack.thread()[0].startswith("• 97 %")


async def test_a_message_that_says_approved_is_no_vote(slack: Rig) -> None:
    slack.slack.acts.say("U0ANA", "C0ASSIST", "approve", thread_ts=slack.card.ts)
    told = await until(slack.thread)

    assert told[0].startswith("Nothing was done: a message is no vote.")
    assert slack.office.votes == []


# --- Who may approve -----------------------------------------------------------------------------------------------


def person(user: str, team: str = "T0LOOP", via: str = "slack") -> Principal:
    return Principal(id=f"slack:{team}/{user}", name=user, via=via)


def everybody_listed() -> Catalogue:
    listed = tuple(f"U0{name}" for name in ("ANA", "GUEST", "STRANGER", "GONE", "PAGERUN", "NOBODY"))
    teams = tuple(team.model_copy(update={"approvers": Approvers(slack_users=listed)}) for team in catalogue().teams)
    return catalogue().model_copy(update={"teams": teams})


@pytest.mark.parametrize(
    ("user", "why"),
    [("U0GUEST", "a guest cannot approve"), ("U0STRANGER", "another organisation"), ("U0GONE", "deactivated"),
     ("U0PAGERUN", "a bot cannot approve"), ("U0NOBODY", "Slack cannot say who you are")],
)  # fmt: skip
async def test_being_listed_is_not_enough(socket: Rig, user: str, why: str) -> None:
    people = SlackPeople(socket.client, Workspace(socket.client), everybody_listed(), socket.deps.clock)
    allowed, said = await people.may_approve(person(user), "assist")

    assert not allowed
    assert why in said
    assert (await people.may_approve(person("U0ANA"), "assist")) == (True, "")


@pytest.mark.parametrize(
    "who",
    [person("U0ANA", "T0OTHER"), person("U0CHI"), Principal(id="U0ANA", name="Ana", via="slack"),
     Principal(id="local:root", name="root", via="slack"), person("U0ANA", via="api"),
     Principal(id="slack:T0LOOP/U0ANA;x", name="Ana", via="slack")],
)  # fmt: skip
async def test_nobody_else_is_an_approver_of_the_team(socket: Rig, who: Principal) -> None:
    assert not (await socket.people.may_approve(who, "assist"))[0]


async def test_a_local_person_may_approve_where_the_team_lets_them(socket: Rig) -> None:
    who = Principal(id="local:root", name="root", via="cli")

    assert (await socket.people.may_approve(who, "assist"))[0]
    assert not (await SlackPeople(socket.client, Workspace(socket.client), everybody_listed(), socket.deps.clock)
                .may_approve(who, "assist"))[0]  # fmt: skip
    assert not (await socket.people.may_approve(who, ""))[0]
    assert not (await socket.people.may_approve(who, "nobody"))[0]


@pytest.mark.parametrize("status", [500, 429, "reset"])
async def test_when_slack_cannot_say_who_it_is_the_answer_is_no(socket: Rig, status: Any) -> None:
    socket.slack.api.faults.add(Fault(method="users.info", status=status, count=10))
    allowed, why = await socket.people.may_approve(person("U0ANA"), "assist")

    assert not allowed
    assert "pagerunner approve" in why


async def test_a_user_group_gives_the_right_and_is_asked_at_most_once_a_minute(socket: Rig) -> None:
    from tests.conftest import FakeClock

    team = catalogue().teams[0].model_copy(update={"approvers": Approvers(slack_groups=("S0ASSIST",))})
    groups = catalogue().model_copy(update={"teams": (team,)})
    clock = FakeClock()
    people = SlackPeople(socket.client, Workspace(socket.client), groups, clock)

    assert (await people.may_approve(person("U0BEN"), "assist"))[0]
    assert not (await people.may_approve(person("U0CHI"), "assist"))[0]
    asked = [call for call in socket.slack.api.calls if call["method"] == "usergroups.users.list"]
    assert len(asked) == 1
    left = socket.slack.workspace.usergroups["S0ASSIST"].model_copy(update={"users": ("U0ANA",)})
    socket.slack.workspace.usergroups["S0ASSIST"] = left
    clock.advance(61)
    assert not (await people.may_approve(person("U0BEN"), "assist"))[0]


# --- The chat port ---------------------------------------------------------------------------------------------------


async def test_the_card_is_one_message_that_is_edited(socket: Rig) -> None:
    for name in ("investigating", "provider_outage", "approved", "verified", "resolved"):
        socket.office.put(SAMPLES[name]())
        await socket.post_card()
    ours = [m for m in socket.slack.workspace.channels["C0ASSIST"].messages.values() if not m.only_for]

    assert len(ours) == 1
    assert socket.shown()["blocks"][0]["text"]["text"] == "Resolved: it was “Model provider is failing” (97 % sure)"


async def test_slack_takes_every_card_and_every_detail(socket: Rig) -> None:
    for build_view in SAMPLES.values():
        posted = await socket.chat.card(build_view(), None)
        for part in detail(build_view()):
            await socket.chat.say(posted, part)

    assert all(call["ok"] for call in socket.slack.api.calls)


async def test_nothing_unfurls(socket: Rig) -> None:
    await socket.chat.say(socket.card, "see https://evil.example")
    posts = [call["args"] for call in socket.slack.api.calls if call["method"] == "chat.postMessage"]

    assert all(str(args[key]).lower() in ("0", "false") for args in posts for key in ("unfurl_links", "unfurl_media"))


async def test_no_token_is_in_what_is_posted(socket: Rig) -> None:
    assert "xoxb" not in json.dumps(socket.slack.api.calls)


async def test_hostile_text_reaches_slack_as_text(socket: Rig) -> None:
    posted = await socket.chat.card(SAMPLES["hostile"](), None)
    payload = socket.slack.workspace.message(posted.channel, posted.ts).payload

    assert "<!channel>" not in payload["text"]
    assert "&lt;!channel&gt;" in HOSTILE.replace("<", "&lt;").replace(">", "&gt;")
    assert len([block for block in payload["blocks"] if block["type"] == "actions"]) == 2


PASSES: tuple[tuple[Any, str | None, float], ...] = (
    (429, "7", 7), (429, "0", 1), (429, "86400", 300), (429, "soon", 30), (429, None, 30), (503, None, 5),
    ("reset_before", None, 5),
)  # fmt: skip


async def test_what_passes_is_tried_again_later(socket: Rig) -> None:
    for status, retry_after, seconds in PASSES:
        socket.slack.api.faults.add(Fault(method="chat.update", status=status, retry_after=retry_after))
        with pytest.raises(RetryLater) as caught:
            await socket.post_card()
        assert caught.value.after_s == seconds, (status, retry_after)

    await socket.post_card()


async def test_what_stays_is_undeliverable_and_says_what_to_do(socket: Rig) -> None:
    for code in ("invalid_auth", "token_revoked", "account_inactive", "channel_not_found", "is_archived",
                 "not_in_channel", "restricted_action", "missing_scope"):  # fmt: skip
        socket.slack.api.faults.add(Fault(method="chat.postMessage", status=200, error=code))
        with pytest.raises(Undeliverable, match=code) as caught:
            await socket.chat.say(socket.card, "hello")
        assert ";" in str(caught.value)


async def test_no_call_is_repeated_by_the_client_itself(socket: Rig) -> None:
    socket.slack.api.faults.add(Fault(method="chat.postMessage", status="reset_before", count=5))
    before = len(socket.slack.api.calls)

    with pytest.raises(RetryLater):
        await socket.chat.card(provider_outage(), None)

    tries = [call for call in socket.slack.api.calls[before:] if call["method"] == "chat.postMessage"]
    assert len(tries) == 1


async def test_a_card_whose_answer_was_lost_is_found_and_not_posted_twice(socket: Rig) -> None:
    socket.slack.api.faults.add(Fault(method="chat.postMessage", status="reset"))
    view = replace(provider_outage(), incident=replace(INCIDENT, id="inc-lost"))

    with pytest.raises(RetryLater):
        await socket.chat.card(view, None)
    again = await socket.chat.card(view, None)

    cards = [m for m in socket.slack.workspace.channels["C0ASSIST"].messages.values()
             if "inc-lost" in str(m.payload.get("text"))]  # fmt: skip
    assert [card.ts for card in cards] == [again.ts]


async def test_a_reply_whose_answer_was_lost_is_not_said_twice(socket: Rig) -> None:
    socket.slack.api.faults.add(Fault(method="chat.postMessage", status="reset"))

    with pytest.raises(RetryLater):
        await socket.chat.say(socket.card, "It has recovered.")
    await socket.chat.say(socket.card, "It has recovered.")

    assert socket.thread() == ["It has recovered."]


async def test_a_card_that_somebody_deleted_is_posted_again(socket: Rig) -> None:
    await socket.client.chat_delete(channel=socket.card.channel, ts=socket.card.ts)
    before = socket.card

    assert await socket.post_card() != before
    assert "Approve" in socket.buttons()


async def test_when_slack_refuses_the_layout_people_still_get_the_line(socket: Rig) -> None:
    socket.slack.api.faults.add(Fault(method="chat.postMessage", status=200, error="invalid_blocks"))
    posted = await socket.chat.card(provider_outage(), None)

    assert "Model provider is failing" in socket.slack.workspace.message(posted.channel, posted.ts).payload["text"]


@pytest.mark.parametrize("flag", ["is_ext_shared", "is_pending_ext_shared"])
async def test_nothing_is_posted_where_another_organisation_reads(socket: Rig, flag: str) -> None:
    channel = socket.slack.workspace.channels["C0CREATOR"]
    setattr(channel, flag, True)
    view = replace(provider_outage(), incident=replace(INCIDENT, channel="C0CREATOR"))

    with pytest.raises(Undeliverable, match="another organisation"):
        await socket.chat.card(view, None)
    with pytest.raises(Refused):
        await socket.chat.say(MessageRef(channel="C0CREATOR", ts="1.1"), "hello")
    assert not channel.messages


async def test_a_channel_that_becomes_shared_is_noticed_within_a_minute(socket: Rig) -> None:
    from tests.conftest import FakeClock

    clock = FakeClock()
    chat = SlackChat(socket.client, clock)
    await chat.card(provider_outage(), socket.card)
    socket.slack.workspace.channels["C0ASSIST"].is_ext_shared = True
    clock.advance(61)

    with pytest.raises(Undeliverable):
        await chat.card(provider_outage(), socket.card)


@pytest.mark.parametrize(
    ("header", "seconds"), [("12", 12), ("٣", 30), ("-5", 30), ("1.5", 30), (" 7", 30), ("9" * 40, 30), (None, 30)]
)
def test_retry_after_is_read_strictly(header: str | None, seconds: float) -> None:
    assert wait_of(header) == seconds


# --- Both ways in ----------------------------------------------------------------------------------------------------


async def test_a_refused_app_token_is_reported(socket: Rig) -> None:
    app = build_app(socket.deps)

    with pytest.raises(RetryLater, match="invalid_auth"):
        await start_socket_mode(app, "xapp-wrong", f"{socket.slack.url}/api/")


async def test_an_unreachable_slack_is_reported(socket: Rig) -> None:
    app = build_app(socket.deps)

    with pytest.raises(RetryLater, match="could not be reached"):
        await start_socket_mode(app, "xapp-loopback", "http://127.0.0.1:9/api/")


async def test_slacks_absence_at_the_start_is_waited_out() -> None:
    from tests.conftest import FakeClock

    async with rig("http") as running:
        running.slack.delivery.link = running.slack.socket_mode
        app = build_app(running.deps)
        running.slack.api.faults.add(Fault(method="apps.connections.open", status=503, count=3))
        keeping = asyncio.create_task(keep_socket_mode(app, "xapp-loopback", f"{running.slack.url}/api/", FakeClock()))
        tried = lambda: [c for c in running.slack.api.calls if c["method"] == "apps.connections.open"]  # noqa: E731
        await until(lambda: len(tried()) > 3)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

        assert [call["status"] for call in tried()][:4] == [503, 503, 503, 200]


async def test_the_socket_comes_back_after_slack_refreshes_it(socket: Rig) -> None:
    await socket.slack.socket_mode.disconnect("refresh_requested")
    await until(socket.slack.socket_mode.connected)
    await socket.press("U0ANA", "acknowledge")

    assert socket.office.done_[0][0] == "acknowledge"


async def post(running: Rig, body: bytes, *, secret: str = "loopback-signing-secret", age: int = 0,
               kind: str = "application/json", extra: dict[str, str] | None = None) -> int:  # fmt: skip
    stamp = str(int(time.time()) - age)
    headers = {"Content-Type": kind, "X-Slack-Request-Timestamp": stamp,
               "X-Slack-Signature": signature(secret, stamp, body), **(extra or {})}  # fmt: skip
    assert running.slack.http is not None
    async with aiohttp.ClientSession() as session, session.post(
        running.slack.http.url, data=body, headers=headers
    ) as reply:  # fmt: skip
        return reply.status


def click(running: Rig, **changes: Any) -> bytes:
    value = next(
        element["value"] for block in running.shown()["blocks"] if block["type"] == "actions"
        for element in block["elements"] if element["action_id"] == "pagerunner_approve"
    )  # fmt: skip
    payload = {
        "type": "block_actions", "api_app_id": "A0PAGERUN", "team": {"id": "T0LOOP"}, "trigger_id": "1.2.3",
        "user": {"id": "U0ANA", "username": "ana", "team_id": "T0LOOP"},
        "container": {"type": "message", "channel_id": running.card.channel, "message_ts": running.card.ts},
        "channel": {"id": running.card.channel},
        "actions": [{"type": "button", "action_id": "pagerunner_approve", "block_id": "pagerunner_vote",
                     "action_ts": "1.5", "value": value}],
        **changes,
    }  # fmt: skip
    return urlencode({"payload": json.dumps(payload)}).encode()


FORM = "application/x-www-form-urlencoded"


async def test_a_signed_press_is_counted_whatever_it_says_about_lazy_listeners(http: Rig) -> None:
    lazy = {"X-Slack-Bolt-Lazy-Only": "1", "X-Slack-Bolt-Lazy-Function-Name": "clicked"}

    assert await post(http, click(http), kind=FORM, extra=lazy) == 200
    assert [vote[3] for vote in http.office.votes] == [VoteResult.APPROVED]


@pytest.mark.parametrize(
    "changes",
    [{"team": {"id": "T0OTHER"}}, {"api_app_id": "A0OTHER"}, {"team": None}],
)
async def test_a_request_for_another_workspace_or_app_is_refused(http: Rig, changes: dict[str, Any]) -> None:
    assert await post(http, click(http, **changes), kind=FORM) == 403
    assert await post(http, click(http, **changes), kind=FORM) == 403
    assert http.office.votes == []
    assert [fact.kind for fact in http.office.audited] == ["foreign_team"]


async def test_while_the_database_is_locked_nothing_is_acknowledged_that_is_not_in_it(
    http: Rig, database: Database
) -> None:
    inbox = SqlInbox(database)

    async def first_time(seen: str) -> bool:
        return await inbox.first_time(seen, 0.0)

    handler = http_handler(build_app(replace(http.deps, first_time=first_time)))
    lock = sqlite3.connect(database.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")

    async def send(number: int) -> int:
        body, stamp = click(http, actions=[{**_approve(http), "action_ts": f"7.{number}"}]), str(int(time.time()))
        headers = [(b"content-type", FORM.encode()), (b"x-slack-request-timestamp", stamp.encode()),
                   (b"x-slack-signature", signature("loopback-signing-secret", stamp, body).encode())]  # fmt: skip
        secrets = [SigningSecret(value="loopback-signing-secret")]
        verified = slack_http.verify(body, headers, secrets, datetime.now(UTC))
        assert not isinstance(verified, SlackRefused)
        return (await handler(verified)).status

    sending = [asyncio.create_task(send(number)) for number in range(100)]
    await asyncio.sleep(2)
    assert not [task for task in sending if task.done() and task.result() == 200]
    lock.execute("COMMIT")
    lock.close()
    statuses = await asyncio.gather(*sending)

    kept = await database.run(lambda c: list(c.execute(select(seen.c.key)).scalars()))
    taken = [number for number, status in enumerate(statuses) if status == 200]
    assert set(statuses) <= {200, 503}
    assert taken
    for number in taken:
        assert [one for one in kept if f":7.{number}:" in one], number


async def test_what_only_one_person_is_told_is_told_again_after_a_rate_limit(slack: Rig) -> None:
    slack.slack.api.faults.add(Fault(method="chat.postEphemeral", status=429, retry_after="1", count=2))
    await slack.press("U0ANA", "approve")

    assert await until(lambda: slack.told("U0ANA")) == ["Approved. It is being carried out exactly as shown, once."]


async def test_what_a_person_wrote_is_kept_as_they_wrote_it(socket: Rig) -> None:
    text = "note: a < b & c, @ben saw it in #assist-incidents"
    socket.slack.acts.say("U0ANA", "C0ASSIST", text, thread_ts=socket.card.ts)
    await until(socket.thread)

    assert socket.office.done_ == [("note_added", INCIDENT.id, "a < b & c, @ben saw it in #assist-incidents")]


async def test_a_question_to_somebody_else_gets_silence(socket: Rig) -> None:
    for text in ("Bob, can you take this?", "@ben what changed?", "any idea?"):
        socket.slack.acts.say("U0ANA", "C0ASSIST", text, thread_ts=socket.card.ts)
    socket.slack.acts.say("U0ANA", "C0ASSIST", "how sure?", thread_ts=socket.card.ts)
    await until(socket.thread)

    assert len(socket.thread()) == 1
    assert socket.thread()[0].startswith("• 97 %")


async def test_a_long_list_says_how_many_more_there_are(socket: Rig) -> None:
    for number in range(20):
        view = replace(provider_outage(), incident=replace(INCIDENT, id=f"inc-{number}"), message=None)
        socket.office.views[f"inc-{number}"] = view

    assert (await socket.type("U0ANA", "/oncall list")).splitlines()[-1].startswith("and 6 more")


async def test_help_tells_what_can_be_said_in_the_thread(socket: Rig) -> None:
    text = await socket.type("U0ANA", "/oncall help")

    assert all(word in text for word in ("`hint: …`", "`note: …`", "`did: …`"))


async def test_a_press_by_a_foreign_user_in_our_workspace_is_denied(http: Rig) -> None:
    foreign = {"id": "U0ANA", "username": "ana", "team_id": "T0OTHER"}

    assert await post(http, click(http, user=foreign), kind=FORM) == 200
    assert [vote[3] for vote in http.office.votes] == [VoteResult.NOT_APPROVER]


@pytest.mark.parametrize("container", [{"channel_id": "C0TRUST", "message_ts": "1.1"}, {}, {"message_ts": "9.9"}])
async def test_a_press_that_names_another_message_is_a_mismatch(http: Rig, container: dict[str, str]) -> None:
    changed = click(http, container=container, channel={"id": container.get("channel_id", "C0ASSIST")})

    assert await post(http, changed, kind=FORM) == 200
    assert [vote[3] for vote in http.office.votes] == [VoteResult.CONTEXT_MISMATCH]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [({"secret": "wrong"}, 401), ({"age": 301}, 401), ({"age": -330}, 401)],
)
async def test_what_slack_did_not_sign_now_is_refused(http: Rig, arguments: dict[str, Any], status: int) -> None:
    assert await post(http, click(http), kind=FORM, **arguments) == status
    assert http.office.votes == []


@pytest.mark.parametrize(
    "body", [b"{not json", b"[" * 20_000, b"[1,2]", b"payload=%5B1%5D", b"\xff\xfe", b"payload={", b"", b"a=1"]
)
async def test_a_signed_body_that_is_not_slacks_is_a_bad_request(http: Rig, body: bytes) -> None:
    assert await post(http, body, kind=FORM) == 400


async def test_the_url_handshake_is_answered(http: Rig) -> None:
    assert http.slack.http is not None

    assert await http.slack.http.verify("challenge-1")


async def test_an_unsigned_ssl_check_is_refused(http: Rig) -> None:
    assert http.slack.http is not None
    async with aiohttp.ClientSession() as session, session.post(
        http.slack.http.url, data=b"ssl_check=1&token=x"
    ) as reply:  # fmt: skip
        assert reply.status == 401


async def test_an_event_nobody_asked_for_is_acknowledged(http: Rig) -> None:
    event = {"type": "event_callback", "team_id": "T0LOOP", "api_app_id": "A0PAGERUN", "event_id": "Ev1",
             "event": {"type": "channel_rename", "channel": {"id": "C1"}}}  # fmt: skip

    assert await post(http, json.dumps(event).encode()) == 200


async def test_many_presses_at_once_are_each_judged_once(http: Rig) -> None:
    presses = [click(http, actions=[{**_approve(http), "action_ts": f"1.{n}"}]) for n in range(20)]
    statuses = await asyncio.gather(*(post(http, press, kind=FORM) for press in presses))

    assert set(statuses) == {200}
    assert [vote[3] for vote in http.office.votes].count(VoteResult.APPROVED) == 1
    assert len(http.office.votes) == 20


def _approve(running: Rig) -> dict[str, Any]:
    blocks = [block for block in running.shown()["blocks"] if block["type"] == "actions"]
    element = next(e for block in blocks for e in block["elements"] if e["action_id"] == "pagerunner_approve")
    return {"type": "button", "action_id": "pagerunner_approve", "block_id": "x", "value": element["value"]}


async def test_manual_plans_and_clocks_of_the_samples_are_what_the_tests_think() -> None:
    assert MANUAL_PLAN.effect == "manual"
    assert proposal().state is ProposalState.OPEN
    assert at(0) == datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
