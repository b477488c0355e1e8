"""What the flow does when something did not go as planned: it is tried again, asked again, or told to a person."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.incident import Incident, Status
from bot.domain.next_step import next_step
from bot.domain.proposal import EffectState, ProposalState
from bot.domain.view import IncidentView, ProposalView
from bot.edges.database import Database
from bot.ports import Drafted, Investigated, StorageDown, VoteContext
from config.catalogue import Catalogue
from diagnostics.model import Finding, Verdict
from runbooks.model import EffectResult, EffectStatus
from tests.conftest import FakeClock
from tests.flow_fakes import Rig, finding, step
from tests.incident_samples import LOCAL, page, settle

NOWHERE = VoteContext()
ILL = [finding("gateway_canary", "server_error", Verdict.ABNORMAL, value=0.8, n=10)]


@pytest.fixture
def rig(database: Database, catalogue: Catalogue, clock: FakeClock) -> Rig:
    return Rig(database, catalogue, clock)


async def opened(rig: Rig) -> str:
    incident_id = await settle(rig.inbox, rig.casebook, page())
    await rig.tick()
    return incident_id


async def view(rig: Rig, incident_id: str) -> IncidentView:
    found = await rig.records.view(incident_id)
    assert found is not None
    return found


async def latest(rig: Rig, incident_id: str) -> ProposalView:
    return (await view(rig, incident_id)).proposals[-1]


async def approve(rig: Rig, incident_id: str) -> str:
    one = (await latest(rig, incident_id)).proposal
    await rig.desk.vote(one.id, one.plan_hash, "approve", LOCAL, NOWHERE)
    await rig.jobs.idle()
    return one.id


async def helped(rig: Rig) -> str:
    """An incident whose mitigation helped, with a lease of an hour."""
    incident_id = await opened(rig)
    await approve(rig, incident_id)
    await rig.tick(3)
    assert (await view(rig, incident_id)).incident.status is Status.MITIGATED
    return incident_id


async def reopened(rig: Rig, number: int = 1) -> None:
    """The pager's incident ends, and a minute later it is on again."""
    for kind in ("resolved", "reopened"):
        rig.clock.advance(60)
        one = page(f"{kind}-{number}", kind=kind, occurred_at=rig.clock.now(), received_at=rig.clock.now())
        await settle(rig.inbox, rig.casebook, one, now=rig.clock.now())


async def thread(rig: Rig, database: Database) -> str:
    rows = await database.run(lambda c: c.exec_driver_sql("select data from outbox where kind = 'say'").scalars().all())
    return "\n".join(rows)


# --- Investigations --------------------------------------------------------------------------------------------------


async def test_an_investigation_whose_job_gave_up_is_started_again(rig: Rig) -> None:
    incident_id = await settle(rig.inbox, rig.casebook, page())
    investigate = rig.triage.investigate

    async def down(*_: Any) -> Investigated:
        raise StorageDown("the disk is full")

    rig.triage.investigate = down  # type: ignore[method-assign]
    await rig.flow.start_wanted()
    with pytest.raises(StorageDown):
        await rig.jobs.idle()
    rig.triage.investigate = investigate  # type: ignore[method-assign]
    await rig.tick(30)

    assert rig.triage.asked == [1]
    assert (await latest(rig, incident_id)).proposal.state is ProposalState.OPEN


async def test_an_investigation_is_made_once_however_long_it_takes(rig: Rig) -> None:
    await settle(rig.inbox, rig.casebook, page())
    investigate = rig.triage.investigate

    async def slowly(incident: Incident, number: int) -> Investigated:
        for _ in range(5):
            rig.clock.advance(40)
            await rig.flow.sweep()
        return await investigate(incident, number)

    rig.triage.investigate = slowly  # type: ignore[method-assign]
    await rig.flow.start_wanted()
    await rig.jobs.idle()

    assert rig.triage.asked == [1]


