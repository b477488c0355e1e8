"""Break-glass end to end: one person decides alone, in real Bolt and real SQLite, and somebody else looks at it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.cli import main
from bot.domain.card import build
from bot.domain.presentation import Presentation
from bot.domain.proposal import Principal, ProposalState, VoteResult
from bot.domain.redaction import redacted
from bot.edges.export import Export
from bot.ports import VoteContext
from config.catalogue import Approvers, BreakGlass, Catalogue
from tests.deciding_rig import EVA, buttons, card, deciding, policy, press, propose, send, shown, use
from tests.duty_rig import DutyRig
from tests.slack_rig import until

REASON = "Ana and Ben do not answer, users get errors"


@pytest.fixture
async def duty(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[DutyRig]:
    async with deciding(tmp_path, policy(catalogue)) as running:
        yield running


@pytest.fixture
async def two(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[DutyRig]:
    """Two approvers are wanted."""
    async with deciding(tmp_path, policy(catalogue, count=2)) as running:
        yield running


async def broken(duty: DutyRig, user: str = "U0EVA", reason: str = REASON) -> str:
    await press(duty, user, "glass")
    told, errors = await send(duty, user, reason=reason)
    assert not errors
    return told


def person(user: str, via: str = "slack") -> Principal:
    return Principal(id=f"slack:T0LOOP/{user}", name=user.removeprefix("U0").lower(), via=via)


async def alone(duty: DutyRig, who: Principal, reason: str = REASON, plan_hash: str = "") -> VoteResult:
    """The same over the desk, as by command or API."""
    one = (await shown(duty)).proposal
    posted = (await duty.view()).message
    assert posted is not None
    context = VoteContext(channel=posted.channel, message_ts=posted.ts, incident_id=duty.incident)
    result = await duty.flow.desk.vote(
        one.id, plan_hash or one.plan_hash, "approve", who, context, reason, break_glass=True
    )
    await duty.flow.jobs.idle()
    return result


async def test_a_named_person_approves_alone_and_leaves_a_debt(duty: DutyRig) -> None:
    assert "Break glass" in buttons(duty)
    told = await broken(duty)

    pv = await shown(duty)
    assert told == "Approved. It is being carried out exactly as shown, once. Somebody else has to review it."
    assert duty.flow.target.effects == ["apply shift_traffic"]
    assert pv.debt is not None
    assert (pv.debt.principal, pv.debt.reason, pv.debt.open) == ("slack:T0LOOP/U0EVA", REASON, True)
    assert [fact["reason"] for fact in await duty.facts("glass_broken")] == [REASON]
    assert "BREAK-GLASS" in card(duty)
    assert REASON in card(duty)
    assert "Reviewed" in buttons(duty)
    assert any("approved" in text and "alone, by break-glass" in text for text in duty.thread())


async def test_one_person_is_enough_where_two_are_wanted(two: DutyRig) -> None:
    await broken(two, "U0ANA")

    assert two.flow.target.effects == ["apply shift_traffic"]
    assert (await shown(two)).proposal.state is ProposalState.DONE


async def test_a_vote_before_it_becomes_the_lone_one(two: DutyRig) -> None:
    assert "(1 of 2 so far)" in await press(two, "U0ANA", "approve")
    await broken(two, "U0ANA")

    assert two.flow.target.effects == ["apply shift_traffic"]


async def test_who_may_simply_approve_breaks_nothing(duty: DutyRig) -> None:
    assert await alone(duty, person("U0ANA")) is VoteResult.NOT_NEEDED
    assert duty.flow.target.effects == []


async def test_who_makes_the_number_full_breaks_nothing(two: DutyRig) -> None:
    await press(two, "U0BEN", "approve")
    assert await alone(two, person("U0ANA")) is VoteResult.NOT_NEEDED
    assert two.flow.target.effects == []
    assert (await shown(two)).debt is None


@pytest.mark.parametrize("user", ["U0DEV", "U0BEN", "U0GUEST", "U0STRANGER", "U0GONE"])
async def test_nobody_else_may(two: DutyRig, user: str) -> None:
    assert await alone(two, person(user)) is VoteResult.NO_BREAK_GLASS
    assert two.flow.target.effects == []


async def test_the_refused_person_hears_why(two: DutyRig) -> None:
    told = await broken(two, "U0BEN")

    assert told == (
        "The policy does not let you approve this alone. Nothing was done. The policy does not name you for "
        "break-glass here."
    )
    (denied,) = await two.facts("vote_denied")
    assert denied["denied"] == "no_break_glass"


@pytest.mark.parametrize(
    "who",
    [Principal(id="local:root", name="root", via="cli"), person("U0EVA", via="api"),
     Principal(id="slack:T0OTHER/U0EVA", name="eva", via="slack")],
)  # fmt: skip
async def test_a_person_who_is_not_known_breaks_no_glass(duty: DutyRig, who: Principal) -> None:
    assert await alone(duty, who) is VoteResult.NO_BREAK_GLASS


async def test_without_a_rule_there_is_no_button_and_nobody_may(tmp_path: Path, catalogue: Catalogue) -> None:
    async with deciding(tmp_path, policy(catalogue, glass=())) as duty:
        assert "Break glass" not in buttons(duty)
        assert await alone(duty, person("U0EVA")) is VoteResult.NO_BREAK_GLASS


@pytest.mark.parametrize(
    "rule",
    [BreakGlass(services=("*",), up_to="R3"), EVA.model_copy(update={"up_to": "R1"}),
     EVA.model_copy(update={"services": ("support-bot",)})],
)  # fmt: skip
async def test_a_rule_without_people_for_less_risk_or_for_another_service_lets_nobody(
    tmp_path: Path, catalogue: Catalogue, rule: BreakGlass
) -> None:
    async with deciding(tmp_path, policy(catalogue, glass=(rule,))) as duty:
        assert await alone(duty, person("U0EVA")) is VoteResult.NO_BREAK_GLASS


async def test_where_the_policy_lets_nobody_approve_nobody_breaks_the_glass(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    nobody = policy(catalogue)
    nobody = nobody.model_copy(update={"policy": nobody.policy.model_copy(update={"rules": ()})})
    async with deciding(tmp_path, nobody) as duty:
        assert "Break glass" not in buttons(duty)
        assert await alone(duty, person("U0EVA")) is VoteResult.NO_BREAK_GLASS
        assert duty.flow.target.effects == []


async def test_not_in_observe_mode(tmp_path: Path, catalogue: Catalogue) -> None:
    seen = policy(catalogue)
    services = tuple(one.model_copy(update={"mode": "observe"}) for one in seen.services)
    async with deciding(tmp_path, seen.model_copy(update={"services": services})) as duty:
        assert "Break glass" not in buttons(duty)
        assert await alone(duty, person("U0EVA")) is VoteResult.OBSERVE_MODE


async def test_not_under_a_freeze_and_not_while_it_holds_what_was_approved(two: DutyRig) -> None:
    await two.flow.desk.freeze("*", True, "change freeze", Principal(id="local:root", name="root", via="cli"))
    await two.deliver()

    assert "Break glass" not in buttons(two)
    assert await alone(two, person("U0EVA")) is VoteResult.FROZEN
    assert await alone(two, person("U0ANA")) is VoteResult.FROZEN
    assert (await shown(two)).debt is None


async def test_only_for_exactly_the_plan_that_was_seen(duty: DutyRig) -> None:
    assert await alone(duty, person("U0EVA"), plan_hash="0" * 64) is VoteResult.STALE_PLAN


async def test_a_form_for_a_plan_that_changed_meanwhile_does_nothing(duty: DutyRig) -> None:
    await press(duty, "U0EVA", "glass")
    await duty.flow.desk.hint(duty.incident, "look again", person("U0ANA"))
    await propose(duty)
    told, _ = await send(duty, "U0EVA", reason=REASON)

    assert "already been decided" in told
    assert duty.flow.target.effects == []


@pytest.mark.parametrize("reason", ["", "  ", "!", "no\u202ereason at all"])
async def test_without_a_reason_that_can_be_read_nothing_happens(duty: DutyRig, reason: str) -> None:
    await press(duty, "U0EVA", "glass")
    _, errors = await send(duty, "U0EVA", reason=reason)

    assert "reason" in errors
    assert duty.flow.target.effects == []
    assert await alone(duty, person("U0EVA"), reason=" ! ") is VoteResult.NO_REASON


async def test_a_form_that_is_sent_again_approves_once(duty: DutyRig) -> None:
    await broken(duty)
    await duty.slack.delivery.link.replay(20)
    await duty.deliver()

    assert duty.flow.target.effects == ["apply shift_traffic"]
    assert len(await duty.facts("glass_broken")) == 1


async def test_fifty_at_once_make_one_debt_and_one_effect(duty: DutyRig) -> None:
    results = await asyncio.gather(*(alone(duty, person("U0EVA")) for _ in range(50)))

    assert results.count(VoteResult.APPROVED) == 1
    assert duty.flow.target.effects == ["apply shift_traffic"]


async def test_who_is_taken_out_of_the_rule_before_it_is_executed_decides_nothing(
    duty: DutyRig, catalogue: Catalogue
) -> None:
    one = (await shown(duty)).proposal
    await duty.flow.gate.vote(
        one.id, one.plan_hash, "approve", person("U0EVA"), (False, ""), VoteContext(channel="C0ASSIST",
        message_ts=duty.ts), duty.clock.now(), REASON, glass=(True, ""),
    )  # fmt: skip
    without = EVA.model_copy(update={"people": Approvers(slack_users=("U0CHI",))})
    use(duty, policy(catalogue, glass=(without,)), duty.deps.people)
    await duty.flow.flow.mitigate(one.id)

    assert duty.flow.target.effects == []
    (expired,) = await duty.facts("proposal_expired")
    assert "whoever broke the glass may no longer do that" in expired["why"]


async def test_by_command_it_needs_the_plan_and_a_reason(duty: DutyRig) -> None:
    code = (await shown(duty)).proposal.plan_hash[:8]
    vague = await duty.type("U0EVA", f"/oncall breakglass {duty.incident}")
    mute = await duty.type("U0EVA", f"/oncall breakglass {duty.incident} {code}")
    told = await duty.type("U0EVA", f"/oncall breakglass {duty.incident} {code} {REASON}")
    await duty.flow.jobs.idle()

    assert "Name the plan" in vague
    assert "needs a reason" in mute
    assert told.startswith("Approved.")
    assert duty.flow.target.effects == ["apply shift_traffic"]


# --- The review ------------------------------------------------------------------------------------------------------


async def test_another_approver_reviews_it_and_the_debt_is_settled(duty: DutyRig) -> None:
    await broken(duty)
    await press(duty, "U0BEN", "reviewed")
    told, errors = await send(duty, "U0BEN", note="Right: the provider was down")

    pv = await shown(duty)
    assert not errors
    assert "Your review of" in told
    assert pv.debt is not None
    assert (pv.debt.reviewed_by, pv.debt.note) == ("slack:T0LOOP/U0BEN", "Right: the provider was down")
    assert "BREAK-GLASS" not in card(duty)
    assert "Reviewed by ben" in card(duty)
    assert "Reviewed" not in buttons(duty)


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (person("U0EVA"), "nobody reviews what they approved alone"),
        (person("U0DEV"), "you are not an approver of team assist"),
        (Principal(id="local:root", name="root", via="cli"), "does not show who it is"),
        (person("U0STRANGER"), "not an approver"),
        (person("U0BEN", via="api"), "nobody that the catalogue could name"),
    ],
)
async def test_nobody_else_settles_it(duty: DutyRig, who: Principal, why: str) -> None:
    await broken(duty)
    one = (await shown(duty)).proposal

    told = await duty.flow.desk.review(one.id, "looks fine", who)

    assert not told.ok
    assert why in told.text
    debt = (await shown(duty)).debt
    assert debt is not None
    assert debt.open
    assert len(await duty.facts("review_denied")) == 1


async def test_an_approver_who_broke_it_does_not_review_it_from_a_linked_command_line_either(two: DutyRig) -> None:
    await broken(two, "U0ANA")
    linked = Principal(id="slack:T0LOOP/U0ANA", name="root", via="cli", link="ln-0a1b2c3d")

    told = await two.flow.desk.review((await shown(two)).proposal.id, "fine", linked)

    assert not told.ok
    assert await two.flow.gate.review((await shown(two)).proposal.id, linked, "fine", "", two.clock.now()) is False


async def test_a_review_says_something_and_is_made_once(duty: DutyRig) -> None:
    await broken(duty)
    one = (await shown(duty)).proposal
    assert not (await duty.flow.desk.review(one.id, " .", person("U0BEN"))).ok

    told = await asyncio.gather(*(duty.flow.desk.review(one.id, "fine", person("U0BEN")) for _ in range(10)))

    assert sum(one.ok for one in told) == 1
    assert len(await duty.facts("debt_reviewed")) == 1
    assert "reviewed it already" in (await duty.flow.desk.review(one.id, "fine", person("U0ANA"))).text


async def test_it_is_reviewed_by_command_too_and_listed_until_then(duty: DutyRig) -> None:
    await broken(duty)
    listed = await duty.type("U0BEN", "/oncall debts")
    told = await duty.type("U0BEN", f"/oncall review {duty.incident} it was right")
    after = await duty.type("U0BEN", "/oncall debts")

    assert duty.incident in listed
    assert REASON in listed
    assert "Your review of" in told
    assert "Nobody has approved anything alone" in after


async def test_a_closed_incident_keeps_its_debt_and_its_postmortem_tells_of_it(duty: DutyRig) -> None:
    await broken(duty)
    await duty.flow.desk.command(duty.incident, "resolve", person("U0ANA"))
    await duty.flow.flow.sweep()
    await duty.flow.jobs.idle()
    await duty.deliver()
    written = len(duty.flow.published)
    before = Export().export(await duty.view(), "md").decode()
    assert "Reviewed" in buttons(duty)
    await press(duty, "U0BEN", "reviewed")
    await send(duty, "U0BEN", note="It was right")
    after = Export().export(await duty.view(), "md").decode()

    assert "Break-glass:" in before
    assert REASON in before
    assert "Not reviewed yet" in before
    assert "It was right" in after
    assert "Not reviewed yet" not in after
    assert len(duty.flow.published) == written + 1


async def test_the_home_tab_of_others_shows_it_and_ones_own_does_not(duty: DutyRig) -> None:
    await broken(duty)
    for user in ("U0BEN", "U0EVA", "U0DEV"):
        duty.slack.acts.open_home(user)
        await until(lambda one=user: one in duty.slack.surfaces.homes)

    def home(user: str) -> str:
        return str(duty.slack.surfaces.views[duty.slack.surfaces.homes[user]].view["blocks"])

    assert "Break-glass to review" in home("U0BEN")
    assert REASON in home("U0BEN")
    assert "Break-glass to review" not in home("U0EVA")
    assert "Break-glass to review" not in home("U0DEV")


async def test_the_command_line_lists_debts_without_a_server(duty: DutyRig, tmp_path: Path) -> None:
    await broken(duty)
    path = str(tmp_path / "pagerunner.sqlite")

    def run(*more: str) -> Any:
        return CliRunner().invoke(main, ["audit", "debts", "--database", path, *more])

    listed = await asyncio.to_thread(run)
    await duty.flow.desk.review((await shown(duty)).proposal.id, "fine", person("U0BEN"))
    rest, every = await asyncio.to_thread(run), await asyncio.to_thread(run, "--all")

    assert listed.exit_code == 0, listed.output
    assert duty.incident in listed.output
    assert REASON in listed.output
    assert rest.output == "No break-glass approval waits for a review.\n"
    assert "Reviewed by ben" in every.output


async def test_the_public_postmortem_names_nobody(duty: DutyRig) -> None:
    await broken(duty)
    await duty.flow.desk.review((await shown(duty)).proposal.id, "Ben says: fine", person("U0BEN"))
    text = Export().export(await duty.view(), "md", Presentation(redaction="public")).decode()

    assert "Break-glass" in text
    for secret in (REASON, "Ben says", "eva", "U0EVA", "ben"):
        assert secret not in text, secret
    assert all(pv.awaited == () for pv in redacted(await duty.view(), "public").proposals)


async def test_what_was_decided_so_cannot_be_hidden(duty: DutyRig) -> None:
    await broken(duty)
    view = await duty.view()
    entry = view.entries("glass_broken")[0]
    from bot.domain.edits import refusal

    assert "stays visible" in refusal("entry_hidden", entry, None, entry.at + timedelta(hours=1), entry.at)


async def test_the_card_with_a_debt_fits_slack(duty: DutyRig) -> None:
    await broken(duty, reason="x" * 500)

    assert "BREAK-GLASS" in str(build(await duty.view()).banners)
    assert duty.slack.workspace.message("C0ASSIST", duty.ts)
