"""The process may end after any transaction and around any call of a target: the rows alone must bring it to its end.

The flow runs on a real database against a target that outlives it. Each way of an incident is first gone through
without a crash, counting the moments; then once for every moment, ending the process there and starting anew. Nothing
of the old process is left, not even its queue of jobs.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
from sqlalchemy import Connection

from bot.domain.incident import Incident, Status
from bot.domain.proposal import Plan, ProposalState
from bot.domain.view import IncidentView
from bot.edges import chain
from bot.edges.database import Database
from bot.edges.records import SqlRecords
from bot.ports import Planned, Step, VoteContext
from config.catalogue import Catalogue, Service
from diagnostics.model import Finding, Verdict
from runbooks.model import Approval, EffectClass, EffectResult, EffectStatus
from tests.conftest import FakeClock
from tests.flow_fakes import FakeTarget, Rig, finding, step
from tests.incident_samples import LOCAL, page, settle

T = TypeVar("T")
ONCE = ("verification_made", "effect_applied", "effect_reverted", "effect_conflict", "effect_failed", "effect_unknown",
        "proposal_made", "proposal_approved", "lease_started", "lease_ended", "incident_resolved",
        "incident_closed", "investigation_ended", "vote_cast")  # fmt: skip
"""Facts of which a crash may neither add nor lose one."""


class Ended(Exception):
    """The process is gone."""


class Life:
    """Counts the moments of a process, and ends it at one of them."""

    def __init__(self, last: int = 0) -> None:
        self.moments = 0
        self.last = last
        self.over = False

    def moment(self) -> None:
        self.moments += 1
        if self.over or self.moments == self.last:
            self.over = True
            raise Ended


class MortalDatabase(Database):
    """What was committed stays; who waited for it may be gone."""

    def __init__(self, path: Path, life: Life) -> None:
        super().__init__(path)
        self._life = life

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Reading leaves nothing behind: only what was written makes a moment."""
        if self._life.over:
            raise Ended

        def counting(connection: Connection) -> tuple[T, bool]:
            driver = connection.connection.driver_connection
            before = driver.total_changes  # type: ignore[union-attr]
            return work(connection), driver.total_changes > before  # type: ignore[union-attr]

        result, wrote = await super().run(counting)
        if wrote:
            self._life.moment()
        return result

    def be_quick(self) -> None:
        """These processes end, their machine does not: nothing has to reach the disk."""
        assert self._engine is not None
        with self._engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA synchronous=OFF")  # type: ignore[union-attr]


class Target(FakeTarget):
    """Outlives every process that asks it; a process can end before it is asked, and before it hears the answer."""

    def __init__(self, result: EffectResult | None, effect: EffectClass) -> None:
        super().__init__(effect)
        self.life = Life()
        self.result = result

    async def plan(self, one: Step, service: Service) -> Planned:
        self.life.moment()
        return await super().plan(one, service)

    async def apply(self, plan: Plan, service: Service, approval: Approval) -> EffectResult:
        self.life.moment()
        result = await super().apply(plan, service, approval)
        self.life.moment()
        return result

    async def revert(self, plan: Plan, service: Service, approval: Approval) -> EffectResult:
        self.life.moment()
        result = await super().revert(plan, service, approval)
        self.life.moment()
        return result

    async def settle(self, plan: Plan, service: Service, approval: Approval, kind: Literal["apply", "revert"], *,
                     why_not: str = "") -> EffectResult:  # fmt: skip
        """As the executor does for what converges: done already, or done again."""
        self.life.moment()
        wanted = plan.post_state if kind == "apply" else plan.pre_state
        if {"v": self.value} == dict(wanted) and self.result is None:
            return EffectResult(status=EffectStatus.DONE, detail="it took effect")
        if why_not:
            return EffectResult(status=EffectStatus.FAILED, detail=why_not)
        return await (super().apply if kind == "apply" else super().revert)(plan, service, approval)


class Looks:
    """Probes that see what the target does to users."""

    def __init__(self, target: Target, harmful: Sequence[str]) -> None:
        self._target = target
        self._harmful = harmful
        self._count = 0

    async def read(
        self, incident: Incident, probes: Sequence[str], round_: int, *, last: bool = False
    ) -> Sequence[Finding]:
        self._target.life.moment()
        self._count += 1
        values: dict[str, Any] = {"id": f"ev-{id(self)}-{self._count}", "round": round_, "n": 10}
        if self._target.value in self._harmful:
            return [finding("user_signal", "server_error", Verdict.ABNORMAL, value=0.9, **values)]
        return [finding("gateway_canary", "ok", Verdict.NORMAL, value=0.0, **values)]


@dataclass(frozen=True, kw_only=True)
class Story:
    """A way that an incident goes, and what must have come of it."""

    effects: tuple[str, ...]
    """What the target was told to do, in order."""
    states: tuple[ProposalState, ...]
    """What became of the proposals."""
    steps: tuple[Step, ...] = (step(1, lease_s=120), step(2, "drain", lease_s=120))
    harmful: tuple[str, ...] = ()
    result: EffectResult | None = None
    effect: EffectClass = EffectClass.CONVERGE
    absent: int = 0
    """So many proposals expire before anybody looks."""
    resolve_after_s: int = 300
    tick_s: int = 30
    facts: Mapping[str, int] = field(default_factory=dict)


