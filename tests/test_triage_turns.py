"""The turns of an investigation: what is asked again, and what its time is counted by."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from bot.domain.incident import Incident
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.history import SqlHistory
from bot.edges.inbox import SqlInbox
from bot.triage import nodes
from bot.triage.nodes import State
from config.catalogue import Catalogue
from diagnostics.differential import diagnose
from diagnostics.model import ProbeContext, Reading, Tier
from diagnostics.runner import ProbeRunner
from tests.conftest import FakeClock
from tests.incident_samples import page, settle
from tests.test_runner import Scripted, probe

CALLS: list[dict[str, Any]] = [{"probe": name, "params": {}} for name in ("free", "paid")]


class Turns:
    """The nodes on a real casebook, with two probes that take a while."""

    def __init__(self, database: Database, catalogue: Catalogue, clock: FakeClock) -> None:
        self.clock = clock
        self.casebook, self.inbox = SqlCasebook(database), SqlInbox(database)
        self.probes = {
            p.spec.name: p for p in (self._probe("free", 0, Tier.FREE), self._probe("paid", 50, Tier.CANARY))
        }
        self.takes_s = 1.0
        self.numbers = iter(range(100))
        self.left: list[Any] = []
        self.wider: list[bool] = []
        self.tools: Any = SimpleNamespace(
            casebook=self.casebook, catalogue=catalogue, history=SqlHistory(database), runner=self._runner, clock=clock,
            http=None, golden_root="", specs={name: p.spec for name, p in self.probes.items()}, diagnose=diagnose,
            library=SimpleNamespace(for_service=lambda _: {}), next_calls=self._next, resolve=None,
            embedder=None,
        )  # fmt: skip

    def _next(self, *_: Any, wider: bool, **__: Any) -> list[Any]:
        self.wider.append(wider)
        return self.left

    def _probe(self, name: str, tokens: int, tier: Tier) -> Scripted:
        async def act(_: ProbeContext) -> Reading:
            self.clock.advance(self.takes_s)
            return Reading(outcome="ok", summary="Looked.", tokens=tokens)

        return probe(name, act, expected_tokens=tokens, tier=tier)

    def _runner(self, known: Any, on_event: Any) -> ProbeRunner:
        return ProbeRunner(
            self.probes, new_id=lambda: f"ev-{next(self.numbers)}", on_event=on_event, known=known
        )  # fmt: skip

    async def state(self, number: int) -> State:
        incident = (await self.casebook.wanted())[0][0]
        began = self.clock.now().timestamp()
        return State(incident=incident, number=number, began=began, probed_s=0.0, priors={}, calls=CALLS, ended="")

    def asked(self) -> tuple[int, int]:
        return len(self.probes["free"].seen), len(self.probes["paid"].seen)


async def test_a_hint_does_not_buy_again_what_was_bought_a_moment_ago(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    turns = Turns(database, catalogue, clock)
    await settle(turns.inbox, turns.casebook, page())
    await nodes.probe(await turns.state(1), turns.tools)
    clock.advance(60)
    second = await turns.state(2)
    await nodes.probe(second, turns.tools)
    incident = await turns.casebook.incident(second["incident"])
    assert incident is not None
    known = await nodes.known_findings(incident, second, turns.tools)

    assert turns.asked() == (2, 1)
    assert {finding.probe for finding in known.values()} == {"free", "paid"}

    clock.advance(nodes.FRESH.total_seconds())
    await nodes.probe(await turns.state(3), turns.tools)
    assert turns.asked() == (3, 2)


async def test_what_was_bought_before_a_mitigation_is_bought_again_after_it(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    turns = Turns(database, catalogue, clock)
    await settle(turns.inbox, turns.casebook, page())
    first = await turns.state(1)
    await nodes.probe(first, turns.tools)
    found = next(iter((await turns.casebook.findings(first["incident"], 1)).values()))
    later = replace(found, id="ev-verified", round=1, started_at=clock.now() + timedelta(seconds=5))
    await turns.casebook.found(first["incident"], 1, "verify:1:0:free", later, clock.now())
    clock.advance(10)
    await nodes.probe(await turns.state(2), turns.tools)

    assert turns.asked() == (2, 2)


async def test_a_stop_of_the_process_does_not_use_up_the_time_for_probing(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    turns = Turns(database, catalogue, clock)
    await settle(turns.inbox, turns.casebook, page())
    state = await turns.state(1)
    turns.left = [SimpleNamespace(probe="paid", params={})]
    clock.advance(2 * nodes.DEADLINE_S)  # it was stopped
    state.update(await nodes.probe(state, turns.tools))
    went_on = await nodes.diagnose(state, turns.tools)
    assert went_on["calls"]

    turns.takes_s = nodes.DEADLINE_S
    state.update({**await nodes.probe({**state, "calls": [{"probe": "paid", "params": {"n": 1}}]}, turns.tools)})
    assert (await nodes.diagnose({**state, "probed_s": nodes.DEADLINE_S + 1}, turns.tools))["calls"] == []


async def test_after_a_step_that_did_not_help_the_next_investigation_looks_wider(
    database: Database, catalogue: Catalogue, clock: FakeClock
) -> None:
    turns = Turns(database, catalogue, clock)
    await settle(turns.inbox, turns.casebook, page())
    state = await turns.state(1)
    await nodes.diagnose(state, turns.tools)
    incident = await turns.casebook.incident(state["incident"])
    assert incident is not None

    async def tried(_: str) -> Incident:
        return replace(incident, attempts=1)

    turns.casebook.incident = tried  # type: ignore[method-assign]
    await nodes.diagnose(await turns.state(2), turns.tools)

    assert turns.wider == [False, True]
