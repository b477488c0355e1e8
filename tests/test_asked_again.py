"""Expiry asks again and decides nothing: in the same card, and not for ever while nobody is there."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.domain.card import build
from bot.domain.proposal import Principal, ProposalState, VoteResult
from bot.edges.database import Database
from bot.edges.gate_rows import ASKED_AT_MOST
from bot.ports import VoteContext
from config.catalogue import Catalogue
from tests.conftest import FakeClock
from tests.deciding_rig import buttons, card, deciding, policy, press, propose, send, shown
from tests.duty_rig import DutyRig
from tests.flow_fakes import Rig
from tests.incident_samples import ANA
from tests.test_flow import opened

TTL = 900


@pytest.fixture
def rig(database: Database, catalogue: Catalogue, clock: FakeClock) -> Rig:
    return Rig(database, catalogue, clock)


async def states(rig: Rig, incident_id: str) -> list[str]:
    view = await rig.records.view(incident_id)
    assert view is not None
    return [pv.proposal.state.value for pv in view.proposals]


async def test_what_expires_is_asked_afresh_a_few_times_and_then_only_when_somebody_wants_it(rig: Rig) -> None:
    incident_id = await opened(rig)
    for _ in range(ASKED_AT_MOST + 3):
        await rig.tick(TTL)

    assert await states(rig, incident_id) == ["expired"] * ASKED_AT_MOST
    assert rig.target.effects == []
    view = await rig.records.view(incident_id)
    assert view is not None
    built = build(view)
    assert "again" in built.buttons
    assert "approve" not in built.buttons
    assert f"Asked {ASKED_AT_MOST} times, and nobody decided" in str(built.sections)

    told = await rig.desk.again(incident_id, ANA)
    await rig.jobs.idle()

    assert told.ok
    assert (await states(rig, incident_id))[-1] == "open"
    for _ in range(ASKED_AT_MOST + 1):
        await rig.tick(TTL)
    assert len(await states(rig, incident_id)) == 2 * ASKED_AT_MOST


@pytest.mark.parametrize("sign", ["note", "acknowledge"])
async def test_any_sign_of_a_person_starts_the_count_anew(rig: Rig, sign: str) -> None:
    incident_id = await opened(rig)
    for _ in range(ASKED_AT_MOST - 1):
        await rig.tick(TTL)
    if sign == "note":
        await rig.desk.note(incident_id, "note_added", "I am looking", ANA)
    else:
        await rig.desk.command(incident_id, "acknowledge", ANA)
    await rig.tick(TTL)

    assert (await states(rig, incident_id))[-1] == "open"


async def test_a_vote_that_comes_too_late_for_the_last_time_is_asked_again(rig: Rig) -> None:
    incident_id = await opened(rig)
    for _ in range(ASKED_AT_MOST - 1):
        await rig.tick(TTL)
    view = await rig.records.view(incident_id)
    assert view is not None
    last = view.proposals[-1].proposal
    rig.clock.advance(TTL)

    late = await rig.desk.vote(last.id, last.plan_hash, "approve", ANA, VoteContext(incident_id=incident_id))
    await rig.tick()

    assert late is not VoteResult.APPROVED
    assert (await states(rig, incident_id))[-2:] == ["expired", "open"]


async def test_what_is_over_is_not_asked_again(rig: Rig) -> None:
    incident_id = await opened(rig)
    await rig.desk.command(incident_id, "resolve", ANA)

    assert not (await rig.desk.again(incident_id, ANA)).ok


async def test_asking_twice_at_once_looks_once(rig: Rig) -> None:
    incident_id = await opened(rig)
    for _ in range(ASKED_AT_MOST):
        await rig.tick(TTL)
    before = len(rig.triage.asked)
    for _ in range(3):
        await rig.desk.again(incident_id, ANA)
    await rig.jobs.idle()

    assert len(rig.triage.asked) == before + 1


# --- In Slack --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def duty(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[DutyRig]:
    async with deciding(tmp_path, policy(catalogue)) as running:
        yield running


async def expire(duty: DutyRig) -> None:
    """The time for the open proposal is over."""
    one = (await shown(duty)).proposal
    await duty.flow.gate.expire(one.plan.expires_at + timedelta(seconds=1))
    await propose(duty)


async def test_asking_again_edits_the_card_and_posts_nothing_new(duty: DutyRig) -> None:
    channel = duty.slack.workspace.channels["C0ASSIST"]
    before = [m.ts for m in channel.messages.values() if "thread_ts" not in m.payload or m.payload["thread_ts"] == m.ts]
    thread = len(duty.thread())
    old = (await shown(duty)).proposal
    await expire(duty)
    new = (await shown(duty)).proposal

    after = [m.ts for m in channel.messages.values() if "thread_ts" not in m.payload or m.payload["thread_ts"] == m.ts]
    assert after == before
    assert len(duty.thread()) == thread
    assert (await duty.view()).proposals[0].proposal.state is ProposalState.EXPIRED
    assert new.id != old.id
    assert new.plan_hash != old.plan_hash
    assert new.plan_hash[:8] in card(duty)
    assert "Approve" in buttons(duty)


async def test_at_the_end_there_is_a_button_to_be_asked_again(duty: DutyRig) -> None:
    for _ in range(ASKED_AT_MOST):
        await expire(duty)
    assert "Approve" not in buttons(duty)
    assert "Ask again" in buttons(duty)

    told = await press(duty, "U0ANA", "again")

    assert told == "Looking again; the card shows what comes of it."
    assert "Approve" in buttons(duty)
    assert "Ask again" not in buttons(duty)


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_after_the_decision_no_button_that_decides_is_left(duty: DutyRig, decision: str) -> None:
    await press(duty, "U0ANA", decision)

    assert not {"Approve", "Reject", "Edit", "Other plan", "Break glass"} & set(buttons(duty))


async def test_after_break_glass_no_button_that_decides_is_left(duty: DutyRig) -> None:
    await press(duty, "U0EVA", "glass")
    await send(duty, "U0EVA", reason="nobody else answers")

    assert not {"Approve", "Reject", "Edit", "Other plan", "Break glass"} & set(buttons(duty))


def test_a_principal_without_a_link_is_as_before() -> None:
    assert Principal(id="local:root", name="root", via="cli").link == ""