async def test_what_is_open_is_withdrawn_by_an_investigation_that_proposes_nothing(rig: Rig) -> None:
    incident_id = await opened(rig)
    old = (await latest(rig, incident_id)).proposal
    rig.triage.conclusion = "no_fault"
    await rig.desk.hint(incident_id, "it was the monitor", LOCAL)
    await rig.jobs.idle()

    shown = await view(rig, incident_id)
    assert [p.proposal.state for p in shown.proposals] == [ProposalState.SUPERSEDED]
    assert shown.entries("proposal_superseded")[0].fact.data["proposal"] == old.id
    assert shown.replaced == 1


# --- Reopening -------------------------------------------------------------------------------------------------------


async def test_what_is_reopened_while_its_postmortem_is_written_stays_open(rig: Rig) -> None:
    incident_id = await opened(rig)
    await rig.desk.command(incident_id, "resolve", LOCAL)

    async def slowly(_: str) -> Drafted:
        await reopened(rig)
        return Drafted(files=("first.md",))

    rig.flow.__init__(replace(rig.flow._, publish=slowly))  # type: ignore[misc]
    await rig.flow.close(incident_id)

    assert (await view(rig, incident_id)).incident.status is Status.OPEN
    assert await rig.casebook.wanted() == [(incident_id, 2)]


async def test_a_reopened_incident_starts_with_every_step_and_both_attempts(rig: Rig) -> None:
    rig.triage.steps = [step(1), step(2, "drain")]
    rig.verifier.default = ILL
    incident_id = await opened(rig)
    for _ in range(2):
        await approve(rig, incident_id)
        for _ in range(14):
            await rig.tick(6)
    assert (await view(rig, incident_id)).incident.attempts == 2

    await reopened(rig)
    await rig.tick(1)

    shown = await view(rig, incident_id)
    assert shown.incident.attempts == 0
    plan = shown.proposals[-1].proposal.plan
    assert (shown.proposals[-1].proposal.state, plan.action, plan.attempt) == (ProposalState.OPEN, "shift_traffic", 3)


# --- Verification ----------------------------------------------------------------------------------------------------


async def test_a_check_that_a_crash_cut_off_cites_what_it_had_read(rig: Rig) -> None:
    incident_id = await opened(rig)
    proposal_id = await approve(rig, incident_id)
    checked, read, reads = rig.gate.checked, rig.verifier.read, []

    async def counting(incident: Incident, probes: Sequence[str], *rest: Any, **more: Any) -> Sequence[Finding]:
        reads.append(list(probes))
        return [f for f in await read(incident, probes, *rest, **more) if f.probe in probes]

    async def gone(*_: Any, **__: Any) -> bool:
        raise StorageDown("the process is gone")

    rig.verifier.read = counting  # type: ignore[method-assign]
    rig.verifier.default = [*rig.verifier.default, finding("user_signal", "ok", Verdict.NORMAL)]
    rig.gate.checked = gone  # type: ignore[method-assign]
    with pytest.raises(StorageDown):
        await rig.flow.verify(f"{proposal_id}:apply")
    rig.gate.checked = checked  # type: ignore[method-assign]
    await rig.flow.verify(f"{proposal_id}:apply")

    shown = await view(rig, incident_id)
    cited = shown.entries("verification_made")[-1].fact.data["evidence"]
    assert set(cited) <= {f.id for f in shown.findings}
    assert reads == [["gateway_canary", "user_signal"]]
    assert len(shown.entries("verification_started")) == 1


# --- Leases and undoing ----------------------------------------------------------------------------------------------


async def test_a_lease_that_ended_under_freeze_is_set_back_when_it_is_lifted(rig: Rig, database: Database) -> None:
    incident_id = await helped(rig)
    await rig.desk.freeze("*", True, "change freeze", LOCAL)
    for _ in range(4):
        await rig.tick(3600)
    assert rig.target.effects == ["apply shift_traffic"]
    assert len((await view(rig, incident_id)).entries("lease_ended")) == 1
    assert (await thread(rig, database)).count("execution is frozen") == 1

    await rig.desk.freeze("*", False, "", LOCAL)
    await rig.tick(10)

    assert rig.target.effects == ["apply shift_traffic", "revert acme"]


