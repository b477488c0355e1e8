"""The pager and the stakeholders in step, end to end: real Bolt in the loopback workspace, and a real PagerDuty API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.domain.card import build
from bot.domain.faults import no_fault
from bot.domain.handover import handover
from bot.domain.page import Remark
from bot.domain.stakeholder import due, next_due, updates
from bot.edges.courier import Courier
from bot.edges.slack_comms import ELSEWHERE
from bot.ports import RetryLater, StorageDown, Told, UpdateDraft
from config.catalogue import Catalogue, Updates
from tests.duty_rig import ANA, DutyRig, duty_rig
from tests.test_cli_acts import typed
from tests.web_fakes import site

EVERY = timedelta(minutes=30)
POLICY = Updates(every_min=30, channel="C0UPDATES")
BEN = replace(ANA, id="slack:T0LOOP/U0BEN", name="ben")


def with_updates(catalogue: Catalogue, policy: Updates | None = POLICY) -> Catalogue:
    """The catalogue in which the team keeps its stakeholders up to date."""
    teams = tuple(
        team.model_copy(update={"updates": policy}) if team.name == "assist" else team for team in catalogue.teams
    )
    return catalogue.model_copy(update={"teams": teams})


@pytest.fixture
async def duty(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[DutyRig]:
    async with duty_rig(tmp_path, with_updates(catalogue)) as running:
        yield running


@pytest.fixture
async def alone(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[DutyRig]:
    """Without a PagerDuty key, and without a policy."""
    async with duty_rig(tmp_path, catalogue, connected=False) as running:
        yield running


def changes(duty: DutyRig) -> list[dict[str, Any]]:
    """What PagerDuty's incident was changed to."""
    return [body["incident"] for method, _, _, body in duty.pager.requests if method == "PUT"]


async def later(duty: DutyRig, minutes: float) -> int:
    """The clock goes on; how many reminders there were."""
    duty.clock.ahead += timedelta(minutes=minutes)
    count = await duty.comms.remind()
    await duty.deliver()
    return count


def reminders(duty: DutyRig) -> list[str]:
    return [text for text in duty.thread() if "is due since" in text]


async def press(duty: DutyRig, user: str = "U0ANA") -> None:
    """The button below the newest reminder."""
    messages = duty.slack.workspace.channels["C0ASSIST"].messages.values()
    (*_, shown) = [m for m in messages if "is due since" in str(m.payload.get("text"))]
    done = await duty.slack.acts.act(user, "C0ASSIST", shown.ts, "pagerunner_update")
    assert done.ok, done.error


# --- Priority --------------------------------------------------------------------------------------------------------


async def test_a_priority_is_set_by_a_person_once_and_told(duty: DutyRig) -> None:
    told = await duty.type("U0ANA", "/oncall priority p2")
    await duty.slack.delivery.link.replay(5)
    await duty.deliver()

    assert told == "PagerDuty is being told: priority P2. The thread says what comes of it."
    assert changes(duty) == [{"type": "incident_reference", "priority": {"id": "PPRIO2", "type": "priority_reference"}}]
    assert any("`ana` sets the priority to `P2`" in text for text in duty.thread())
    assert any("PagerDuty has set `Q2PQ7M1` to priority `P2`" in text for text in duty.thread())
    view = await duty.view()
    assert [fact["to"] for fact in await duty.facts("priority_requested", "pager_told")] == ["P2", "P2"]
    assert "P2, open since" in build(view).context[0].text


@pytest.mark.parametrize(
    ("typed", "said"),
    [("", "Say which priority. There are: P1, P2, P3."),
     ("P22", "PagerDuty has no priority P22. Did you mean P2? There are: P1, P2, P3."),
     ("urgent <!channel>", "There are: P1, P2, P3.")],
)  # fmt: skip
async def test_an_unknown_priority_is_answered_with_those_that_there_are(duty: DutyRig, typed: str, said: str) -> None:
    told = await duty.type("U0ANA", f"/oncall priority {typed}")
    assert said in told
    assert "<!" not in told
    assert changes(duty) == []
    assert await duty.facts("priority_requested") == []


