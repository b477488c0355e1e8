"""A channel for each incident: made once, furnished, pointed to, archived; and a thread whenever that does not work."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.cli.doctor import manifest_scopes
from bot.domain.incident import Status
from bot.domain.room import Filling, RoomState, name_of, numbered
from bot.domain.timeline import computed
from bot.domain.view import IncidentView
from bot.edges import outbox
from bot.edges.checks import Check
from bot.edges.checks_slack import SlackAccess, slack
from config.catalogue import Catalogue
from config.incident_channel import IncidentChannel
from diagnostics.model import Diagnosis, Hypothesis
from drills.slack.limits import Fault
from drills.slack.wire import Json
from tests.conftest import START
from tests.room_rig import HOME, RoomRig, room_rig, with_channels

HOSTILE = "<!channel> *Approved* ../../x \u202e {id} `rm -rf`"


@pytest.fixture
async def rig(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[RoomRig]:
    bookmarks = [{"title": "How we work", "url": "https://wiki.example/incidents"}]
    async with room_rig(tmp_path, with_channels(catalogue, bookmarks=bookmarks, invite=["U0EVA"])) as running:
        yield running


class Died(BaseException):
    """The process ends here."""


def dying(at: str) -> Any:
    def fault(place: str) -> None:
        if place == at:
            raise Died(place)

    return fault


def scopes_without(rig: RoomRig, *names: str) -> None:
    app = rig.slack.workspace.app
    left = tuple(scope for scope in app.scopes if scope not in names)
    rig.slack.workspace.app = app.model_copy(update={"scopes": left})


def history(rig: RoomRig, channel: str) -> list[Json]:
    return [m.payload for m in rig.slack.workspace.channels[channel].messages.values()]


# --- opening ---------------------------------------------------------------------------------------------------------


async def test_a_page_opens_a_channel_with_its_card_and_one_line_in_the_teams_channel_points_to_it(
    rig: RoomRig,
) -> None:
    await rig.page(title=HOSTILE, link="https://acme.pagerduty.com/incidents/Q2PQ7M1")
    room, view = await rig.room(), await rig.view()

    assert room.name == "inc-20261122-chat-assistant"
    assert room.topic == f"chat-assistant · team assist · {rig.incident}"
    assert rig.incident in room.purpose
    assert view.message is not None
    assert (view.incident.channel, view.message.channel) == (room.id, room.id)
    assert len(rig.said(room.id)) == 1
    (pointer,) = rig.said(HOME)
    assert f"<#{room.id}>" in pointer
    assert "Approved" not in pointer + room.topic + room.purpose + room.name
    assert room.bookmarks[0]["title"] == "Card"
    assert room.bookmarks[0]["link"].endswith(f"/archives/{room.id}/p{view.message.ts.replace('.', '')}")
    assert [(b["title"], b["link"]) for b in room.bookmarks[1:]] == [
        ("PagerDuty", "https://acme.pagerduty.com/incidents/Q2PQ7M1"),
        ("LLM overview", "https://grafana.example/d/llm"),
        ("How we work", "https://wiki.example/incidents"),
    ]
    assert (await rig.facts("channel_opened"))[0]["channel_name"] == room.name


async def test_those_on_call_and_those_the_policy_names_are_invited(rig: RoomRig) -> None:
    await rig.page()
    room = await rig.room()

    assert set(room.members) == {"U0PAGERUN", "U0ANA", "U0EVA"}
    assert rig.said(room.id, top=False) == []


async def test_whoever_declared_it_in_slack_is_invited_too(rig: RoomRig) -> None:
    await rig.page(source="slack", incident_ref="", agent="T0LOOP/U0DEV")
    assert "U0DEV" in (await rig.room()).members


async def test_the_pagers_incident_gets_a_note_with_the_channels_name(rig: RoomRig) -> None:
    await rig.page()
    assert [note["content"] for note in rig.pager.notes if "Slack" in note["content"]] == [
        "Slack channel: #inc-20261122-chat-assistant"
    ]


async def test_a_link_that_is_not_the_pagers_own_is_no_bookmark(rig: RoomRig) -> None:
    await rig.page(link="https://pagerduty.com.evil.example/x")
    assert not [b for b in (await rig.room()).bookmarks if "evil" in b["link"]]


async def test_a_private_channel_is_pointed_to_without_a_word_of_what_it_is_about(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    async with room_rig(tmp_path, with_channels(catalogue, private=True)) as rig:
        await rig.page()
        ranked = (Hypothesis(mode="provider-outage", title="Provider outage", probability=0.97),)
        diagnosis = Diagnosis(conclusion="cause", ranked=ranked, causes=("provider-outage",), reason="sure")
        made = computed("diagnosis_made", {})
        await rig.flow.casebook.diagnosed(rig.incident, diagnosis, made, rig.clock.now())
        await rig.deliver()
        room = await rig.room()
        assert room.is_private
        (pointer,) = rig.said(HOME)
        assert "Provider outage" not in pointer
        assert "Provider outage" in rig.said(room.id)[0]


async def test_two_incidents_of_one_day_have_channels_with_numbers(rig: RoomRig) -> None:
    await rig.page("E1")
    await rig.page("E2", incident_ref="Q9", incident_key="other", title="something else")
    await rig.deliver(70)

    assert rig.made() == ["inc-20261122-chat-assistant", "inc-20261122-chat-assistant-2"]
    assert len(rig.said(HOME)) == 2


async def test_a_service_can_stay_in_threads_although_its_team_has_channels(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    wanted = with_channels(catalogue)
    services = tuple(
        s.model_copy(update={"incident_channel": IncidentChannel(enabled=False)}) if s.name == "chat-assistant" else s
        for s in wanted.services
    )
    async with room_rig(tmp_path, wanted.model_copy(update={"services": services})) as rig:
        await rig.page()
        view = await rig.view()
        assert (view.room, view.incident.channel, rig.made()) == (None, HOME, [])


async def test_an_old_page_opens_no_channel(rig: RoomRig) -> None:
    await rig.page(stale=True)
    assert rig.made() == []


# --- once ------------------------------------------------------------------------------------------------------------


async def test_a_crash_after_the_channel_was_made_makes_no_second_one(rig: RoomRig) -> None:
    await rig.page(deliver=False)
    rig.restart(dying("K14"))
    with pytest.raises(Died):
        await rig.courier.deliver()
    rig.restart()
    await rig.deliver()

    assert rig.made() == ["inc-20261122-chat-assistant"]
    assert (await rig.view()).incident.channel == (await rig.room()).id


async def test_an_answer_that_is_lost_makes_no_second_one(rig: RoomRig) -> None:
    rig.slack.api.faults.add(Fault(method="conversations.create", status="reset"))
    await rig.page()
    await rig.deliver(10)

    assert rig.made() == ["inc-20261122-chat-assistant"]
    assert len(rig.said((await rig.room()).id)) == 1


async def test_a_channel_of_that_name_that_is_somebody_elses_is_left_alone(rig: RoomRig) -> None:
    taken = rig.slack.workspace.create("inc-20261122-chat-assistant", "U0BEN", is_private=False)
    await rig.page()

    assert (await rig.room()).name == "inc-20261122-chat-assistant-2"
    assert history(rig, taken.id) == []


@pytest.mark.parametrize("described", ["Incident inc-other. Its card is the first message", ""])
async def test_an_older_channel_of_ours_of_that_name_is_not_taken_for_this_incidents(
    rig: RoomRig, described: str
) -> None:
    app = rig.slack.workspace.app.user
    taken = rig.slack.workspace.create("inc-20261122-chat-assistant", app, is_private=False)
    taken.purpose = described
    taken.created -= 0 if described else 86_400
    await rig.page()

    assert (await rig.room()).id != taken.id


# --- what does not work is told, and holds nothing up -----------------------------------------------------------------


async def test_without_the_permission_it_is_a_thread_as_before_and_the_card_says_so_once(rig: RoomRig) -> None:
    scopes_without(rig, "channels:manage")
    await rig.page()
    view = await rig.view()

    assert view.room is not None
    assert view.room.state is RoomState.THREAD
    assert (view.incident.channel, rig.made()) == (HOME, [])
    (card,) = history(rig, HOME)
    assert str(card["blocks"]).count("IN A THREAD") == 1
    assert "channels:manage" in str(card["blocks"])


async def test_a_rate_limit_is_waited_for_while_the_teams_channel_knows(rig: RoomRig) -> None:
    fault = Fault(method="conversations.create", status=429, retry_after="20")
    rig.slack.api.faults.add(fault)
    await rig.page()
    assert rig.said(HOME) == [f"*{rig.incident}* chat-assistant, open. Its channel is being opened."]
    assert len(rig.calls("conversations.create")) == 1
    await rig.deliver(10)
    assert len(rig.calls("conversations.create")) == 1

    await rig.deliver(10)
    assert rig.made() == ["inc-20261122-chat-assistant"]
    (pointer,) = rig.said(HOME)
    assert f"<#{(await rig.room()).id}>" in pointer


async def test_a_longer_limit_makes_the_line_in_the_teams_channel_the_card_at_once(rig: RoomRig) -> None:
    rig.slack.api.faults.add(Fault(method="conversations.create", status=429, retry_after="20", count=-1))
    await rig.page()
    await rig.deliver(60)
    view = await rig.view()

    assert view.room is not None
    assert view.room.state is RoomState.THREAD
    (only,) = history(rig, HOME)
    assert view.message is not None
    assert view.message.ts == only["ts"]
    assert "limits the rate" in str(only["blocks"])
    assert rig.made() == []


async def test_one_limit_is_kept_by_all_that_wait(rig: RoomRig) -> None:
    rig.slack.api.faults.add(Fault(method="conversations.create", status=429, retry_after="25"))
    await rig.page("E1")
    await rig.page("E2", incident_ref="Q9", incident_key="other", title="something else")
    assert len(rig.calls("conversations.create")) == 1
    await rig.deliver(30)
    assert len(rig.made()) == 2


async def test_what_cannot_be_furnished_is_told_in_words_and_the_rest_is_done(rig: RoomRig) -> None:
    rig.pager.users["PANA"] = ("Ana Ruiz", "ana@elsewhere.example")
    scopes_without(rig, "bookmarks:write")
    await rig.page()
    room = await rig.room()
    (said,) = rig.said(room.id, top=False)

    assert "`Ana Ruiz` was not invited: nobody in Slack has the e-mail address that PagerDuty knows" in said
    assert "There is no bookmark LLM overview: Slack refused it: missing_scope (needs bookmarks:write)" in said
    assert "ana@elsewhere" not in said
    assert room.topic
    assert "U0EVA" in room.members


async def test_without_a_pagerduty_key_it_says_that_nobody_was_invited(tmp_path: Path, catalogue: Catalogue) -> None:
    async with room_rig(tmp_path, with_channels(catalogue), connected=False) as rig:
        await rig.page()
        (said,) = rig.said((await rig.room()).id, top=False)
        assert "Nobody on call was invited: no PagerDuty API key is set" in said


async def test_a_step_that_slack_limits_is_tried_again_and_done_once(rig: RoomRig) -> None:
    rig.slack.api.faults.add(Fault(method="bookmarks.add", status=429, retry_after="3"))
    await rig.page()
    await rig.deliver(10)
    room = await rig.room()
    assert [b["title"] for b in room.bookmarks] == ["Card", "LLM overview", "How we work"]
    assert len(rig.calls("conversations.setTopic")) == 1


async def test_a_channel_that_people_archive_meanwhile_loses_nothing(rig: RoomRig) -> None:
    await rig.page()
    room = await rig.room()
    room.is_archived = True
    await rig.database.run(lambda c: outbox.card(c, rig.incident, rig.clock.now()))
    await rig.deliver()
    view = await rig.view()

    assert view.incident.channel == HOME
    assert view.message is not None
    assert view.message.channel == HOME
    assert "IN A THREAD" in str(history(rig, HOME)[-1]["blocks"])
    assert not await rig.facts("alarm")


async def test_a_channel_that_is_shared_with_strangers_gets_nothing_more(rig: RoomRig) -> None:
    await rig.page()
    room = await rig.room()
    room.is_ext_shared = True
    before = len(history(rig, room.id))
    await rig.database.run(lambda c: outbox.card(c, rig.incident, rig.clock.now()))
    await rig.deliver(70)
    await rig.database.run(lambda c: outbox.card(c, rig.incident, rig.clock.now()))
    await rig.deliver(70)

    assert (await rig.view()).incident.channel == HOME
    assert len(history(rig, room.id)) == before


async def test_a_storm_opens_so_many_channels_and_the_rest_are_threads(tmp_path: Path, catalogue: Catalogue) -> None:
    async with room_rig(tmp_path, with_channels(catalogue, most_per_hour=3)) as rig:
        for number in range(5):
            await rig.page(
                f"E{number}", incident_ref=f"Q{number}", incident_key=f"k{number}", title=f"failure {chr(97 + number)}"
            )
        assert len(rig.made()) == 3
        assert len(rig.said(HOME)) == 1  # The pace of new messages holds for pointers and cards alike.
        why = (await rig.view()).entries("channel_not_opened")[0].fact.data["why"]
        assert why.startswith("3 were opened for this team within an hour")


# --- the end ---------------------------------------------------------------------------------------------------------


async def close(rig: RoomRig) -> None:
    await rig.page("E8", kind="resolved")
    await rig.flow.flow.close(rig.incident)
    await rig.deliver()


async def test_it_is_archived_once_the_postmortem_stands_there_and_its_time_has_come(rig: RoomRig) -> None:
    await rig.page()
    room = await rig.room()
    await close(rig)
    assert (await rig.view()).incident.status is Status.CLOSED
    assert not room.is_archived

    rig.clock.advance(24 * 3600)
    await rig.deliver()
    assert room.is_archived
    assert [f["name"] for m in history(rig, room.id) for f in m.get("files", [])] == [f"{rig.incident}.md"]
    assert rig.said(HOME)[0].endswith(f"<#{room.id}> (archived)")
    assert len(await rig.facts("channel_archived")) == 1


async def test_it_is_not_archived_before_the_postmortem_is_there(tmp_path: Path, catalogue: Catalogue) -> None:
    async with room_rig(tmp_path, with_channels(catalogue, archive_after_h=0)) as rig:
        await rig.page()
        room = await rig.room()
        rig.slack.api.faults.add(Fault(method="files.getUploadURLExternal", status=429, retry_after="30"))
        await close(rig)
        await rig.deliver(10)
        assert not room.is_archived
        await rig.deliver(40)
        assert room.is_archived
        assert any(m.get("files") for m in history(rig, room.id))


async def test_a_policy_can_keep_channels(tmp_path: Path, catalogue: Catalogue) -> None:
    async with room_rig(tmp_path, with_channels(catalogue, archive=False)) as rig:
        await rig.page()
        await close(rig)
        rig.clock.advance(90 * 86_400)
        await rig.deliver()
        assert not (await rig.room()).is_archived


async def test_archiving_that_is_forbidden_is_told(tmp_path: Path, catalogue: Catalogue) -> None:
    async with room_rig(tmp_path, with_channels(catalogue, archive_after_h=0)) as rig:
        await rig.page()
        rig.slack.api.faults.add(Fault(method="conversations.archive", status=200, error="restricted_action"))
        await close(rig)
        await rig.deliver(10)
        room = await rig.room()
        assert not room.is_archived
        assert "This channel could not be archived" in rig.said(room.id, top=False)[-1]


async def test_what_is_said_after_the_archiving_stands_below_the_line_in_the_teams_channel(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    async with room_rig(tmp_path, with_channels(catalogue, archive_after_h=0)) as rig:
        await rig.page()
        await close(rig)
        await rig.deliver(10)
        await rig.flow.casebook.say(rig.incident, "late", "a late word", rig.clock.now())
        await rig.database.run(lambda c: outbox.card(c, rig.incident, rig.clock.now()))
        await rig.deliver()
        assert rig.said(HOME, top=False) == ["a late word"]
        assert not await rig.facts("alarm")


async def test_reopened_before_it_is_archived_it_goes_on_in_the_same_channel(rig: RoomRig) -> None:
    await rig.page()
    room = await rig.room()
    await close(rig)
    rig.clock.advance(3600)
    await rig.page("E9", kind="reopened")
    rig.clock.advance(48 * 3600)
    await rig.deliver()

    assert not room.is_archived
    assert (await rig.view()).incident.channel == room.id


@pytest.mark.parametrize("allowed", [True, False])
async def test_reopened_after_that_it_goes_on_where_slack_allows_it(
    tmp_path: Path, catalogue: Catalogue, allowed: bool
) -> None:
    async with room_rig(tmp_path, with_channels(catalogue, archive_after_h=0), bots_unarchive=allowed) as rig:
        await rig.page()
        old = await rig.room()
        await close(rig)
        await rig.deliver(10)
        assert old.is_archived
        await rig.page("E9", kind="reopened")
        await rig.deliver(10)
        room, view = await rig.room(), await rig.view()

        assert (room.id == old.id, old.is_archived) == (allowed, not allowed)
        assert room.name == ("inc-20261122-chat-assistant" if allowed else "inc-20261122-chat-assistant-2")
        assert view.message is not None
        assert view.message.channel == room.id == view.incident.channel
        assert "U0ANA" in room.members
        assert f"<#{room.id}>" in rig.said(HOME)[0]
        await close_again(rig)
        await rig.deliver(10)
        assert room.is_archived


async def close_again(rig: RoomRig) -> None:
    await rig.page("E10", kind="resolved")
    await rig.flow.flow.close(rig.incident)
    await rig.deliver()


# --- people in it ----------------------------------------------------------------------------------------------------


@pytest.fixture
async def talking(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[RoomRig]:
    async with room_rig(tmp_path, with_channels(catalogue), talking=True) as running:
        await running.page()
        yield running


def proposal_of(view: IncidentView) -> str:
    assert view.open_proposal is not None
    return view.open_proposal.proposal.id


async def test_approving_in_the_channel_counts_and_a_copy_of_the_card_elsewhere_does_not(talking: RoomRig) -> None:
    view = await talking.view()
    assert view.message is not None
    blocks = talking.slack.workspace.message(view.message.channel, view.message.ts).payload["blocks"]
    copied = talking.slack.workspace.post(HOME, {"user": "U0PAGERUN", "text": "copy", "blocks": blocks})
    await talking.slack.acts.act("U0ANA", HOME, copied.ts, "pagerunner_approve")
    assert "vote_cast" not in [e.fact.kind for e in (await talking.view()).timeline]

    done = await talking.slack.acts.act("U0ANA", view.message.channel, view.message.ts, "pagerunner_approve")
    assert done.ok
    assert [e.fact.actor for e in (await talking.view()).entries("vote_cast")] == ["slack:T0LOOP/U0ANA"]


async def test_a_command_in_the_channel_means_its_incident_also_when_it_is_over(talking: RoomRig) -> None:
    room = await talking.room()
    assert "acknowledged here" in await talking.type("U0ANA", "/oncall ack", room.id)
    await talking.page("E8", kind="resolved")
    assert talking.incident in await talking.type("U0ANA", "/oncall show", room.id)


async def test_a_command_in_the_teams_channel_means_its_only_open_incident(talking: RoomRig) -> None:
    assert talking.incident in await talking.type("U0ANA", "/oncall show", HOME)
    assert f"<#{(await talking.room()).id}>" in await talking.type("U0ANA", "/oncall list", HOME)


async def test_a_question_in_the_channel_is_answered_in_a_thread_of_its_own(talking: RoomRig) -> None:
    room = await talking.room()
    done = talking.slack.acts.say("U0ANA", room.id, "why?")
    await talking.slack.delivery.drained()
    await talking.deliver()
    answers = [m.payload for m in room.messages.values() if m.payload.get("thread_ts") == done.ts != m.ts]
    assert len(answers) == 1

    talking.slack.acts.say("U0ANA", room.id, "good morning everybody")
    talking.slack.acts.say("U0ANA", HOME, "why?")
    await talking.slack.delivery.drained()
    before = len(talking.said(HOME, top=False))
    await talking.deliver()
    assert len(talking.said(HOME, top=False)) == before


async def test_a_reaction_anywhere_in_the_channel_puts_a_message_on_the_timeline(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    """See tests/test_duty.py for all of it; here, that the channel is the incident's."""
    async with room_rig(tmp_path, with_channels(catalogue), talking=True) as rig:
        await rig.page()
        room = await rig.room()
        assert await rig.flow.records.incident_in(room.id) == rig.incident
        assert await rig.flow.records.incident_in(HOME) is None


