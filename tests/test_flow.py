"""The way of an incident: six verbs, each safe to repeat, and people in the middle."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.domain.card import build
from bot.domain.incident import Status
from bot.domain.next_step import next_step
from bot.domain.proposal import ProposalState, VoteResult
from bot.domain.view import IncidentView, ProposalView
from bot.edges import schema
from bot.edges.database import Database
from bot.ports import Placed, Received, VoteContext
from config.catalogue import Catalogue
from diagnostics.model import Verdict
from runbooks.model import EffectClass, EffectResult, EffectStatus
from tests.conftest import START, FakeClock
from tests.flow_fakes import Rig, finding, step
from tests.incident_samples import LOCAL, page, settle

NOWHERE = VoteContext()


@pytest.fixture
def rig(database: Database, catalogue: Catalogue, clock: FakeClock) -> Rig:
    return Rig(database, catalogue, clock)


async def opened(rig: Rig, service: str = "chat-assistant") -> str:
    incident_id = await settle(rig.inbox, rig.casebook, page(), service=service)
    await rig.tick()
    return incident_id


async def view(rig: Rig, incident_id: str) -> IncidentView:
    found = await rig.records.view(incident_id)
    assert found is not None
    return found


async def latest(rig: Rig, incident_id: str) -> ProposalView:
    return (await view(rig, incident_id)).proposals[-1]


async def approve(rig: Rig, incident_id: str, who: Any = LOCAL) -> VoteResult:
    one = (await latest(rig, incident_id)).proposal
    result = await rig.desk.vote(one.id, one.plan_hash, "approve", who, NOWHERE)
    await rig.jobs.idle()
    return result


async def test_nothing_happens_before_a_person_approves(rig: Rig) -> None:
    incident_id = await opened(rig)
    await rig.tick(600)

    assert (await latest(rig, incident_id)).proposal.state is ProposalState.OPEN
    assert rig.target.effects == []


async def test_what_shows_a_vote_is_told_of_it_at_once(rig: Rig) -> None:
    incident_id = await opened(rig)
    told = rig.votes_told

    await approve(rig, incident_id)

    assert rig.votes_told == told + 1


async def test_approved_applied_verified_and_leased(rig: Rig) -> None:
    incident_id = await opened(rig)

    assert await approve(rig, incident_id) is VoteResult.APPROVED
    await rig.tick(3)

    shown = await latest(rig, incident_id)
    assert rig.target.effects == ["apply shift_traffic"]
    assert shown.apply is not None
    assert shown.apply.verdict == "better"
    assert shown.apply.lease_until is not None
    assert (await view(rig, incident_id)).incident.status is Status.MITIGATED
    assert rig.published == [incident_id]


async def test_the_lease_reverts_by_itself(rig: Rig) -> None:
    incident_id = await opened(rig)
    await approve(rig, incident_id)
    await rig.tick(3)
    await rig.tick(3600)
    await rig.tick(30)

    assert rig.target.effects == ["apply shift_traffic", "revert acme"]
    assert (await latest(rig, incident_id)).revert is not None


async def test_under_freeze_a_lease_asks_instead_of_reverting(rig: Rig) -> None:
    incident_id = await opened(rig)
    await approve(rig, incident_id)
    await rig.tick(3)
    await rig.desk.freeze("*", True, "change freeze", LOCAL)
    await rig.tick(3700)
    await rig.tick(30)

    assert rig.target.effects == ["apply shift_traffic"]
    assert (await view(rig, incident_id)).entries("lease_ended")[0].fact.data["asked"] is True


async def test_what_makes_it_worse_is_undone_and_the_next_step_is_proposed(rig: Rig) -> None:
    rig.triage.steps = [step(1), step(2, "drain")]
    before = finding("user_signal", "ok", Verdict.NORMAL)
    incident_id = await settle(rig.inbox, rig.casebook, page())
    await rig.casebook.found(incident_id, 1, "user_signal:{}", before, START)
    await rig.tick()
    rig.verifier.answers = [[finding("user_signal", "server_error", Verdict.ABNORMAL)]] * 2

    await approve(rig, incident_id)
    await rig.tick(3)
    await rig.tick(3)
    assert rig.target.effects == ["apply shift_traffic"]  # one bad reading alone undoes nothing
    await rig.tick(3)
    await rig.tick(3)

    assert rig.target.effects == ["apply shift_traffic", "revert acme"]
    shown = await view(rig, incident_id)
    assert shown.proposals[0].apply is not None
    assert shown.proposals[0].apply.verdict == "worse"
    assert shown.proposals[-1].proposal.plan.action == "drain"
    assert shown.incident.attempts == 1


async def test_too_early_to_tell_is_looked_at_again_until_the_time_is_over(rig: Rig) -> None:
    incident_id = await opened(rig)
    still = [finding("gateway_canary", "server_error", Verdict.ABNORMAL, value=0.8, n=10)]
    rig.verifier.default = still
    await approve(rig, incident_id)
    for _ in range(5):
        await rig.tick(6)
    assert rig.target.effects == ["apply shift_traffic"]

    for _ in range(8):
        await rig.tick(6)

    shown = await latest(rig, incident_id)
    assert shown.apply is not None
    assert shown.apply.verdict == "unknown"
    assert rig.target.effects == ["apply shift_traffic", "revert acme"]


async def test_users_who_are_served_again_keep_what_they_recovered_with(rig: Rig) -> None:
    before = finding("user_signal", "server_error", Verdict.ABNORMAL)
    incident_id = await settle(rig.inbox, rig.casebook, page())
    await rig.casebook.found(incident_id, 1, "user_signal:{}", before, START)
    await rig.tick()
    slowly = finding("gateway_canary", "server_error", Verdict.ABNORMAL, value=0.3, n=10)
    rig.verifier.default = [slowly, finding("user_signal", "ok", Verdict.NORMAL)]

    await approve(rig, incident_id)
    for _ in range(5):
        await rig.tick(6)
    assert (await latest(rig, incident_id)).apply.verdict == ""  # type: ignore[union-attr]
    for _ in range(8):
        await rig.tick(6)

    shown = await view(rig, incident_id)
    assert rig.target.effects == ["apply shift_traffic"]
    verified = shown.entries("verification_made")[-1].fact.data
    assert verified["verdict"] == "better"
    assert "user_signal says ok; gateway_canary is not ok yet: gateway_canary says server_error" in verified["reason"]


async def test_the_second_attempt_goes_to_the_other_cause(rig: Rig) -> None:
    other = step(1, "cap_generation", key="agent-runaway/1", reference="agent-runaway#cap", runbook="agent-runaway")
    rig.triage.steps = [step(1), step(2, "drain"), other]
    rig.verifier.default = [finding("gateway_canary", "server_error", Verdict.ABNORMAL, value=0.8, n=10)]
    incident_id = await opened(rig)
    await approve(rig, incident_id)
    for _ in range(14):
        await rig.tick(6)

    assert (await latest(rig, incident_id)).proposal.plan.action == "cap_generation"


async def test_a_rejected_step_gives_way_to_the_next_of_the_same_cause(rig: Rig) -> None:
    other = step(1, "cap_generation", key="agent-runaway/1", reference="agent-runaway#cap", runbook="agent-runaway")
    rig.triage.steps = [step(1), step(2, "drain"), other]
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.desk.vote(one.id, one.plan_hash, "reject", LOCAL, NOWHERE)
    await rig.desk.again(incident_id, LOCAL)
    await rig.tick(1)

    assert (await latest(rig, incident_id)).proposal.plan.action == "drain"


async def test_after_two_attempts_a_person_must_look(rig: Rig) -> None:
    rig.triage.steps = [step(1), step(2, "drain"), step(3, "shed")]
    rig.verifier.default = [finding("gateway_canary", "server_error", Verdict.ABNORMAL, value=0.8, n=10)]
    incident_id = await opened(rig)
    for _ in range(2):
        await approve(rig, incident_id)
        for _ in range(14):
            await rig.tick(6)

    shown = await view(rig, incident_id)
    assert [p.proposal.plan.action for p in shown.proposals] == ["shift_traffic", "drain"]
    assert "a person must look" in shown.entries("investigation_ended")[-1].fact.data["next"]


async def test_drift_between_vote_and_effect_is_a_conflict_and_asked_afresh(rig: Rig) -> None:
    incident_id = await opened(rig)
    rig.target.value = "changed by somebody else"

    await approve(rig, incident_id)

    shown = await view(rig, incident_id)
    assert rig.target.effects == []
    assert shown.proposals[0].proposal.state is ProposalState.CONFLICT
    assert shown.proposals[-1].proposal.plan.pre_state == {"v": "changed by somebody else"}
    assert shown.proposals[-1].proposal.state is ProposalState.OPEN


async def test_an_approver_removed_before_execution_no_longer_counts(rig: Rig) -> None:
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    rig.people.ids.clear()

    await rig.tick(1)

    assert rig.target.effects == []
    states = [p.proposal.state for p in (await view(rig, incident_id)).proposals]
    assert states == [ProposalState.EXPIRED, ProposalState.OPEN]


async def test_held_under_freeze_and_executed_after_it(rig: Rig) -> None:
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    await rig.desk.freeze("chat-assistant", True, "wait", LOCAL)
    await rig.tick(12)
    assert rig.target.effects == []
    assert (await view(rig, incident_id)).frozen

    await rig.desk.freeze("chat-assistant", False, "", LOCAL)
    await rig.tick(12)
    assert rig.target.effects == ["apply shift_traffic"]


async def test_an_interrupted_effect_is_settled_by_reading_not_by_trust(rig: Rig) -> None:
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    await rig.gate.claim(one.id, "apply", rig.clock.now())

    await rig.tick(12)

    assert rig.target.effects == ["settle apply"]


async def interrupted(rig: Rig, kind: Any = "apply") -> tuple[str, str]:
    """An incident with an approved proposal that was claimed by a process which is no more."""
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    await rig.gate.claim(one.id, kind, rig.clock.now())
    return incident_id, one.id


@pytest.mark.parametrize(
    ("changed", "told"),
    [("resolved", "resolved"), ("no approver", "approver"), ("observe", "observe"), ("stricter", "stricter")],
)
async def test_an_interrupted_effect_is_only_read_once_its_approval_no_longer_holds(
    rig: Rig, changed: str, told: str
) -> None:
    incident_id, _ = await interrupted(rig)
    match changed:
        case "resolved":
            await rig.desk.command(incident_id, "resolve", LOCAL)
        case "no approver":
            rig.people.ids.clear()
        case "observe":
            rig.change_service("chat-assistant", mode="observe")
        case _:
            rig.change_policy(count=2)

    await rig.tick(12)

    assert rig.target.effects == ["read apply"]
    failed = (await view(rig, incident_id)).entries("effect_failed")
    assert told in failed[0].fact.data["detail"]


async def test_an_interrupted_effect_is_only_read_when_too_much_time_has_passed(rig: Rig) -> None:
    incident_id, _ = await interrupted(rig)

    await rig.tick(601)

    assert rig.target.effects == ["read apply"]
    assert (await view(rig, incident_id)).proposals[0].proposal.state is ProposalState.FAILED


async def test_an_interrupted_effect_of_a_removed_service_is_for_a_person(rig: Rig) -> None:
    _, proposal_id = await interrupted(rig)
    rig.remove_service("chat-assistant")

    await rig.tick(12)

    assert rig.target.effects == []
    one = await rig.gate.proposal(proposal_id)
    assert one is not None
    assert one.state is ProposalState.UNKNOWN


async def test_an_interrupted_undo_goes_on_after_the_incident_was_resolved(rig: Rig) -> None:
    incident_id = await opened(rig)
    await approve(rig, incident_id)
    await rig.tick(3)
    one = (await latest(rig, incident_id)).proposal
    await rig.desk.command(incident_id, "resolve", LOCAL)
    await rig.gate.claim(one.id, "revert", rig.clock.now())
    effect = await rig.gate.effect(f"{one.id}:apply")
    assert effect is not None

    await rig.tick(3600)

    assert rig.target.effects == ["apply shift_traffic", "settle revert"]


async def test_a_policy_that_became_stricter_between_vote_and_execution_asks_again(rig: Rig) -> None:
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    rig.change_policy(count=2)

    await rig.tick(1)

    assert rig.target.effects == []
    shown = await view(rig, incident_id)
    assert [p.proposal.state for p in shown.proposals] == [ProposalState.EXPIRED, ProposalState.OPEN]
    assert shown.proposals[-1].proposal.plan.min_approvers == 2


async def test_a_service_that_was_switched_to_observe_before_execution_is_left_alone(rig: Rig) -> None:
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    rig.change_service("chat-assistant", mode="observe")

    await rig.tick(1)

    assert rig.target.effects == []
    assert (await view(rig, incident_id)).proposals[0].proposal.state is ProposalState.EXPIRED


async def test_a_service_that_was_removed_before_execution_is_left_alone(rig: Rig) -> None:
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    rig.remove_service("chat-assistant")

    await rig.tick(1)

    found = await rig.gate.proposal(one.id)
    assert rig.target.effects == []
    assert found is not None
    assert found.state is ProposalState.EXPIRED


async def test_an_interrupted_unsafe_effect_is_never_sent_again(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    rig = Rig(database, catalogue, clock, effect=EffectClass.UNSAFE_ONCE)
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    await rig.gate.claim(one.id, "apply", rig.clock.now())

    await rig.tick(12)

    assert rig.target.effects == []
    assert (await latest(rig, incident_id)).proposal.state is ProposalState.UNKNOWN


async def test_a_manual_step_waits_for_its_person_and_is_verified(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    rig = Rig(database, catalogue, clock, effect=EffectClass.MANUAL)
    incident_id = await opened(rig)
    await approve(rig, incident_id)
    await rig.tick(30)
    one = await latest(rig, incident_id)
    assert rig.target.effects == []
    assert one.proposal.state is ProposalState.EXECUTING

    told = await rig.desk.done(one.proposal.id, LOCAL)
    await rig.tick(3)

    assert told.ok
    shown = await latest(rig, incident_id)
    assert shown.apply is not None
    assert shown.apply.verdict == "better"


@pytest.fixture
def by_hand(database: Database, catalogue: Catalogue, clock: FakeClock) -> Rig:
    return Rig(database, catalogue, clock, effect=EffectClass.MANUAL, steps=[step(1), step(2, "restart")])


async def test_a_hint_proposes_nothing_else_while_a_step_by_hand_waits(by_hand: Rig) -> None:
    incident_id = await opened(by_hand)
    await approve(by_hand, incident_id)
    await by_hand.desk.hint(incident_id, "we rotated keys at noon", LOCAL)
    await by_hand.jobs.idle()

    shown = await view(by_hand, incident_id)
    assert by_hand.triage.asked == [1, 2]
    assert [p.proposal.state for p in shown.proposals] == [ProposalState.EXECUTING]
    assert {"done", "another"} <= set(build(shown).buttons)


async def test_another_option_calls_off_a_step_by_hand_and_frees_its_target(by_hand: Rig) -> None:
    incident_id = await opened(by_hand)
    await approve(by_hand, incident_id)

    told = await by_hand.desk.another((await latest(by_hand, incident_id)).proposal.id, LOCAL)
    await by_hand.jobs.idle()
    await approve(by_hand, incident_id)

    assert told.ok
    shown = await view(by_hand, incident_id)
    assert [p.proposal.state for p in shown.proposals] == [ProposalState.REJECTED, ProposalState.EXECUTING]
    assert shown.proposals[-1].proposal.plan.action == "restart"
    late = await by_hand.desk.done(shown.proposals[0].proposal.id, LOCAL)
    assert not late.ok


async def test_a_step_by_hand_is_called_off_when_the_incident_is_over_and_starts_no_jobs(by_hand: Rig) -> None:
    incident_id = await opened(by_hand)
    await approve(by_hand, incident_id)
    waiting = await by_hand.gate.pending(by_hand.clock.now())
    await by_hand.desk.command(incident_id, "resolve", LOCAL)
    await by_hand.tick(12)

    assert waiting["mitigate"] == []
    assert (await latest(by_hand, incident_id)).proposal.state is ProposalState.EXPIRED
    assert (await by_hand.gate.pending(by_hand.clock.now()))["mitigate"] == []
    assert by_hand.triage.asked == [1]


async def test_what_waits_for_another_change_is_said_on_the_card_and_once_in_the_thread(
    by_hand: Rig, database: Database
) -> None:
    first = await opened(by_hand)
    await approve(by_hand, first)
    other = await settle(by_hand.inbox, by_hand.casebook, page("E2", incident_ref="Q2", incident_key="k2", title="b"))
    await by_hand.tick()
    await approve(by_hand, other)
    await by_hand.tick(12)

    shown = await view(by_hand, other)
    held = [row.text for section in build(shown).sections for row in section.lines if row.label == "Held"]
    assert len(held) == 1
    assert "another change on" in held[0]
    assert "another change on" in next_step(shown)
    rows = await database.run(lambda c: c.execute(select(schema.outbox).where(schema.outbox.c.kind == "say")).all())
    assert ["is held" in row.data["text"] for row in rows if row.incident == other].count(True) == 1


async def test_an_observed_service_is_never_put_to_the_vote(rig: Rig) -> None:
    rig.target.spec = replace(rig.target.spec, risk="R1")
    incident_id = await opened(rig, service="voice-moderation")

    shown = await latest(rig, incident_id)
    assert not shown.proposal.votable
    assert "observe" in shown.proposal.withheld
    assert await approve(rig, incident_id) is VoteResult.OBSERVE_MODE


async def test_team_a_cannot_approve_team_bs_effect(rig: Rig) -> None:
    incident_id = await opened(rig, service="code-assistant")
    one = (await latest(rig, incident_id)).proposal

    assert one.plan.approver_team == "creator"
    rig.people.ids.discard("local:root")
    assert await approve(rig, incident_id) is VoteResult.NOT_APPROVER


async def test_an_expired_proposal_is_asked_again_with_a_fresh_draft(rig: Rig) -> None:
    incident_id = await opened(rig)
    rig.target.value = "newer"
    await rig.tick(901)

    shown = await view(rig, incident_id)
    assert shown.proposals[0].proposal.state is ProposalState.EXPIRED
    assert shown.proposals[-1].proposal.state is ProposalState.OPEN
    assert shown.proposals[-1].proposal.plan.pre_state == {"v": "newer"}


async def test_a_step_that_cannot_be_drafted_is_passed_over_with_its_reason(rig: Rig) -> None:
    rig.triage.steps = [step(1), step(2, "drain")]
    rig.target.refusals = {"provider-outage/1": "the second provider fails as well"}
    incident_id = await opened(rig)

    shown = await view(rig, incident_id)
    assert shown.proposals[-1].proposal.plan.action == "drain"
    passed = shown.entries("investigation_ended")[0].fact.data["passed_over"]
    assert passed == [{"step": "provider-outage#step-1", "why": "the second provider fails as well"}]


async def test_no_fault_proposes_nothing(rig: Rig) -> None:
    rig.triage.conclusion = "no_fault"
    incident_id = await opened(rig)

    assert (await view(rig, incident_id)).proposals == ()


async def test_edit_makes_a_new_proposal_with_a_new_hash(rig: Rig) -> None:
    rig.triage.steps = [step(1, params={"percent": "100"})]
    incident_id = await opened(rig)
    old = (await latest(rig, incident_id)).proposal

    refused = await rig.desk.edit(old.id, {"colour": "red"}, LOCAL)
    told = await rig.desk.edit(old.id, {"percent": "50"}, LOCAL)

    assert not refused.ok
    assert told.ok
    new = (await latest(rig, incident_id)).proposal
    assert new.id != old.id
    assert new.plan_hash != old.plan_hash
    stale = await rig.desk.vote(old.id, old.plan_hash, "approve", LOCAL, NOWHERE)
    assert stale is VoteResult.NOT_OPEN


async def test_editing_there_and_back_again_always_makes_the_newest_one_open(rig: Rig) -> None:
    rig.triage.steps = [step(1, params={"percent": "100"})]
    incident_id = await opened(rig)
    for percent in ("2", "3", "2"):
        old = (await latest(rig, incident_id)).proposal
        rig.clock.advance(1)
        told = await rig.desk.edit(old.id, {"percent": percent}, LOCAL)
        new = (await latest(rig, incident_id)).proposal

        assert new.id in told.text
        assert (new.state, new.plan.params["percent"]) == (ProposalState.OPEN, percent)


async def test_who_may_not_approve_may_not_ask_for_another_option(rig: Rig) -> None:
    rig.triage.steps = [step(1), step(2, "drain")]
    incident_id = await opened(rig)
    rig.people.ids.clear()

    told = await rig.desk.another((await latest(rig, incident_id)).proposal.id, LOCAL)

    assert not told.ok
    assert (await latest(rig, incident_id)).proposal.state is ProposalState.OPEN


async def test_unfreezing_a_service_says_when_everything_still_is_frozen(rig: Rig) -> None:
    incident_id = await opened(rig)
    await rig.desk.freeze("*", True, "storm", LOCAL)
    await rig.desk.freeze("chat-assistant", True, "wait", LOCAL)
    assert "/oncall unfreeze * and /oncall unfreeze chat-assistant" in next_step(await view(rig, incident_id))

    told = await rig.desk.freeze("chat-assistant", False, "", LOCAL)

    assert "storm" in told.text
    assert "Unfreeze *" in told.text
    assert "/oncall unfreeze * comes" in next_step(await view(rig, incident_id))
    assert "allowed again for everything" in (await rig.desk.freeze("*", False, "", LOCAL)).text


async def test_unfreezing_everything_names_what_is_frozen_by_name(rig: Rig) -> None:
    await rig.desk.freeze("support-bot", True, "wait", LOCAL)
    await rig.desk.freeze("*", True, "storm", LOCAL)

    told = await rig.desk.freeze("*", False, "", LOCAL)

    assert "except for what is frozen by name: support-bot" in told.text


async def test_a_freeze_without_an_incident_is_on_record(rig: Rig) -> None:
    await rig.desk.freeze("*", True, "storm", LOCAL)
    await rig.desk.freeze("*", False, "", LOCAL)

    entries = await rig.records.timeline("installation")
    assert [(e.fact.kind, e.fact.actor, e.fact.data["service"]) for e in entries] == [
        ("frozen", LOCAL.id, "*"),
        ("unfrozen", LOCAL.id, "*"),
    ]


async def test_a_withdrawn_approval_says_so_and_why(rig: Rig) -> None:
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    rig.triage.steps = []
    rig.people.ids.clear()
    await rig.tick(1)

    shown = await view(rig, incident_id)
    shown = replace(shown, diagnosis=(await rig.triage.investigate(shown.incident, 9)).diagnosis)
    told = " ".join(row.text for section in build(shown).sections for row in section.lines)
    assert "an approver is no longer one" in told
    assert "approval was withdrawn" in next_step(shown)
    assert "nobody decided" not in told.lower()


async def test_another_option_proposes_the_next_step(rig: Rig) -> None:
    rig.triage.steps = [step(1), step(2, "drain")]
    incident_id = await opened(rig)

    await rig.desk.another((await latest(rig, incident_id)).proposal.id, LOCAL)
    await rig.jobs.idle()

    assert (await latest(rig, incident_id)).proposal.plan.action == "drain"


async def test_a_failed_effect_is_told_and_looked_at_again(rig: Rig) -> None:
    incident_id = await opened(rig)
    rig.target.result = EffectResult(status=EffectStatus.FAILED, detail="connection refused")
    await approve(rig, incident_id)

    shown = await view(rig, incident_id)
    assert shown.entries("effect_failed")
    assert rig.triage.asked == [1, 2]


async def test_resolved_by_a_person_is_closed_with_a_postmortem(rig: Rig) -> None:
    incident_id = await opened(rig)
    told = await rig.desk.command(incident_id, "resolve", LOCAL)
    again = await rig.desk.command(incident_id, "resolve", LOCAL)
    await rig.tick(3)

    assert told.ok
    assert not again.ok
    assert (await view(rig, incident_id)).incident.status is Status.CLOSED
    assert rig.published == [incident_id]


async def test_a_hint_starts_another_investigation(rig: Rig) -> None:
    incident_id = await opened(rig)
    await rig.desk.hint(incident_id, "we rotated keys at noon", LOCAL)
    await rig.jobs.idle()

    assert rig.triage.asked == [1, 2]
    assert await rig.casebook.hints(incident_id) == ["we rotated keys at noon"]


async def test_a_plan_too_long_to_show_cannot_be_approved(rig: Rig) -> None:
    rig.triage.steps = [step(1, "x" * 700)]
    incident_id = await opened(rig)

    shown = (await latest(rig, incident_id)).proposal
    assert not shown.votable
    assert "cannot be shown" in shown.withheld


async def test_a_claim_that_slept_is_not_acted_on(rig: Rig) -> None:
    incident_id = await opened(rig)
    one = (await latest(rig, incident_id)).proposal
    await rig.gate.vote(one.id, one.plan_hash, "approve", LOCAL, (True, ""), NOWHERE, rig.clock.now())
    claim = rig.gate.claim

    async def slow(*arguments: Any) -> Any:
        taken = await claim(*arguments)
        rig.clock.advance(timedelta(seconds=11).total_seconds())
        return taken

    rig.gate.claim = slow  # type: ignore[method-assign]
    await rig.flow.mitigate(one.id)

    assert rig.target.effects == []


async def test_a_vote_that_comes_too_late_is_asked_again(rig: Rig) -> None:
    incident_id = await opened(rig)
    rig.clock.advance(901)

    assert await approve(rig, incident_id) is VoteResult.EXPIRED

    states = [p.proposal.state for p in (await view(rig, incident_id)).proposals]
    assert states == [ProposalState.EXPIRED, ProposalState.OPEN]


async def test_what_nobody_may_approve_is_not_investigated_again_when_its_time_is_over(rig: Rig) -> None:
    incident_id = await opened(rig, service="voice-moderation")
    for _ in range(3):
        await rig.tick(901)

    assert rig.triage.asked == [1]
    assert (await latest(rig, incident_id)).proposal.state is ProposalState.OPEN


async def test_an_undo_held_by_a_freeze_happens_after_it(rig: Rig) -> None:
    rig.verifier.default = [finding("gateway_canary", "server_error", Verdict.ABNORMAL, value=0.8, n=10)]
    incident_id = await opened(rig)
    await approve(rig, incident_id)
    await rig.desk.freeze("*", True, "change freeze", LOCAL)
    for _ in range(20):
        await rig.tick(6)
    assert rig.target.effects == ["apply shift_traffic"]
    assert len((await view(rig, incident_id)).entries("effect_held")) == 1

    await rig.desk.freeze("*", False, "", LOCAL)
    await rig.tick(10)

    assert rig.target.effects == ["apply shift_traffic", "revert acme"]


async def test_a_check_is_made_once_however_long_it_takes(rig: Rig) -> None:
    incident_id = await opened(rig)
    asked: list[int] = []
    read = rig.verifier.read

    async def slowly(*arguments: Any, **options: Any) -> Any:
        asked.append(1)
        for _ in range(3):
            rig.clock.advance(2)
            await rig.flow.sweep()
        return await read(*arguments, **options)

    rig.verifier.read = slowly  # type: ignore[method-assign]
    await approve(rig, incident_id)
    await rig.tick(3)

    assert asked == [1]


async def test_a_page_for_an_unknown_service_still_reaches_a_human(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    stranger = page("E9", service_ref="PNOBODY", service_name="Somebody else's service")
    rig = Rig(database, catalogue, clock, understand=lambda received: Placed(received=received, page=stranger))
    await rig.inbox.accept(Received(key="pagerduty:E9", source="pagerduty", body=b"{}", received_at=START))
    await rig.flow.receive()
    await rig.jobs.idle()

    (incident,) = await rig.records.incidents()
    assert (incident.service, incident.channel) == ("unmapped", catalogue.fallback_channel)
    assert await rig.casebook.wanted() == []


async def letters(database: Database, incident_id: str, kind: str) -> list[dict[str, str]]:
    """What waits to be told in the thread."""
    box = schema.outbox.c
    query = select(box.data).where(box.incident == incident_id, box.kind == kind).order_by(box.id)
    return await database.run(lambda c: list(c.execute(query).scalars()))


async def said(database: Database, incident_id: str) -> list[str]:
    return [letter["text"] for letter in await letters(database, incident_id, "say")]


async def test_the_evidence_is_said_once_however_often_somebody_asks_why(rig: Rig, database: Database) -> None:
    rig.details = ["differential", "evidence"]
    incident_id = await opened(rig)
    await rig.desk.explain(incident_id)
    assert await said(database, incident_id) == ["differential", "evidence"]

    rig.details = ["differential", "evidence after the change"]
    await rig.desk.explain(incident_id)
    assert await said(database, incident_id) == ["differential", "evidence", "evidence after the change"]


async def test_a_closed_incident_is_summed_up_in_the_thread_with_its_postmortem_as_a_file(
    rig: Rig, database: Database
) -> None:
    incident_id = await opened(rig)
    await rig.desk.command(incident_id, "resolve", LOCAL)
    await rig.tick(10)

    told = f"Summary of {incident_id}\nPostmortem written: {incident_id}.md\n"
    assert [text for text in await said(database, incident_id) if text.startswith(told)]
    assert await letters(database, incident_id, "file") == [{"form": "md", "redaction": "internal", "zone": "UTC"}]


@pytest.mark.parametrize("command", ["acknowledge", "escalate", "resolve"])
async def test_an_act_is_not_said_to_have_reached_a_pager_that_is_not_connected(
    database: Database, catalogue: Catalogue, clock: FakeClock, command: Any
) -> None:
    alone = Rig(database, catalogue, clock)
    told = await alone.desk.command(await opened(alone), command, LOCAL)

    assert told.ok
    assert "PagerDuty is not connected" in told.text
    assert ("Nobody was paged" in told.text) == (command == "escalate")


@pytest.mark.parametrize("command", ["acknowledge", "escalate", "resolve"])
async def test_an_act_for_a_connected_pager_says_that_it_is_being_told(
    database: Database, catalogue: Catalogue, clock: FakeClock, command: Any
) -> None:
    connected = Rig(database, catalogue, clock, pager_connected=True)
    told = await connected.desk.command(await opened(connected), command, LOCAL)

    assert "PagerDuty is being told" in told.text
