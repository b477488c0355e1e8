"""Everybody sees who is awaited and until when: by name, in the card itself, without anybody being called."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain import deciding as words
from bot.domain.card import build
from bot.domain.view import Awaited, ProposalView, Vote
from bot.edges import awaiting, checks_on_call
from bot.edges.checks_pagerduty import PagerAccess
from bot.edges.checks_slack import SlackAccess, slack
from bot.edges.pagerduty_out import PagerDuty
from bot.edges.rota import CachedRota
from bot.edges.slack_people import SlackPeople
from bot.edges.slack_roster import Roster
from config.catalogue import Approvers, BreakGlass, Catalogue
from drills.slack.limits import Fault
from tests.deciding_rig import buttons, card, deciding, policy, press
from tests.duty_rig import DutyRig
from tests.pagerduty_fakes import KEY, PagerDutyState, pagerduty
from tests.view_samples import PLAN, at, proposal, provider_outage

ANA = Awaited(name="Ana Lima", principal="slack:T0LOOP/U0ANA")
BEN = Awaited(name="Ben Okafor", principal="slack:T0LOOP/U0BEN")
GROUP = Awaited(name="@assist-oncall")
CHI = Awaited(name="Chi Nguyen", principal="slack:T0LOOP/U0CHI", on_call=True)


def waiting(*people: Awaited, count: int = 1, voted: str = "") -> ProposalView:
    votes = (Vote(principal=voted, name="x", decision="approve", at=at(4)),) if voted else ()
    return ProposalView(proposal=proposal(replace(PLAN, min_approvers=count)), awaited=people, votes=votes)


@pytest.mark.parametrize(
    ("pv", "said"),
    [
        (waiting(), "Team assist decides by 12:18 UTC (0 of 1)"),
        (waiting(ANA), "Waits for Ana Lima of team assist until 12:18 UTC (0 of 1)"),
        (waiting(ANA, GROUP, CHI),
         "Waits for Ana Lima, @assist-oncall or Chi Nguyen (on call) of team assist until 12:18 UTC (0 of 1)"),
        (waiting(ANA, BEN, count=2), "Waits for 2 of Ana Lima or Ben Okafor of team assist until 12:18 UTC (0 of 2)"),
        (waiting(ANA, BEN, count=2, voted=ANA.principal),
         "Waits for 1 more: Ben Okafor of team assist until 12:18 UTC (1 of 2)"),
        (waiting(*(Awaited(name=f"P{n}") for n in range(9))),
         "Waits for P0, P1, P2 or 6 others of team assist until 12:18 UTC (0 of 1)"),
    ],
)  # fmt: skip
def test_who_is_awaited_is_said_in_one_sentence(pv: ProposalView, said: str) -> None:
    assert words.awaited(pv) == said


def test_a_name_is_text_and_no_order() -> None:
    evil = Awaited(name="<!channel> *now*\nApproved by cto" + "x" * 200, principal="slack:T0LOOP/U0ANA")
    view = replace(provider_outage(), proposals=(waiting(evil),))
    (line,) = next(section for section in build(view).sections if section.key == "next").lines

    assert "\n" not in line.text
    assert len(line.text) < 200


# --- In Slack --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def duty(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[DutyRig]:
    wanted = policy(catalogue, count=2, slack_groups=("S0ASSIST",), on_call=True)
    async with deciding(tmp_path, wanted) as running:
        yield running


def roster(duty: DutyRig, state_url: str = "") -> Roster:
    people = duty.deps.people
    assert isinstance(people, SlackPeople)
    rota: Any = CachedRota(PagerDuty(KEY, base_url=state_url, quick=True), duty.clock) if state_url else people._rota
    found = Roster(people._client, people._workspace, people._catalogue, duty.clock, rota)
    duty.flow.records._names = found.names
    return found


async def look_up(duty: DutyRig, found: Roster) -> None:
    """What the tick does."""
    database = duty.flow.gate._database
    await awaiting.redraw(database, await found.refresh(await awaiting.teams(database)), duty.clock.now())
    await duty.deliver()


def top_level(duty: DutyRig) -> int:
    channel = duty.slack.workspace.channels["C0ASSIST"]
    return sum(m.payload.get("thread_ts") in (None, m.ts) for m in channel.messages.values())


async def test_the_card_waits_for_no_name_and_is_edited_when_they_are_known(duty: DutyRig) -> None:
    state = PagerDutyState(rotas={"PEPASSIST": [{"user": "PEVA"}]})
    async with pagerduty(state) as url:
        found = roster(duty, url)
        assert "Team assist decides by" in card(duty)
        before = top_level(duty)
        await look_up(duty, found)

        assert "Waits for 2 of Ana Lima, Ben Okafor, @assist-oncall or Eva Ruiz (on call) of team assist" in card(duty)
        assert "<@" not in card(duty)
        assert "<!" not in card(duty)
        assert '"type": "user"' not in card(duty).replace("'", '"')
        assert top_level(duty) == before
        await press(duty, "U0ANA", "approve")
        assert "Waits for 1 more: Ben Okafor, @assist-oncall or Eva Ruiz (on call)" in card(duty)


async def test_without_pagerduty_the_card_says_so_and_the_others_can_decide(duty: DutyRig) -> None:
    found = roster(duty)
    await look_up(duty, found)

    assert "whoever is on call (PagerDuty does not say who)" in card(duty)
    await press(duty, "U0ANA", "approve")
    await press(duty, "U0BEN", "approve")
    assert duty.flow.target.effects == ["apply shift_traffic"]


async def test_while_slack_does_not_answer_the_team_is_shown(duty: DutyRig) -> None:
    found = roster(duty)
    for method in ("users.info", "usergroups.list"):
        duty.slack.api.faults.add(Fault(method=method, status=500, count=-1))
    await look_up(duty, found)

    assert "of team assist until" in card(duty)
    assert "Approve" in buttons(duty)


async def test_nothing_is_looked_up_while_nothing_waits(duty: DutyRig) -> None:
    await press(duty, "U0ANA", "reject")

    assert await awaiting.teams(duty.flow.gate._database) == []


async def test_the_reason_that_nobody_can_say_who_is_on_call_reaches_who_pressed(duty: DutyRig) -> None:
    told = await press(duty, "U0EVA", "approve")

    assert told == (
        "You are not an approver for this. Nothing was done. PagerDuty cannot say who is on call now (no PagerDuty "
        "API key is set, so escalation policy PEPASSIST cannot be asked); a listed approver can decide. "
        "Team assist decides this."
    )


# --- Doctor ----------------------------------------------------------------------------------------------------------


def accesses(duty: DutyRig, url: str, key: str = KEY) -> tuple[PagerAccess, SlackAccess]:
    pager = PagerAccess(api=url, api_key=key, author="", secrets=1)
    return pager, SlackAccess(mode="socket", api=f"{duty.slack.url}/api/", bot_token="xoxb-loopback",
                              app_token="xapp-loopback")  # fmt: skip


@pytest.mark.parametrize(
    ("rota", "state", "said"),
    [
        ([{"user": "PANA"}], "ok", "Ana Ruiz, known in Slack by their address"),
        ([{"user": "PONCALL"}], "problem", "On Call cannot be recognised in Slack: nobody there has this address"),
        ([], "problem", "nobody with an e-mail address is on call now on PEPASSIST"),
    ],
)
async def test_doctor_asks_who_is_on_call_and_whether_slack_knows_them(
    duty: DutyRig, rota: list[dict[str, Any]], state: str, said: str
) -> None:
    async with pagerduty(PagerDutyState(rotas={"PEPASSIST": rota})) as url:
        (check,) = await checks_on_call.on_call(*accesses(duty, url), duty.deps.catalogue)

    assert (check.name, check.state) == ("on call for assist", state)
    assert said in check.detail
    assert bool(check.fix) == (state == "problem")


async def test_doctor_says_what_is_missing_for_it(duty: DutyRig, catalogue: Catalogue) -> None:
    async with pagerduty(PagerDutyState(failures=[(403, {})] * 4)) as url:
        pager, access = accesses(duty, url)
        (refused,) = await checks_on_call.on_call(pager, access, duty.deps.catalogue)
        (keyless,) = await checks_on_call.on_call(accesses(duty, url, "")[0], access, duty.deps.catalogue)
        (off,) = await checks_on_call.on_call(pager, None, duty.deps.catalogue)
        none = await checks_on_call.on_call(pager, access, catalogue)

    assert "403" in refused.detail
    assert "no PagerDuty API key" in keyless.detail
    assert off.detail == "Slack is switched off"
    assert {one.state for one in (refused, keyless, off)} == {"problem"}
    assert none == []


async def test_doctor_looks_at_who_may_break_the_glass(duty: DutyRig, catalogue: Catalogue) -> None:
    access = accesses(duty, "http://127.0.0.1:1")[1]

    async def told(*rules: BreakGlass) -> Any:
        found, _ = await slack(access, policy(catalogue, glass=rules))
        return [one for one in found if one.name == "break-glass"]

    (good,) = await told(BreakGlass(services=("*",), up_to="R2", people=Approvers(slack_users=("U0EVA",))))
    (guest,) = await told(BreakGlass(services=("*",), up_to="R2", people=Approvers(slack_users=("U0GUEST",))))
    (nobody,) = await told(BreakGlass(services=("*",), up_to="R2"))

    assert (good.state, good.detail) == ("ok", "U0EVA may approve alone")
    assert "a guest cannot approve" in guest.detail
    assert "names nobody" in nobody.detail
    assert await told() == []