# --- doctor ----------------------------------------------------------------------------------------------------------


async def examined(rig: RoomRig, catalogue: Catalogue, *, pager: bool = True) -> list[Check]:
    access = SlackAccess(mode="socket", api=f"{rig.slack.url}/api/", bot_token="xoxb-loopback",
                         app_token="xapp-loopback", scopes=manifest_scopes(), pager=pager)  # fmt: skip
    checks, _ = await slack(access, catalogue)
    return [check for check in checks if check.name.startswith("Slack incident channels")]


async def test_doctor_says_nothing_of_channels_that_nobody_wants(rig: RoomRig, catalogue: Catalogue) -> None:
    assert await examined(rig, catalogue) == []


async def test_doctor_shows_the_policy_and_what_is_missing_for_it(rig: RoomRig) -> None:
    (good,) = await examined(rig, rig.catalogue)
    assert (good.state, good.name) == ("ok", "Slack incident channels of team assist")
    assert good.detail == "inc-{date}-{service}, public, archived 24 h after the closing"

    (keyless,) = await examined(rig, rig.catalogue, pager=False)
    assert "no PagerDuty API key is set" in keyless.detail
    scopes_without(rig, "channels:manage", "bookmarks:write")
    (poor,) = await examined(rig, rig.catalogue)
    assert (poor.state, poor.detail) == ("problem", "missing: bookmarks:write, channels:manage")
    assert "slack-manifest.yaml" in poor.fix


