"""The gate: who may, once, and exactly what was shown."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot.domain.proposal import EffectState, Plan, Principal, ProposalState, VoteResult
from bot.edges import schema
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.gate import SqlGate
from bot.edges.inbox import SqlInbox
from bot.edges.records import SqlRecords
from bot.ports import VoteContext
from config.catalogue import Catalogue
from runbooks.model import EffectResult, EffectStatus
from tests.conftest import START
from tests.incident_samples import ANA, BEN, LOCAL, page, plan, proposal, settle

CARD = VoteContext(channel="C0ASSIST", message_ts="1.1")
YES = (True, "")


@pytest.fixture
async def incident(database: Database) -> str:
    found = await settle(SqlInbox(database), SqlCasebook(database), page())
    card = {"card_channel": CARD.channel, "card_ts": CARD.message_ts}
    await database.run(lambda c: c.execute(update(schema.incident).values(**card)))
    return found


@pytest.fixture
def gate(database: Database) -> SqlGate:
    return SqlGate(database)


async def put(gate: SqlGate, one: Plan, proposal_id: str = "pr-1", **changes: object) -> str:
    await gate.propose(proposal(one, proposal_id, **changes), "step", "chat-assistant", START)
    return one.hash


async def vote(gate: SqlGate, digest: str, who: Principal = ANA, **changes: object) -> VoteResult:
    arguments = {"decision": "approve", "allowed": YES, "context": CARD, "now": START, **changes}
    return await gate.vote("pr-1", digest, who=who, **arguments)


async def test_fifty_concurrent_approvals_make_one_transition(gate: SqlGate, incident: str) -> None:
    digest = await put(gate, plan(incident))
    people = [Principal(id=f"slack:T0LOOP/U{n % 5}", name=str(n), via="slack") for n in range(50)]

    results = await asyncio.gather(*(vote(gate, digest, who) for who in people))

    assert results.count(VoteResult.APPROVED) == 1
    assert set(results) == {VoteResult.APPROVED, VoteResult.NOT_OPEN}


async def test_the_effect_is_claimed_once(gate: SqlGate, incident: str) -> None:
    await vote(gate, await put(gate, plan(incident)))

    claims = await asyncio.gather(*(gate.claim("pr-1", "apply", START) for _ in range(20)))

    assert [c.state for c in claims].count("claimed") == 1
    assert {c.state for c in claims} == {"claimed", "interrupted"}


async def test_two_person_rule_counts_people_not_clicks(gate: SqlGate, incident: str) -> None:
    digest = await put(gate, plan(incident, min_approvers=2))

    assert await vote(gate, digest, ANA) is VoteResult.RECORDED
    assert await vote(gate, digest, ANA) is VoteResult.REPEATED
    assert await vote(gate, digest, BEN) is VoteResult.APPROVED
    assert [p.id for p in await gate.voters("pr-1")] == [ANA.id, BEN.id]


async def test_local_names_are_not_several_people_and_stand_for_nobody_beside_slack(
    gate: SqlGate, incident: str
) -> None:
    digest = await put(gate, plan(incident, min_approvers=2))
    bob = Principal(id="local:bob", name="bob", via="cli")

    assert await vote(gate, digest, LOCAL) is VoteResult.LOCAL_PERSON
    assert await vote(gate, digest, bob) is VoteResult.LOCAL_PERSON
    assert await vote(gate, digest, ANA) is VoteResult.RECORDED
    assert await vote(gate, digest, LOCAL) is VoteResult.LOCAL_PERSON
    assert await vote(gate, digest, BEN) is VoteResult.APPROVED


async def test_a_local_person_alone_may_approve_what_needs_one_and_reject_anything(
    gate: SqlGate, incident: str
) -> None:
    assert await vote(gate, await put(gate, plan(incident)), LOCAL) is VoteResult.APPROVED
    two = plan(incident, min_approvers=2)
    await put(gate, two, "pr-2")

    rejected = await gate.vote("pr-2", two.hash, "reject", LOCAL, YES, CARD, START)

    assert rejected is VoteResult.REJECTED


async def test_rejecting_is_possible_under_a_freeze(gate: SqlGate, incident: str) -> None:
    digest = await put(gate, plan(incident))
    await gate.freeze("*", True, "change freeze", LOCAL, START)

    assert await vote(gate, digest) is VoteResult.FROZEN
    assert await vote(gate, digest, decision="reject") is VoteResult.REJECTED


async def test_who_edited_a_two_person_plan_cannot_approve_it(gate: SqlGate, incident: str) -> None:
    digest = await put(gate, plan(incident, min_approvers=2), proposed_by=ANA.id)

    assert await vote(gate, digest, ANA) is VoteResult.SELF_APPROVAL


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"allowed": (False, "not in the team")}, VoteResult.NOT_APPROVER),
        ({"context": VoteContext(channel="C0TRUST", message_ts="1.1")}, VoteResult.CONTEXT_MISMATCH),
        ({"context": VoteContext(channel="C0ASSIST", message_ts="9.9")}, VoteResult.CONTEXT_MISMATCH),
        ({"now": START + timedelta(minutes=15)}, VoteResult.EXPIRED),
        ({"now": START + timedelta(minutes=15, milliseconds=1)}, VoteResult.EXPIRED),
        ({"now": START + timedelta(minutes=14, seconds=59)}, VoteResult.APPROVED),
    ],
)
async def test_a_vote_counts_only_where_when_and_from_whom_it_may(
    gate: SqlGate, incident: str, changes: dict[str, object], expected: VoteResult
) -> None:
    digest = await put(gate, plan(incident))

    assert await vote(gate, digest, **changes) is expected


async def test_every_denial_stands_on_the_timeline_once(gate: SqlGate, incident: str, database: Database) -> None:
    digest = await put(gate, plan(incident))
    await vote(gate, digest, allowed=(False, "Ana is not an approver of assist"))

    kinds = await database.run(lambda c: list(c.execute(select(schema.timeline.c.kind)).scalars()))

    assert kinds.count("vote_denied") == 1


async def test_a_hash_of_another_plan_is_stale(gate: SqlGate, incident: str) -> None:
    await put(gate, plan(incident))

    assert await vote(gate, plan(incident, lease_s=60).hash) is VoteResult.STALE_PLAN


async def test_a_new_proposal_supersedes_the_open_one(gate: SqlGate, incident: str) -> None:
    digest = await put(gate, plan(incident))
    await put(gate, plan(incident, lease_s=60), "pr-2")

    assert await vote(gate, digest) is VoteResult.NOT_OPEN
    old = await gate.proposal("pr-1")
    assert old is not None
    assert old.state is ProposalState.SUPERSEDED


async def test_parameters_changed_in_the_database_are_refused(gate: SqlGate, incident: str, database: Database) -> None:
    one = plan(incident)
    await vote(gate, await put(gate, one))
    forged = {**one.as_json(), "params": {"route": "everything"}}
    await database.run(lambda c: c.execute(update(schema.proposal).values(plan=forged)))

    claim = await gate.claim("pr-1", "apply", START)

    assert claim.state == "refused"
    kinds = await database.run(lambda c: list(c.execute(select(schema.timeline.c.kind)).scalars()))
    assert "alarm" in kinds


async def test_a_withheld_proposal_cannot_be_approved(gate: SqlGate, incident: str) -> None:
    digest = await put(gate, plan(incident), votable=False, withheld="observe mode")

    assert await vote(gate, digest) is VoteResult.OBSERVE_MODE


async def test_freeze_stops_votes_and_holds_what_was_approved(gate: SqlGate, incident: str) -> None:
    digest = await put(gate, plan(incident))
    await vote(gate, digest)
    await gate.freeze("*", True, "change freeze", LOCAL, START)

    claim = await gate.claim("pr-1", "apply", START)
    assert claim.state == "held"
    await put(gate, plan(incident, lease_s=60), "pr-2")
    second = await gate.vote("pr-2", plan(incident, lease_s=60).hash, "approve", ANA, YES, CARD, START)
    assert second is VoteResult.FROZEN

    await gate.freeze("*", False, "", LOCAL, START)
    assert (await gate.claim("pr-1", "apply", START)).state == "claimed"


async def test_approve_and_reject_at_once_have_one_winner(gate: SqlGate, incident: str) -> None:
    for round_ in range(100):
        one = plan(incident, lease_s=round_ + 1)
        await gate.propose(proposal(one, f"pr-{round_}x"), "step", "chat-assistant", START)
        results = await asyncio.gather(
            gate.vote(f"pr-{round_}x", one.hash, "approve", ANA, YES, CARD, START),
            gate.vote(f"pr-{round_}x", one.hash, "reject", BEN, YES, CARD, START),
        )
        assert sorted(r.value for r in results) in (["approved", "not_open"], ["not_open", "rejected"])


async def test_a_finished_effect_is_not_finished_again(gate: SqlGate, incident: str) -> None:
    await vote(gate, await put(gate, plan(incident)))
    await gate.claim("pr-1", "apply", START)
    done = EffectResult(status=EffectStatus.DONE, detail="set")
    await gate.finish("pr-1:apply", done, START)
    await gate.finish("pr-1:apply", EffectResult(status=EffectStatus.FAILED, detail="late"), START)

    effect = await gate.effect("pr-1:apply")
    assert effect is not None
    assert effect.state is EffectState.DONE
    assert (await gate.claim("pr-1", "apply", START)).state == "ended"


async def test_one_change_in_flight_for_a_target(gate: SqlGate, incident: str) -> None:
    await vote(gate, await put(gate, plan(incident)))
    await gate.claim("pr-1", "apply", START)
    other = plan(incident, lease_s=60)
    await gate.propose(proposal(other, "pr-2"), "step", "chat-assistant", START)
    await gate.vote("pr-2", other.hash, "approve", ANA, YES, CARD, START)

    assert (await gate.claim("pr-2", "apply", START)).state == "held"


async def test_no_vote_after_the_incident_is_resolved(gate: SqlGate, incident: str, database: Database) -> None:
    digest = await put(gate, plan(incident))
    await database.run(lambda c: c.execute(update(schema.incident).values(status="resolved")))

    assert await vote(gate, digest) is VoteResult.INCIDENT_CLOSED


async def test_the_view_shows_votes_and_effects(
    gate: SqlGate, incident: str, database: Database, catalogue: Catalogue
) -> None:
    await vote(gate, await put(gate, plan(incident)))
    await gate.claim("pr-1", "apply", START)

    view = await SqlRecords(database, catalogue).view(incident)

    assert view is not None
    shown = view.proposals[0]
    assert [v.name for v in shown.votes] == ["Ana"]
    assert shown.apply is not None
    assert shown.apply.state is EffectState.CLAIMED


async def test_a_view_is_read_again_only_when_something_was_written_by_whomever(
    database: Database, incident: str, catalogue: Catalogue
) -> None:
    records = SqlRecords(database, catalogue)
    before = await records.view(incident)
    again = await records.view(incident)
    with closing(sqlite3.connect(database.path)) as elsewhere, elsewhere:
        elsewhere.execute("UPDATE incident SET title = 'written by another process'")
    after = await records.view(incident)
    await database.run(lambda c: c.execute(update(schema.incident).values(title="written here")))
    last = await records.view(incident)

    assert again is before
    assert [view.incident.title for view in (after, last) if view] == ["written by another process", "written here"]
