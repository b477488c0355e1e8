"""``/oncall`` around an incident, end to end in the loopback workspace: acts once, in the thread; lookups for one."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.domain import codec
from bot.domain.handover import handover, snoozed_until
from bot.domain.home import Overdue, gather
from bot.domain.proposal import EffectState
from bot.domain.timeline import Fact, Provenance
from bot.domain.view import IncidentView
from bot.edges.slack_desk import FOREIGN
from bot.edges.slack_home import home_blocks
from bot.ports import Received, StorageDown
from config.catalogue import Catalogue
from diagnostics.model import Change
from tests.duty_rig import DutyRig, duty_rig
from tests.slack_rig import until
from tests.view_samples import NOON, SAMPLES, provider_outage


@pytest.fixture
async def duty(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[DutyRig]:
    async with duty_rig(tmp_path, catalogue) as running:
        yield running


@pytest.fixture
async def alone(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[DutyRig]:
    """Without a PagerDuty key."""
    async with duty_rig(tmp_path, catalogue, connected=False) as running:
        yield running


# --- Declaring -------------------------------------------------------------------------------------------------------


async def test_a_person_declares_an_incident_in_a_form(duty: DutyRig) -> None:
    assert await duty.type("U0ANA", "/oncall declare") == "Say in the form what you see."
    done = await duty.submit("U0ANA", service="support-bot", title="Support bot invents prices", seen="Two customers")
    assert done.ok, done.errors
    assert await duty.flow.flow.receive() == 1
    (new,) = [i for i in await duty.flow.records.incidents() if i.service == "support-bot"]

    assert (new.title, new.source, new.team, new.pager_ref) == ("Support bot invents prices", "slack", "assist", "")
    view = await duty.view(new.id)
    assert view.timeline[0].fact.actor == "slack:T0LOOP/U0ANA"
    assert [one.body for one in await duty.flow.casebook.pages(new.id)] == ["Two customers"]
    assert any("Declared for support-bot" in text for text in duty.told("U0ANA"))


async def test_a_form_that_is_sent_again_opens_nothing_twice(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall declare")
    await duty.submit("U0ANA", service="support-bot", title="Support bot invents prices")
    await duty.slack.delivery.link.replay(5)

    assert await duty.flow.flow.receive() == 1


@pytest.mark.parametrize(
    ("values", "block", "said"),
    [({"service": "support-bot", "title": " !? "}, "title", "Say in a few words"),
     ({"service": "support-bot", "title": "Prices\u202eare wrong"}, "title", "cannot be seen"),
     ({"service": "support-bot", "title": "Wrong prices", "seen": "x" * 3_001}, "seen", "at most 3,000")],
)  # fmt: skip
async def test_nonsense_stays_in_the_form_with_what_to_do(
    duty: DutyRig, values: dict[str, str], block: str, said: str
) -> None:
    await duty.type("U0ANA", "/oncall declare")
    done = await duty.submit("U0ANA", **values)

    assert said in done.errors[block]
    assert duty.modal("U0ANA")["callback_id"] == "pagerunner_declare_form"
    assert await duty.flow.flow.receive() == 0


class Full:
    """An inbox that cannot store anything."""

    async def accept(self, received: Received) -> bool:
        raise StorageDown


async def test_a_declaration_that_cannot_be_stored_stays_in_the_form(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall declare")
    kept, duty.duty._more = duty.duty._more, replace(duty.duty._more, inbox=Full())
    done = await duty.submit("U0ANA", service="support-bot", title="Support bot invents prices")
    assert "nothing was recorded" in done.errors["title"]
    duty.duty._more = kept
    await duty.submit("U0ANA", service="support-bot", title="Support bot invents prices")

    assert await duty.flow.flow.receive() == 1


# --- People ----------------------------------------------------------------------------------------------------------


async def test_somebody_is_paged_as_a_responder_once(duty: DutyRig) -> None:
    told = await duty.type("U0ANA", "/oncall page Ben Okafor because I need <!channel> help")
    await duty.slack.delivery.link.replay(5)
    await duty.deliver()

    (body,) = duty.posted("/responder_requests")
    assert body["responder_request_targets"] == [{"responder_request_target": {"id": "PBEN", "type": "user_reference"}}]
    assert body["requester_id"] == "PONCALL"
    assert "PagerDuty is being asked to page Ben Okafor" in told
    assert any("PagerDuty was asked to page `Ben Okafor`" in text for text in duty.thread())
    assert not any("<!channel>" in text for text in duty.thread())
    assert [fact["target"] for fact in await duty.facts("responder_requested")] == ["Ben Okafor"]


async def test_a_team_is_paged_by_its_escalation_policy(duty: DutyRig, catalogue: Catalogue) -> None:
    team = catalogue.team("assist")
    assert team is not None
    duty.pager.policies[team.pagerduty_escalation_policy] = "Assistants"
    await duty.type("U0ANA", "/oncall page assist")

    (body,) = duty.posted("/responder_requests")
    target = body["responder_request_targets"][0]["responder_request_target"]
    assert target == {"id": team.pagerduty_escalation_policy, "type": "escalation_policy_reference"}


@pytest.mark.parametrize(("whom", "said"), [("Okafor Chi", "knows no person"), ("Ruiz", "knows several")])
async def test_nobody_is_paged_on_a_guess(duty: DutyRig, whom: str, said: str) -> None:
    await duty.type("U0ANA", f"/oncall page {whom}")

    assert duty.posted("/responder_requests") == []
    assert any("PagerDuty was not told" in text and said in text for text in duty.thread())


async def test_a_request_whose_answer_was_lost_is_not_sent_twice(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall page Ben Okafor")
    await duty.courier._pager.request(  # type: ignore[union-attr]
        "Q2PQ7M1",
        await duty.courier._pager.find("ben@example.com"),
        "again",
        "",  # type: ignore[union-attr]
    )

    assert len(duty.posted("/responder_requests")) == 1


async def test_without_a_key_the_truth_is_told(alone: DutyRig) -> None:
    told = await alone.type("U0ANA", "/oncall page Ben because it burns")

    assert told == "Nobody was paged. PagerDuty is not connected: page Ben there."
    assert await alone.facts("responder_requested") == []
    told = await alone.type("U0ANA", "/oncall snooze 30m")
    assert "PagerDuty is not connected: snooze Q2PQ7M1 there, too, or it pages again." in told
    assert "PagerDuty was not told" not in "\n".join(alone.thread())


async def test_snoozing_follows_in_the_pager(duty: DutyRig) -> None:
    told = await duty.type("U0ANA", "/oncall snooze 30m")

    (body,) = duty.posted("/snooze")
    assert 1_790 <= body["duration"] <= 1_800
    assert told.startswith("Snoozed until ")
    assert any("PagerDuty has snoozed `Q2PQ7M1`." in text for text in duty.thread())
    view, now = await duty.view(), duty.clock.now()
    assert snoozed_until(view, now) is not None
    assert snoozed_until(view, now + timedelta(minutes=31)) is None


async def test_roles_are_taken_and_given(duty: DutyRig) -> None:
    assert "is commander of" in await duty.type("U0ANA", "/oncall role commander")
    assert "ben is scribe of" in await duty.type("U0ANA", "/oncall role scribe <@U0BEN|ben>")
    assert "The roles are: commander" in await duty.type("U0ANA", "/oncall role boss")

    assert [(f["role"], f["holder"]) for f in await duty.facts("role_taken")] == [
        ("commander", "ana"),
        ("scribe", "ben"),
    ]
    assert any("Scribe is now `ben`" in text for text in duty.thread())


async def test_a_handoff_tells_what_one_needs_to_know_and_makes_a_commander(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall handoff to <@U0BEN|ben>")
    (said,) = duty.thread()

    assert said.startswith("`ana` hands over to `ben`, who is commander now.")
    assert "*Cause:* not known" in said
    assert "*Waiting for:* nobody's decision" in said
    assert [fact["holder"] for fact in await duty.facts("handed_over")] == ["ben"]
    assert "commander `ben`" in handover(await duty.view(), duty.clock.now())


# --- Looking ---------------------------------------------------------------------------------------------------------


async def test_a_probe_is_run_once_and_answered_in_the_thread_with_evidence(duty: DutyRig) -> None:
    told = await duty.type("U0ANA", "/oncall probe gateway_canary")
    await duty.slack.delivery.link.replay(5)
    await duty.deliver()

    assert "the answer comes into the thread" in told
    assert duty.asked == [(duty.incident, "gateway_canary")]
    (said,) = duty.thread()
    assert "`ev-asked-1`" in said
    assert "&lt;!channel&gt;" in said
    assert "ev-asked-1" in await duty.flow.casebook.findings(duty.incident)


@pytest.mark.parametrize("name", ["gateway_canaryy", "golden_set", ""])
async def test_what_is_no_probe_to_ask_for_is_answered_with_the_list(duty: DutyRig, name: str) -> None:
    told = await duty.type("U0ANA", f"/oncall probe {name}")

    assert "There are: user_signal, provider_canary" in told
    assert ("Did you mean gateway_canary?" in told) == (name == "gateway_canaryy")
    assert duty.asked == []


async def test_a_probe_that_costs_is_not_repeated_after_a_crash(duty: DutyRig) -> None:
    begun = Fact(kind="probe_started", provenance=Provenance.OBSERVED, actor="pagerunner",
                 data={"probe": "gateway_canary", "asked": "k1"})  # fmt: skip
    await duty.flow.casebook.record(duty.incident, [begun], duty.clock.now())
    await duty.duty.asked(duty.incident, "gateway_canary", "k1", "ana")
    await duty.deliver()

    assert duty.asked == []
    assert "so it was not repeated" in duty.thread()[0]


async def test_runbooks_are_found_with_scores_and_why(duty: DutyRig) -> None:
    told = await duty.type("U0ANA", "/oncall runbook 529 overloaded_error from the provider")

    assert "`provider-outage`" in told
    assert "score" in told
    assert "belief" in told
    assert duty.thread() == []


async def test_changes_are_listed_newest_first(duty: DutyRig) -> None:
    assert "Nobody told of a change" in await duty.type("U0ANA", "/oncall changes")
    now = duty.clock.now()
    received = [_change(f"c{n}", now - timedelta(hours=n), f"<!here> change {n}") for n in (1, 3, 30)]
    for each in received:
        await duty.flow.inbox.accept(each)
    await duty.flow.flow.receive()
    told = await duty.type("U0ANA", "/oncall changes 24")

    assert told.index("change 1") < told.index("change 3")
    assert "change 30" not in told
    assert "&lt;!here&gt;" in told
    assert "1 to 744" in await duty.type("U0ANA", "/oncall changes soon")


def _change(name: str, at: Any, summary: str) -> Received:
    one = Change(id=name, at=at, kind="prompt", service="chat-assistant", summary=summary)
    return Received(key=f"changes:{name}", source="changes", body=json.dumps(codec.dump(one)).encode(), received_at=at)


async def test_help_is_grouped_and_a_drill_is_only_told_of(duty: DutyRig) -> None:
    told = await duty.type("U0ANA", "/oncall help")

    assert [told.index(f"*{group}*") for group in ("Incidents", "Finding out", "People", "Deciding", "Record")]
    for name in (
        "declare",
        "page",
        "probe",
        "runbook",
        "changes",
        "snooze",
        "handoff",
        "role",
        "timeline add",
        "drill",
    ):
        assert f"`/oncall {name}" in told
    assert "Did you mean `snooze`?" in await duty.type("U0ANA", "/oncall snoze 30m")
    assert "pagerunner drill run surprise" in await duty.type("U0ANA", "/oncall drill")


async def test_slack_takes_every_answer(duty: DutyRig) -> None:
    for command in ("help", "drill", "list", "runbook errors", "changes", "probe x", "role", "handoff", "declare"):
        await duty.type("U0ANA", f"/oncall {command}")

    assert all(call["ok"] for call in duty.slack.api.calls)


async def test_people_of_another_workspace_do_nothing(duty: DutyRig) -> None:
    duty.slack.workspace.channels["C0ASSIST"].members.append("U0STRANGER")
    posted = duty.slack.acts.say("U0BEN", "C0ASSIST", "the vendor says it is them", thread_ts=duty.ts)
    duty.slack.acts.react("U0STRANGER", "C0ASSIST", posted.ts, "pushpin")
    duty.slack.acts.react("U0ANA", "C0ASSIST", posted.ts, "eyes")
    await duty.settled("events_api", 4)

    assert await duty.facts("message_added") == []


# --- The timeline ----------------------------------------------------------------------------------------------------


async def test_a_text_is_put_on_the_timeline(duty: DutyRig) -> None:
    told = await duty.type("U0ANA", "/oncall timeline add <@U0BEN|ben> restarted &lt;the&gt; gateway")

    assert told == "On the timeline."
    assert [(f["text"], f["by"]) for f in await duty.facts("note_added")] == [("@ben restarted <the> gateway", "ana")]
    assert any("`@ben restarted &lt;the&gt; gateway`" in text for text in duty.thread())


async def test_a_message_is_put_on_the_timeline_by_its_menu_with_author_and_time(duty: DutyRig) -> None:
    posted = duty.slack.acts.say("U0BEN", "C0ASSIST", "I restarted the gateway", thread_ts=duty.ts)
    for _ in range(2):
        await duty.slack.acts.shortcut("U0ANA", "C0ASSIST", posted.ts, "add_to_timeline")
    await until(lambda: len(duty.told("U0ANA")) >= 2)
    view = await duty.view()
    (entry,) = view.entries("message_added")
    data = entry.fact.data

    assert (data["text"], data["by"], data["added_by"]) == ("I restarted the gateway", "ben", "ana")
    assert entry.fact.actor == "slack:T0LOOP/U0BEN"
    assert f"p{posted.ts.replace('.', '')}" in data["link"]
    (placed,) = view.entries("entry_placed")
    assert placed.fact.data["at"] == data["said_at"]
    assert duty.told("U0ANA")[1] == "It is on the timeline already."


async def test_a_reaction_adds_it_and_taking_it_back_hides_it(duty: DutyRig) -> None:
    posted = duty.slack.acts.say("U0BEN", "C0ASSIST", "customers call", thread_ts=duty.ts)
    duty.slack.acts.react("U0ANA", "C0ASSIST", posted.ts, "pushpin")
    await until(lambda: duty.told("U0ANA"))
    duty.slack.acts.react("U0BEN", "C0ASSIST", posted.ts, "pushpin")
    await until(lambda: duty.told("U0BEN"))
    duty.slack.acts.react("U0ANA", "C0ASSIST", posted.ts, "pushpin")  # back; Ben's is still there
    await duty.settled("events_api", 5)
    assert await duty.facts("entry_hidden") == []
    duty.slack.acts.react("U0BEN", "C0ASSIST", posted.ts, "pushpin")
    await until(lambda: len(duty.told("U0BEN")) >= 2)

    assert len(await duty.facts("message_added")) == 1
    assert [fact["state"] for fact in await duty.facts("entry_hidden")] == ["hidden"]


async def test_an_event_that_arrives_again_adds_nothing_twice(duty: DutyRig) -> None:
    duty.slack.delivery.mischief.repeat = 3
    posted = duty.slack.acts.say("U0BEN", "C0ASSIST", "customers call", thread_ts=duty.ts)
    duty.slack.acts.react("U0ANA", "C0ASSIST", posted.ts, "pushpin")
    await until(lambda: duty.told("U0ANA"))
    await duty.settled("events_api", 6)

    assert len(await duty.facts("message_added")) == 1
    assert len(duty.told("U0ANA")) == 1


async def test_another_reaction_can_be_chosen(tmp_path: Path, catalogue: Catalogue) -> None:
    async with duty_rig(tmp_path, catalogue, timeline_reaction="memo") as duty:
        posted = duty.slack.acts.say("U0BEN", "C0ASSIST", "customers call", thread_ts=duty.ts)
        duty.slack.acts.react("U0ANA", "C0ASSIST", posted.ts, "pushpin")
        await duty.settled("events_api", 3)
        assert await duty.facts("message_added") == []
        duty.slack.acts.react("U0ANA", "C0ASSIST", posted.ts, "memo")
        await until(lambda: duty.told("U0ANA"))
        assert len(await duty.facts("message_added")) == 1


async def test_a_message_of_no_incident_is_answered_with_what_to_do(duty: DutyRig) -> None:
    posted = duty.slack.acts.say("U0CHI", "C0INCIDENTS", "lunch?")
    await duty.slack.acts.shortcut("U0CHI", "C0INCIDENTS", posted.ts, "add_to_timeline")
    told = await until(lambda: duty.told("U0CHI", "C0INCIDENTS"))

    assert "`/oncall timeline add INCIDENT TEXT`" in told[0]
    assert await duty.facts("message_added") == []


# --- Exporting -------------------------------------------------------------------------------------------------------


async def test_an_export_is_made_as_the_form_says(duty: DutyRig) -> None:
    await duty.type("U0ANA", "/oncall export")
    wrong = await duty.submit("U0ANA", incident=duty.incident, form="csv", redaction="public", zone="Europe/Berlinn")
    assert "Europe/Berlin" in wrong.errors["zone"]
    done = await duty.submit("U0ANA", incident=duty.incident, form="csv", redaction="public", zone="Europe/Berlin")
    assert done.ok, done.errors
    await duty.deliver()
    async with aiohttp.ClientSession() as session, session.get(_files(duty)[0]["url_private"]) as reply:
        held = await reply.text()

    assert "LLM error rate" not in held
    assert "+01:00" in held
    assert any(f"{duty.incident}.csv follows" in text for text in duty.told("U0ANA"))


def _files(duty: DutyRig) -> list[Any]:
    messages = duty.slack.workspace.channels["C0ASSIST"].messages.values()
    return [file for message in messages for file in message.payload.get("files") or []]


# --- The Home tab ----------------------------------------------------------------------------------------------------


def shown(duty: DutyRig, user: str) -> str:
    """What stands in somebody's Home tab."""
    view = duty.slack.surfaces.homes.get(user)
    blocks = duty.slack.surfaces.views[view].view["blocks"] if view else []
    assert len(blocks) <= 100
    return "\n".join(str((block.get("text") or {}).get("text", "")) for block in blocks)