@pytest.mark.parametrize("one", ["U0NOBODY", "S0NOBODY", "U0GONE"])
async def test_doctor_finds_those_who_cannot_be_invited(rig: RoomRig, catalogue: Catalogue, one: str) -> None:
    (told,) = await examined(rig, with_channels(catalogue, invite=["U0ANA", "S0ASSIST", one]))
    assert (told.state, told.detail) == ("problem", f"Slack does not know {one}")


async def test_doctor_looks_at_a_services_own_policy_too(rig: RoomRig, catalogue: Catalogue) -> None:
    own = IncidentChannel(private=True, invite_on_call=True, archive=False)
    services = tuple(
        s.model_copy(update={"incident_channel": own}) if s.name == "text-moderation" else s for s in catalogue.services
    )
    nobody = tuple(t.model_copy(update={"pagerduty_escalation_policy": ""}) for t in catalogue.teams)
    (told,) = await examined(rig, catalogue.model_copy(update={"services": services, "teams": nobody}))
    assert (told.name, told.state) == ("Slack incident channels of service text-moderation", "problem")
    assert "escalation policy" in told.detail


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("inc-{date}-{service}", "inc-20261122-chat-v1-2"),
        ("{team}_{time}-{id}", "assist_0300-inc-7f3a2c"),
        ("x" * 120, "x" * 80),
        ("-{service}-", "chat-v1-2"),
    ],
)
def test_names_follow_slacks_rules(template: str, name: str) -> None:
    filling = Filling(at=START, service="chat.v1.2", team="assist", incident_id="inc-7f3a2c")
    assert name_of(IncidentChannel(name=template), filling) == name
    assert len(name_of(IncidentChannel(name=template), filling, 12)) <= 80
    assert numbered(name, 12).endswith("-12")