async def test_users_are_looked_at_once_more_after_a_lease(rig: Rig) -> None:
    incident_id = await helped(rig)
    await rig.tick(3600)
    await rig.tick(10)
    assert rig.target.effects == ["apply shift_traffic", "revert acme"]
    for _ in range(4):
        await rig.tick(60)

    shown = await view(rig, incident_id)
    verdicts = [e.fact.data["verdict"] for e in shown.entries("verification_made")]
    assert verdicts == ["better", "better"]
    assert rig.triage.asked == [1]


async def test_a_relapse_after_a_lease_is_looked_into_and_the_same_step_may_help_again(
    rig: Rig, database: Database
) -> None:
    incident_id = await helped(rig)
    rig.verifier.default = ILL
    await rig.tick(3600)
    await rig.tick(10)
    await rig.tick(60)

    shown = await view(rig, incident_id)
    cited = shown.entries("verification_made")[-1].fact.data["evidence"]
    assert set(cited) <= {f.id for f in shown.findings}
    assert rig.triage.asked == [1, 2]
    assert (shown.proposals[-1].proposal.state, len(shown.proposals)) == (ProposalState.OPEN, 2)
    assert "not well without it" in await thread(rig, database)


# --- Users ---------------------------------------------------------------------------------------------------------


def readings(signal: str, verdict: Verdict) -> list[Finding]:
    """The checked path is well, and users as told."""
    return [
        finding("gateway_canary", "ok", Verdict.NORMAL, value=0.0, n=10),
        finding("user_signal", signal, verdict, value=0.3, n=900),
    ]


async def mitigated_for_the_path_alone(rig: Rig) -> str:
    rig.verifier.default = readings("errors", Verdict.ABNORMAL)
    incident_id = await helped(rig)
    shown = await view(rig, incident_id)
    assert "users still feel it" in next_step(shown)
    return incident_id


async def test_users_are_read_until_they_are_well_and_the_postmortem_is_written_again(rig: Rig) -> None:
    incident_id = await mitigated_for_the_path_alone(rig)
    written = len(rig.published)

    await rig.tick(30)
    rig.verifier.default = readings("recovered", Verdict.NORMAL)
    for _ in range(4):
        await rig.tick(60)

    shown = await view(rig, incident_id)
    (fact,) = [entry.fact for entry in shown.entries("users_recovered")]
    assert set(fact.data["evidence"]) <= {f.id for f in shown.findings if f.probe == "user_signal"}
    assert shown.proposals[-1].apply is not None
    assert shown.proposals[-1].apply.lease_until is not None, "the lease is not lost by looking again"
    assert "users still feel it" not in next_step(shown)
    assert len(rig.published) == written + 1
    assert rig.triage.asked == [1]


async def test_users_who_stay_ill_though_the_path_is_well_are_looked_into_again(rig: Rig) -> None:
    incident_id = await mitigated_for_the_path_alone(rig)
    for _ in range(30):
        await rig.tick(60)

    shown = await view(rig, incident_id)
    assert len(shown.entries("users_not_recovered")) == 1
    assert rig.triage.asked == [1, 2]
    assert rig.target.effects == ["apply shift_traffic"], "nothing that helped is undone for it"


class Unreachable:
    """A target that cannot be reached so many times."""

    def __init__(self, rig: Rig, times: int) -> None:
        self.left, self.tries, self._revert = times, 0, rig.target.revert
        rig.target.revert = self.revert  # type: ignore[method-assign]

    async def revert(self, *arguments: Any) -> EffectResult:
        self.tries += 1
        if self.left:
            self.left -= 1
            return EffectResult(status=EffectStatus.FAILED, detail="the change did not reach the gateway")
        return await self._revert(*arguments)


async def test_an_undo_that_did_not_reach_its_target_is_tried_again(rig: Rig, database: Database) -> None:
    incident_id = await helped(rig)
    target = Unreachable(rig, times=2)
    await rig.tick(3600)
    for _ in range(6):
        await rig.tick(10)

    assert target.tries == 3
    assert rig.target.effects == ["apply shift_traffic", "revert acme"]
    revert = (await latest(rig, incident_id)).revert
    assert revert is not None
    assert revert.state is EffectState.DONE
    assert "could not be set back" not in await thread(rig, database)