async def opened(duty: DutyRig, user: str) -> str:
    duty.slack.acts.open_home(user)
    await until(lambda: user in duty.slack.surfaces.homes)
    return shown(duty, user)


def published(duty: DutyRig) -> int:
    return sum(call["method"] == "views.publish" for call in duty.slack.api.calls)


async def test_the_home_tab_shows_what_concerns_the_viewer(duty: DutyRig) -> None:
    await duty.flow.flow.sweep()
    await duty.flow.jobs.idle()
    mine, other = await opened(duty, "U0ANA"), await opened(duty, "U0CHI")

    assert f"|{duty.incident}>" in mine
    assert "Shift traffic" in mine
    assert "0 of 1" in mine
    assert duty.incident not in other
    for empty in ("Nothing waits for your approval.", "No open incident of team trust", "Nothing is set", "No runbook"):
        assert empty in other


async def test_the_home_tab_is_published_again_only_when_it_is_different(duty: DutyRig) -> None:
    await opened(duty, "U0ANA")
    await duty.home.refresh()
    assert published(duty) == 1
    await duty.type("U0ANA", "/oncall resolve")
    await duty.home.refresh()

    assert published(duty) == 2
    assert "No open incident of team assist" in shown(duty, "U0ANA")


async def test_only_those_who_looked_lately_are_published_to(duty: DutyRig) -> None:
    await opened(duty, "U0ANA")
    duty.home._viewers["U0ANA"].until = duty.clock.now()
    await duty.type("U0ANA", "/oncall resolve")
    await duty.home.refresh()

    assert published(duty) == 1