@pytest.mark.parametrize("policy", [
    {"name": "Inc {service}"}, {"name": "inc-{title}"}, {"name": "inc-{service"}, {"name": ""},
    {"topic": "{page}"}, {"topic": "a\nb"}, {"topic": "x" * 251},
    {"bookmarks": [{"title": "x", "url": "http://insecure.example"}]},
    {"bookmarks": [{"title": "x", "url": "javascript:alert(1)"}]},
    {"invite": ["@ana"]}, {"archive_after_h": -1}, {"most_per_hour": 0}, {"colour": "red"},
])  # fmt: skip
def test_a_policy_with_nonsense_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        IncidentChannel.model_validate(policy)


def test_the_redacted_views_do_not_tell_of_the_channel(catalogue: Catalogue) -> None:
    from bot.domain.redaction import redacted
    from bot.domain.room import Room
    from tests.view_samples import INCIDENT, provider_outage

    room = Room(incident_id=INCIDENT.id, state=RoomState.OPEN, name="inc-x", channel="C1", home=HOME, private=True,
                topic="", wanted_at=START, archive_after_s=None)  # fmt: skip
    view = replace(provider_outage(), room=room)
    assert redacted(view, "company").room is None
    assert redacted(view, "public").room is None
    assert redacted(view, "internal").room == room