async def test_an_undo_that_stays_undone_is_given_to_a_person(rig: Rig, database: Database) -> None:
    incident_id = await helped(rig)
    target = Unreachable(rig, times=99)
    await rig.tick(3600)
    for _ in range(40):
        await rig.tick(10)

    shown = await view(rig, incident_id)
    assert target.tries == 4
    assert shown.entries("effect_failed")
    told = await thread(rig, database)
    assert "could not be set back: it did not work" in told
    assert "gw/routes/chat" in told
    assert "could not be set back" in next_step(shown)


async def test_drift_before_an_undo_is_told_at_once(rig: Rig, database: Database) -> None:
    incident_id = await helped(rig)
    rig.target.value = "changed by somebody else"
    await rig.tick(3600)
    await rig.tick(10)

    assert (await view(rig, incident_id)).entries("effect_conflict")
    assert "somebody has changed it since" in await thread(rig, database)


async def test_an_undo_for_a_service_that_is_gone_is_told(rig: Rig, database: Database, catalogue: Catalogue) -> None:
    incident_id = await helped(rig)
    rest = [service for service in catalogue.services if service.name != "chat-assistant"]
    rig.flow.__init__(replace(rig.flow._, catalogue=catalogue.model_copy(update={"services": rest})))  # type: ignore[misc]
    await rig.tick(3600)
    await rig.tick(10)

    revert = (await latest(rig, incident_id)).revert
    assert revert is not None
    assert revert.state is EffectState.FAILED
    assert "no longer in the catalogue" in await thread(rig, database)
    assert (await rig.gate.pending(rig.clock.now() + timedelta(days=1)))["revert"] == []


# --- Several causes --------------------------------------------------------------------------------------------------


async def test_after_one_of_two_causes_is_dealt_with_the_other_is_looked_into_though_users_are_well(rig: Rig) -> None:
    other = step(1, "clamp_retries", key="retry-storm/1", reference="retry-storm#clamp", runbook="retry-storm")
    rig.triage.steps, rig.triage.causes = [step(), other], ("provider-outage", "retry-storm")
    incident_id = await helped(rig)

    shown = await view(rig, incident_id)
    assert rig.triage.asked == [1, 2]
    assert "nothing was done yet about retry-storm" in shown.entries("investigation_started")[-1].fact.data["why"]
    waiting = shown.proposals[-1].proposal
    assert (waiting.plan.action, waiting.state) == ("clamp_retries", ProposalState.OPEN)
    assert rig.target.effects == ["apply shift_traffic"], "each is approved by itself"

    await approve(rig, incident_id)
    await rig.tick(3)
    assert rig.target.effects == ["apply shift_traffic", "apply clamp_retries"]
    assert rig.triage.asked == [1, 2], "nothing is left to look into"


async def test_the_second_cause_s_step_may_be_rejected_and_what_the_first_one_did_stands(rig: Rig) -> None:
    other = step(1, "clamp_retries", key="retry-storm/1", reference="retry-storm#clamp", runbook="retry-storm")
    rig.triage.steps, rig.triage.causes = [step(), other], ("provider-outage", "retry-storm")
    incident_id = await helped(rig)

    waiting = (await latest(rig, incident_id)).proposal
    await rig.desk.vote(waiting.id, waiting.plan_hash, "reject", LOCAL, NOWHERE)
    await rig.jobs.idle()
    await rig.tick(10)

    shown = await view(rig, incident_id)
    assert [(p.proposal.plan.action, p.proposal.state) for p in shown.proposals] == [
        ("shift_traffic", ProposalState.DONE), ("clamp_retries", ProposalState.REJECTED)
    ]  # fmt: skip
    assert rig.target.effects == ["apply shift_traffic"]
    assert shown.incident.status is Status.MITIGATED
    assert rig.triage.asked == [1, 2], "a rejection alone is no reason to ask again"
    assert next_step(shown).startswith("It was rejected and what helped before stays as it is (Shift traffic")