async def test_a_stranger_sees_nothing_in_the_home_tab(duty: DutyRig) -> None:
    assert await opened(duty, "U0STRANGER") == FOREIGN


async def test_leases_and_overdue_runbooks_are_shown_in_order(catalogue: Catalogue) -> None:
    views = [verified(lease=30), verified(lease=10)]
    late = Overdue(runbook="a-runbook", title="A <runbook>", owner="assist", days=12)
    gathered = gather(views, [late, replace(late, owner="trust")], "slack:T/U", (), ["assist"], NOON)
    text = json.dumps(home_blocks(gathered, {}, "/oncall", ["assist"]), ensure_ascii=False)

    assert text.index("12:10 UTC") < text.index("12:30 UTC")
    assert text.count("12 days late") == 1
    assert "A &lt;runbook&gt;" in text


async def test_of_a_storm_the_home_tab_shows_ten_and_a_count() -> None:
    many = tuple(replace(provider_outage(), message=None) for _ in range(60))
    blocks = home_blocks(gather(many, [], "slack:T/U", (), ["assist"], NOON), {}, "/oncall", ["assist"])

    assert len(blocks) <= 100
    assert "and 50 more" in json.dumps(blocks)


def verified(*, lease: int) -> IncidentView:
    """An incident whose mitigation is in effect for so many minutes after noon."""
    view = SAMPLES["verified"]()
    pv = view.proposals[-1]
    assert pv.apply is not None
    held = replace(pv, apply=replace(pv.apply, state=EffectState.DONE, lease_until=NOON + timedelta(minutes=lease)))
    return replace(view, proposals=(held,))