async def test_an_account_without_priorities_says_where_to_make_them(duty: DutyRig) -> None:
    duty.pager.priorities.clear()
    assert "has no priorities: switch them on there" in await duty.type("U0ANA", "/oncall priority P1")


async def test_the_pagers_confirmation_is_nobody_elses_doing(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall priority P1")
    before = duty.thread()
    await duty.hear("E7", "priority", priority="P1", agent="On Call", people=("Ana Ruiz",))

    assert duty.thread() == before
    (echo,) = await duty.facts("pager_echoed")
    assert echo["by"] == "ana"
    assert await duty.facts("priority_changed") == []


async def test_what_somebody_does_in_pagerduty_is_told_and_shown(duty: DutyRig) -> None:
    await duty.hear("E7", "priority", priority="P1", agent="Luis", people=("Luis Ferreira",))
    asked = Remark(event="incident.responder.added", person="Mei Tanaka", answer="pending", text="help")
    await duty.hear("E8", "responder", remark=asked)
    await duty.hear("E9", "responder", remark=replace(asked, event="incident.responder.replied", answer="declined"))

    assert any(text == "PagerDuty (`Luis`): the priority is now `P1`" for text in duty.thread())
    assert any(text == "PagerDuty: `Mei Tanaka` declined the request to help" for text in duty.thread())
    card = build(await duty.view())
    assert "assigned Luis Ferreira · P1, open since" in card.context[0].text
    assert [(each.label, each.text) for each in card.context[2:]] == [("Asked to help", "Mei Tanaka declined")]
    said = handover(await duty.view(), duty.clock.now())
    assert "*PagerDuty:* priority `P1`" in said
    assert "assigned to `Luis Ferreira`" in said
    assert "`Mei Tanaka` declined" in said


# --- Assigning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["Ben Okafor", "to ben@example.com", "Q2PQ7M1 Ben"])
async def test_it_is_assigned_to_a_person(duty: DutyRig, typed: str) -> None:
    told = await duty.type("U0ANA", f"/oncall assign {typed}")

    (change,) = changes(duty)
    assert change["assignments"] == [{"assignee": {"id": "PBEN", "type": "user_reference"}}]
    assert told == "PagerDuty is being told: Ben Okafor has it. The thread says what comes of it."
    assert any("PagerDuty has assigned `Q2PQ7M1` to `Ben Okafor`" in text for text in duty.thread())
    assert "assigned Ben Okafor" in build(await duty.view()).context[0].text


async def test_it_is_assigned_to_a_team_by_its_escalation_policy(duty: DutyRig, catalogue: Catalogue) -> None:
    team = catalogue.team("trust")
    assert team is not None
    duty.pager.policies[team.pagerduty_escalation_policy] = "Trust"
    await duty.type("U0ANA", "/oncall assign trust")
    (change,) = changes(duty)
    assert change["escalation_policy"]["id"] == team.pagerduty_escalation_policy


@pytest.mark.parametrize(
    ("whom", "said"),
    [
        ("Ruiz", "knows several called Ruiz: Ana Ruiz, Eva Ruiz"),
        ("Nobody Here", "knows no person"),
        ("", "Say to whom"),
    ],
)
async def test_it_is_assigned_to_nobody_on_a_guess(duty: DutyRig, whom: str, said: str) -> None:
    told = await duty.type("U0ANA", f"/oncall assign {whom}")
    assert said in told or any(said in text for text in duty.told("U0ANA"))
    assert changes(duty) == []
    assert await duty.facts("reassignment_requested") == []


async def test_while_pagerduty_is_away_it_waits_in_the_outbox(duty: DutyRig) -> None:
    duty.pager.failures = [(503, {})] * 2
    told = await duty.type("U0ANA", "/oncall assign Ben Okafor")
    assert "PagerDuty is being told: Ben Okafor has it" in told
    assert changes(duty) == []
    duty.clock.ahead += timedelta(minutes=2)
    await duty.deliver()
    assert len(changes(duty)) == 1


@pytest.mark.parametrize("typed", ["priority P1", "priority", "assign Ben Okafor"])
async def test_without_a_key_the_answer_says_where_to_do_it(alone: DutyRig, typed: str) -> None:
    told = await alone.type("U0ANA", f"/oncall {typed}")
    assert told.startswith("Nothing was done: PagerDuty is not connected (no API key is set). To ")
    assert "go to Q2PQ7M1 in PagerDuty itself" in told
    assert await alone.facts("priority_requested", "reassignment_requested") == []


async def test_of_an_incident_that_is_over_nothing_is_changed(duty: DutyRig) -> None:
    await duty.hear("E9", "resolved")
    for said in (f"priority {duty.incident} P1", f"assign {duty.incident} Ben Okafor", f"update {duty.incident}"):
        assert "resolved; nothing was done." in await duty.type("U0ANA", f"/oncall {said}")
    assert changes(duty) == []


# --- Updates for stakeholders ----------------------------------------------------------------------------------------


async def test_a_person_edits_the_draft_and_sends_it_to_pagerduty_and_the_channel(duty: DutyRig) -> None:
    assert "Edit the draft" in await duty.type("U0ANA", "/oncall update")
    form = duty.modal("U0ANA")
    (draft,) = [block["element"]["initial_value"] for block in form["blocks"] if block["type"] == "input"]
    assert draft.startswith("Chat assistant: we are looking into a problem that was reported, since ")
    assert "LLM error rate" not in draft  # the page's own title is no fact of ours
    assert "PagerDuty (Q2PQ7M1) and to Slack channel C0UPDATES" in json.dumps(form)
    text = "Some *requests* fail. <!channel> & <https://evil.example|click>\nNext update: by 13:00 UTC."
    done = await duty.submit("U0ANA", text=text)
    assert done.ok, done.errors
    await duty.deliver()

    assert [one["message"] for one in duty.pager.updates] == [text]
    (post,) = duty.posts("C0UPDATES")
    assert post["blocks"][1]["elements"][0]["elements"][0]["text"] == text
    assert "<!channel>" not in post["text"]
    assert "Update: Chat assistant" in json.dumps(post["blocks"][0])
    assert "Sent by ana" in json.dumps(post["blocks"][2])
    (fact,) = await duty.facts("update_sent")
    assert (fact["text"], fact["by"]) == (text, "ana")
    assert fact["to"] == ["PagerDuty (Q2PQ7M1)", "Slack channel C0UPDATES"]
    assert any("`ana` sent stakeholders an update" in one for one in duty.thread())
    assert any("has published the status update of `Q2PQ7M1`" in one for one in duty.thread())


async def test_nothing_is_sent_by_opening_or_closing_the_form(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall update")
    await duty.slack.acts.close("U0ANA", duty.modal("U0ANA")["id"])
    await later(duty, 200)
    assert duty.pager.updates == []
    assert duty.posts("C0UPDATES") == []


async def test_a_form_that_is_sent_again_sends_one_update(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall update")
    await duty.submit("U0ANA", text="We work on it.")
    await duty.slack.delivery.link.replay(5)
    await duty.deliver()

    assert len(duty.pager.updates) == len(duty.posts("C0UPDATES")) == len(await duty.facts("update_sent")) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [("   ", "nothing to send"), ("The key is hunter2", "looks like a password"), ("we\u202e work", "cannot be seen")],
)
async def test_what_cannot_be_sent_stays_in_the_form(duty: DutyRig, text: str, said: str) -> None:
    await duty.type("U0ANA", "/oncall update")
    done = await duty.submit("U0ANA", text=text)
    assert said in done.errors["text"]
    assert await duty.facts("update_sent") == []


async def test_two_people_do_not_send_over_each_other(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall update")
    await duty.type("U0BEN", "/oncall update")
    await duty.submit("U0BEN", text="We work on it.")
    done = await duty.submit("U0ANA", text="We work on it, too.")
    assert "ben sent an update at" in done.errors["text"]
    assert "Copy your text" in done.errors["text"]
    await duty.deliver()
    assert len(duty.pager.updates) == 1


async def test_storage_that_is_down_keeps_the_text_in_the_form(duty: DutyRig) -> None:
    class Full:
        async def act(self, *_: object, **__: object) -> bool:
            raise StorageDown

        async def refs(self, incident_id: str) -> list[str]:
            return ["Q2PQ7M1"]

    await duty.type("U0ANA", "/oncall update")
    kept, duty.comms._more = duty.comms._more, replace(duty.comms._more, book=Full())
    done = await duty.submit("U0ANA", text="We work on it.")
    assert "nothing was recorded" in done.errors["text"]
    duty.comms._more = kept
    assert (await duty.submit("U0ANA", text="We work on it.")).ok
    await duty.deliver()
    assert len(duty.pager.updates) == 1


async def test_without_a_place_to_send_it_to_it_says_what_is_missing(alone: DutyRig) -> None:
    told = await alone.type("U0ANA", "/oncall update")
    assert told == (
        "There is nowhere to send an update. PagerDuty is not connected (no API key is set), and the team has no "
        "channel under updates in the catalogue."
    )


async def test_a_channel_alone_gets_it_and_what_lacks_is_said(tmp_path: Path, catalogue: Catalogue) -> None:
    async with duty_rig(tmp_path, with_updates(catalogue), connected=False) as duty:
        await duty.type("U0ANA", "/oncall update")
        assert "PagerDuty is not connected (no API key is set)." in json.dumps(duty.modal("U0ANA"))
        assert (await duty.submit("U0ANA", text="We work on it.")).ok
        await duty.deliver()
        assert len(duty.posts("C0UPDATES")) == 1
        assert (await duty.facts("update_sent"))[0]["to"] == ["Slack channel C0UPDATES"]


async def test_a_channel_that_cannot_be_reached_is_said_in_the_thread(tmp_path: Path, catalogue: Catalogue) -> None:
    policy = Updates(every_min=30, channel="C0VENDOR", to_pagerduty=False)
    async with duty_rig(tmp_path, with_updates(catalogue, policy)) as duty:
        await duty.type("U0ANA", "/oncall update")
        await duty.submit("U0ANA", text="We work on it.")
        await duty.deliver()
        assert duty.posts("C0VENDOR") == []
        assert any("stakeholders' channel was not told" in text and "shared with another" in text
                   for text in duty.thread())  # fmt: skip
        view = await duty.view()
        assert updates(view) == ()  # it reached nobody, so the next one is due as if it had not been sent
        assert "The stakeholders' channel was not told" in json.dumps([each.text for each in build(view).banners])


async def test_an_update_whose_answer_was_lost_in_a_crash_is_published_once(duty: DutyRig) -> None:
    class Gone(Exception):
        pass

    def die(place: str) -> None:
        if place == "K14":
            raise Gone

    told = await duty.comms.send(duty.incident, "We work on it.", ANA, "k1")
    assert told.ok
    first = duty.courier
    duty.courier = Courier(first._database, first._records, first._chat, first._pager, duty.clock, die)
    with suppress(Gone, ExceptionGroup):
        await duty.courier.deliver("pager")
    assert len(duty.pager.updates) == 1
    duty.courier = Courier(first._database, first._records, first._chat, first._pager, duty.clock, no_fault,
                           fresh_every_s=0)  # fmt: skip
    await duty.deliver()
    assert len(duty.pager.updates) == 1
    assert len(await duty.facts("pager_told")) == 1


async def test_a_post_whose_answer_was_lost_in_a_crash_is_posted_once(duty: DutyRig) -> None:
    chat = duty.courier._chat
    assert chat is not None

    class Dying:
        """Says it, and is gone before anybody here knows."""

        card = staticmethod(chat.card)

        async def say(self, *given: Any, **more: Any) -> None:
            await chat.say(*given, **more)
            raise RetryLater(1.0, "gone")

    await duty.comms.send(duty.incident, "We work on it.", ANA, "k1")
    first = duty.courier
    dying: Any = Dying()
    duty.courier = Courier(first._database, first._records, dying, first._pager, duty.clock, no_fault, fresh_every_s=0)
    await duty.courier.deliver("chat")
    assert len(duty.posts("C0UPDATES")) == 1
    duty.courier = first
    duty.clock.ahead += timedelta(seconds=5)
    await duty.deliver()
    assert len(duty.posts("C0UPDATES")) == 1


# --- Reminders -------------------------------------------------------------------------------------------------------


async def test_people_are_reminded_once_in_each_period_with_a_button_for_a_draft(duty: DutyRig) -> None:
    assert await later(duty, 29) == 0
    assert await later(duty, 2) == 1
    assert await later(duty, 2) == 0
    (said,) = reminders(duty)
    assert "None was sent yet." in said
    assert await later(duty, 28) == 1
    assert len(await duty.facts("update_due")) == len(reminders(duty)) == 2

    await press(duty)
    assert duty.modal("U0ANA")["callback_id"] == "pagerunner_update_form"
    done = await duty.submit("U0ANA", text="We work on it.")
    assert done.ok, done.errors
    await duty.deliver()
    assert len(duty.pager.updates) == 1


async def test_the_next_one_is_due_from_the_last_one_that_was_sent(duty: DutyRig) -> None:
    await later(duty, 31)
    await duty.comms.send(duty.incident, "We work on it.", ANA, "k1")
    await duty.deliver()
    assert await later(duty, 28) == 0
    assert await later(duty, 3) == 1
    assert "The last one was sent at" in reminders(duty)[-1]
    assert "by `ana`" in reminders(duty)[-1]


async def test_one_published_in_pagerduty_counts_as_well(duty: DutyRig) -> None:
    await later(duty, 29)
    said = Remark(event="incident.status_update_published", text="A fix is on its way", by_person=True)
    await duty.hear("E7", "status_update", agent="Luis", remark=said)
    assert await later(duty, 28) == 0
    view = await duty.view()
    assert [(one.by, one.text, one.pager) for one in updates(view)] == [("Luis", "A fix is on its way", True)]
    assert await later(duty, 3) == 1


async def test_a_restart_and_a_long_silence_make_no_double_reminders(duty: DutyRig) -> None:
    await later(duty, 31)
    duty.comms._look.clear()  # all that a process remembers
    assert await duty.comms.remind() == 0
    assert await later(duty, 300) == 1
    assert len(reminders(duty)) == 2


async def test_snoozed_and_over_it_reminds_nobody(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall snooze 2h")
    assert await later(duty, 60) == 0
    assert await later(duty, 61) == 1
    await duty.hear("E9", "resolved")
    assert await later(duty, 120) == 0
    assert next_due(await duty.view()) is None


async def test_without_a_policy_nobody_is_reminded(alone: DutyRig) -> None:
    assert await later(alone, 600) == 0


async def test_a_policy_may_be_for_grave_incidents_alone(tmp_path: Path, catalogue: Catalogue) -> None:
    policy = POLICY.model_copy(update={"priorities": ("P1", "p2")})
    async with duty_rig(tmp_path, with_updates(catalogue, policy)) as duty:
        assert await later(duty, 31) == 0
        await duty.hear("E7", "priority", priority="P3")
        assert await later(duty, 2) == 0
        await duty.hear("E8", "priority", priority="P2")
        assert await later(duty, 2) == 1
        assert due(await duty.view(), duty.clock.now()) is not None


async def test_the_button_works_below_its_own_card_alone(duty: DutyRig) -> None:
    await later(duty, 31)
    channel = duty.slack.workspace.channels["C0ASSIST"]
    (shown,) = [m for m in channel.messages.values() if "is due since" in str(m.payload.get("text"))]
    shown.payload["thread_ts"] = "1.1"
    await press(duty)
    assert any(ELSEWHERE in text for text in duty.told("U0ANA"))
    assert duty.slack.surfaces.top("U0ANA") is None


async def test_reminders_of_two_processes_are_one(duty: DutyRig) -> None:
    duty.clock.ahead += timedelta(minutes=31)
    counts = await asyncio.gather(duty.comms.remind(), duty.comms.remind())
    assert sum(counts) == 1


async def test_the_hand_over_says_what_stakeholders_know(duty: DutyRig) -> None:
    now = duty.clock.now
    assert "*Stakeholders:* no update was sent yet; the next is due at" in handover(await duty.view(), now())
    await duty.comms.send(duty.incident, "We work on it.", BEN, "k1")
    duty.clock.ahead += EVERY * 2
    assert "by `ben`" in handover(await duty.view(), now())
    assert "the next is due since" in handover(await duty.view(), now())


async def test_what_is_drafted_says_where_it_goes(duty: DutyRig) -> None:
    drafted = await duty.comms.draft(duty.incident)
    assert isinstance(drafted, UpdateDraft)
    assert drafted.to == ("PagerDuty (Q2PQ7M1)", "Slack channel C0UPDATES")
    assert drafted.text.endswith(" UTC.")
    assert isinstance(await duty.comms.draft("inc-nothing"), Told)


# --- The API and the command line -------------------------------------------------------------------------------------


async def test_the_api_drafts_and_sends_once_for_each_key(duty: DutyRig) -> None:
    async with site(desk=duty.deps.desk, records=duty.flow.records, comms=duty.comms) as here:
        path = f"/api/v1/incidents/{duty.incident}"
        draft = (await here.client.get(f"{path}/update", headers=here.api())).json()
        assert draft["to"] == ["PagerDuty (Q2PQ7M1)", "Slack channel C0UPDATES"]
        for _ in range(2):
            body = {"text": draft["text"], "key": "k1", "after": draft["after"]}
            answer = await here.client.post(f"{path}/update", json=body, headers=here.api())
            assert answer.status_code == 200, answer.text
        stale = await here.client.post(f"{path}/update", json={"text": "x", "after": ""}, headers=here.api())
        assert stale.status_code == 409
        assert "after this draft was made" in stale.text
        wrong = await here.client.post(f"{path}/priority", json={"priority": "P9"}, headers=here.api())
        assert (wrong.status_code, "There are: P1, P2, P3." in wrong.text) == (409, True)
        for name, body in (("priority", {"priority": "P1"}), ("assign", {"to": "Ben Okafor"})):
            done = await here.client.post(f"{path}/{name}", json=body, headers=here.api())
            assert done.status_code == 200, done.text
    await duty.deliver()
    assert [one["message"] for one in duty.pager.updates] == [draft["text"]]
    assert len(changes(duty)) == 2


async def test_a_draft_is_printed_and_sent_from_the_terminal(duty: DutyRig, tmp_path: Path) -> None:
    async with (
        site(desk=duty.deps.desk, records=duty.flow.records, comms=duty.comms) as here,
        typed(tmp_path, here.port) as run,
    ):
        shown = await run("update", duty.incident)
        assert duty.pager.updates == []
        sent = await run("update", duty.incident, "--send", "-", stdin="We work on it.\nMore at 13:00.\n")
        empty = await run("update", duty.incident, "--send", " ")
    await duty.deliver()
    assert shown.output.startswith("Chat assistant: we are looking into a problem that was reported")
    assert "It would go to PagerDuty (Q2PQ7M1) and to Slack channel C0UPDATES." in shown.output
    assert (sent.exit_code, "is on its way to PagerDuty" in sent.output) == (0, True)
    assert empty.exit_code == 1
    assert [one["message"] for one in duty.pager.updates] == ["We work on it.\nMore at 13:00."]
