"""Baselines are recorded on the tick: within the budget, not during incidents, and used from then on."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from bot.edges.baselines import BaselineRecorder
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.history import SqlHistory
from bot.edges.inbox import SqlInbox
from config.catalogue import Catalogue
from config.http import HttpError, Reply
from diagnostics.model import NoParams, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from tests.conftest import START, FakeClock
from tests.incident_samples import page, settle

SERIES = "provider_canary.ttft_s:acme-openai/acme-large"


class Recorded:
    """A canary that hands over one number, and counts how often it was asked for which service."""

    def __init__(self, *, verdict: str = "ok", tokens: int = 0, name: str = "provider_canary") -> None:
        outcomes = {"ok": Verdict.NORMAL, "slow": Verdict.ABNORMAL}
        self.spec = ProbeSpec(
            id="P01", name=name, title="canary", outcomes=outcomes, expected_tokens=tokens, tier=Tier.CANARY
        )
        self.asked: list[str] = []
        self._outcome = verdict

    async def run(self, context: ProbeContext, params: NoParams) -> Reading:
        self.asked.append(context.service.name)
        record = {"record": {SERIES: [0.4]}}
        return Reading(outcome=self._outcome, summary="as usual", tokens=self.spec.expected_tokens, details=record)


class NoHttp:
    """A network that refuses everything."""

    async def request(self, target: str, *_: Any, **__: Any) -> Reply:
        raise HttpError("refused", target, "no network in this test")

    async def reach(self, *_: Any, **__: Any) -> Sequence[Any]:
        return ()


class Bench:
    """A recorder on a real database."""

    def __init__(
        self, database: Database, catalogue: Catalogue, clock: FakeClock, probe: Recorded, tokens: int
    ) -> None:
        self.history, self.clock = SqlHistory(database), clock
        registry: Mapping[str, Any] = {probe.spec.name: probe}
        self.recorder = BaselineRecorder(catalogue, registry, self.history, NoHttp(), clock, "", tokens)  # type: ignore[arg-type]

    async def samples(self) -> int:
        baselines, _ = await self.history.frozen("chat-assistant", self.clock.now())
        return len(baselines.samples("chat-assistant", SERIES, before=self.clock.now()))


async def test_every_service_is_recorded_and_again_when_it_is_due(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    probe = Recorded()
    bench = Bench(database, catalogue, clock, probe, 1000)
    await bench.recorder.record_all()
    await bench.recorder.record_all()

    assert sorted(probe.asked) == sorted(s.name for s in catalogue.services)
    clock.advance(900)
    await bench.recorder.record_all()
    assert probe.asked.count("chat-assistant") == 2
    assert await bench.samples() == 2


async def test_nothing_is_recorded_while_the_service_has_an_incident(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    probe = Recorded()
    await settle(SqlInbox(database), SqlCasebook(database), page())
    await Bench(database, catalogue, clock, probe, 1000).recorder.record_all()

    assert "chat-assistant" not in probe.asked
    assert "support-bot" in probe.asked


async def test_nothing_is_recorded_right_after_an_incident(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    probe = Recorded()
    resolved = page("E2", kind="resolved", occurred_at=START + timedelta(minutes=1))
    clock.advance(120)
    await settle(SqlInbox(database), SqlCasebook(database), page(), resolved, now=clock.now())
    bench = Bench(database, catalogue, clock, probe, 1000)
    await bench.recorder.record_all()
    assert "chat-assistant" not in probe.asked

    clock.advance(3600)
    await bench.recorder.record_all()
    assert "chat-assistant" in probe.asked


async def test_an_abnormal_reading_is_not_recorded_as_normal(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    bench = Bench(database, catalogue, clock, Recorded(verdict="slow"), 1000)
    await bench.recorder.record_all()

    assert await bench.samples() == 0


@pytest.mark.parametrize(("budget", "expected"), [(0, 0), (399, 0), (400, 1), (800, 2)])
async def test_the_hourly_budget_holds(
    database: Database, catalogue: Catalogue, clock: FakeClock, budget: int, expected: int
) -> None:
    probe = Recorded(tokens=400)
    bench = Bench(database, catalogue, clock, probe, budget)
    for _ in range(3):
        await bench.recorder.record_all()
        clock.advance(900)

    assert probe.asked.count("chat-assistant") == expected


async def test_a_tick_during_a_round_is_left_out(database: Database, catalogue: Catalogue, clock: FakeClock) -> None:
    probe = Recorded()
    bench = Bench(database, catalogue, clock, probe, 1000)
    await asyncio.gather(bench.recorder.record_all(), bench.recorder.record_all())

    assert len(probe.asked) == len(set(probe.asked))