STORIES = {
    "helped, and the lease ended": Story(
        effects=("apply shift_traffic", "revert acme"), states=(ProposalState.DONE,), facts={"lease_ended": 1}
    ),
    "made it worse, undone, the next one helped": Story(
        effects=("apply shift_traffic", "revert acme", "apply drain", "revert acme"),
        states=(ProposalState.DONE, ProposalState.DONE), harmful=("shift_traffic",), resolve_after_s=400,
    ),
    "failed twice": Story(
        effects=(), states=(ProposalState.FAILED, ProposalState.FAILED), facts={"investigation_ended": 3},
        result=EffectResult(status=EffectStatus.FAILED, detail="refused"),
    ),
    "nobody looked in time, and it was asked again": Story(
        effects=("apply shift_traffic", "revert acme"), states=(ProposalState.EXPIRED, ProposalState.DONE), absent=1,
        resolve_after_s=1_400,
    ),
    "nobody knows whether it took effect": Story(
        effects=(), states=(ProposalState.UNKNOWN,),
        result=EffectResult(status=EffectStatus.UNKNOWN, detail="no answer"),
    ),
}  # fmt: skip


class Incarnations:
    """One process after the other on the same data folder."""

    def __init__(self, folder: Path, catalogue: Catalogue, story: Story, last: int = 0) -> None:
        self._path = folder / "pagerunner.sqlite"
        self._catalogue = catalogue
        self._story = story
        self.clock = FakeClock()
        self.target = Target(story.result, story.effect)
        self.incident = ""
        self.life = Life(last)
        self.crashes = 0
        self._resolved = False

    async def live(self) -> None:
        """From the page to the postmortem, through a crash if there is one."""
        while True:
            database = MortalDatabase(self._path, self.life)
            database.open()
            await asyncio.get_running_loop().run_in_executor(database._thread, database.be_quick)
            rig = Rig(database, self._catalogue, self.clock, steps=list(self._story.steps))
            self._join(rig)
            try:
                await self._go(rig)
                return
            except Ended:
                self.crashes += 1
                self.life = Life()
            finally:
                await rig.jobs.drop()
                database.close()

    def _join(self, rig: Rig) -> None:
        from dataclasses import replace

        self.target.life = self.life
        looks = Looks(self.target, self._story.harmful)
        parts = replace(rig.flow._, planner=self.target, executor=self.target, verifier=looks)
        rig.flow.__init__(parts)  # type: ignore[misc]
        rig.desk.__init__(rig.flow, parts, rig.voted)  # type: ignore[misc]

    async def _go(self, rig: Rig) -> None:
        self.incident = await settle(rig.inbox, rig.casebook, page(), now=self.clock.now())
        began = page().received_at
        while True:
            await rig.tick(self._story.tick_s)
            view = await rig.records.view(self.incident)
            assert view is not None
            if view.incident.status is Status.CLOSED:
                return
            await self._person(rig, view)
            if (self.clock.now() - began).total_seconds() >= self._story.resolve_after_s and not self._resolved:
                await rig.desk.command(self.incident, "resolve", LOCAL)
                self._resolved = (await rig.casebook.incident(self.incident)).status is not Status.OPEN  # type: ignore[union-attr]
            assert (self.clock.now() - began).total_seconds() < 20_000, "it never came to an end"

    async def _person(self, rig: Rig, view: IncidentView) -> None:
        """Approves what is open, once it has been looked at; the first ones not at all if the story says so."""
        shown = view.open_proposal
        if shown is None or shown.proposal.state is not ProposalState.OPEN or len(view.proposals) <= self._story.absent:
            return
        one = shown.proposal
        await rig.desk.vote(one.id, one.plan_hash, "approve", LOCAL, VoteContext())
        await rig.jobs.idle()


async def outcome(folder: Path, catalogue: Catalogue, one: Incarnations) -> IncidentView:
    database = Database(folder / "pagerunner.sqlite")
    database.open()
    try:
        records = SqlRecords(database, catalogue)
        assert chain.verify(await records.whole_chain()) == ""
        assert len(await records.incidents(active_only=False)) == 1
        view = await records.view(one.incident)
        assert view is not None
        return view
    finally:
        database.close()


def counted(view: IncidentView) -> Counter[str]:
    return Counter(entry.fact.kind for entry in view.timeline if entry.fact.kind in ONCE)


@pytest.mark.parametrize("name", STORIES)
async def test_the_rows_alone_bring_it_to_its_end(tmp_path: Path, catalogue: Catalogue, name: str) -> None:
    story = STORIES[name]
    (tmp_path / "whole").mkdir()
    whole = Incarnations(tmp_path / "whole", catalogue, story)
    await whole.live()
    expected = await outcome(tmp_path / "whole", catalogue, whole)
    assert tuple(whole.target.effects) == story.effects
    assert tuple(p.proposal.state for p in expected.proposals) == story.states
    assert {kind: counted(expected)[kind] for kind in story.facts} == dict(story.facts)
    print(name, whole.life.moments)

    wrong = []
    for last in range(1, whole.life.moments + 1):
        folder = tmp_path / str(last)
        folder.mkdir()
        one = Incarnations(folder, catalogue, story, last)
        try:
            await one.live()
            view = await outcome(folder, catalogue, one)
        except AssertionError as error:
            wrong.append(f"{last}: {error}")
            continue
        assert one.crashes == 1
        same = (view.incident.attempts, bool(view.incident.mitigated_at)) == (
            expected.incident.attempts, bool(expected.incident.mitigated_at)
        )  # fmt: skip
        if not same or one.target.effects != whole.target.effects or counted(view) != counted(expected):
            wrong.append(
                f"{last}: {one.target.effects} {[p.proposal.state.value for p in view.proposals]} "
                f"missing {counted(expected) - counted(view)} more {counted(view) - counted(expected)}"
            )
    assert wrong == []
