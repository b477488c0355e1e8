"""The runner: one finding a call, deadlines, budgets, and nothing that turns a failure into health."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from diagnostics.model import (
    INCONCLUSIVE,
    Evidence,
    NoParams,
    Params,
    ProbeCall,
    ProbeContext,
    ProbeSpec,
    Reading,
    Tier,
    Verdict,
)
from diagnostics.runner import ProbeEvent, ProbeRunner, TokenBudget
from tests.diagnosis_fakes import KeptBaselines, MovedClock, context

OUTCOMES = {"ok": Verdict.NORMAL, "bad": Verdict.ABNORMAL}
HEADROOM = {"ample": Verdict.NORMAL, "exhausted": Verdict.ABNORMAL}


class Count(Params):
    n: int = 5


@dataclass
class Scripted:
    """A probe that does what the test says."""

    spec: ProbeSpec
    act: Callable[[ProbeContext], Any]
    seen: list[Params] = field(default_factory=list)

    async def run(self, context: ProbeContext, params: Params) -> Reading:
        self.seen.append(params)
        reading = self.act(context)
        if asyncio.iscoroutine(reading):
            reading = await reading
        assert isinstance(reading, Reading)
        return reading


def probe(name: str, act: Callable[[ProbeContext], Any] | str = "ok", **spec: Any) -> Scripted:
    made = ProbeSpec(id="P99", name=name, title=name, **{"outcomes": OUTCOMES, **spec})
    if isinstance(act, str):
        word = act
        return Scripted(made, lambda _: Reading(outcome=word, summary="Looked.", tokens=made.expected_tokens))
    return Scripted(made, act)


def runner(*probes: Scripted, **options: Any) -> ProbeRunner:
    numbers = itertools.count(1)
    return ProbeRunner({p.spec.name: p for p in probes}, new_id=lambda: f"ev-{next(numbers)}", **options)


def calls(*names: str) -> list[ProbeCall]:
    return [ProbeCall(probe=name) for name in names]


def raising(error: Exception) -> Callable[[ProbeContext], Reading]:
    def act(_: ProbeContext) -> Reading:
        raise error

    return act


async def test_every_call_gets_one_finding_in_order_with_its_own_id() -> None:
    findings = await runner(probe("a"), probe("b", "bad"), probe("c", INCONCLUSIVE)).run(
        calls("b", "a", "c", "b"), context(), round=2
    )

    assert [f.probe for f in findings] == ["b", "a", "c", "b"]
    assert [f.verdict for f in findings] == [
        Verdict.ABNORMAL,
        Verdict.NORMAL,
        Verdict.INCONCLUSIVE,
        Verdict.ABNORMAL,
    ]
    assert len({f.id for f in findings}) == 4
    assert {f.round for f in findings} == {2}
    assert {f.service for f in findings} == {"chat-assistant"}


async def test_probes_run_in_parallel_up_to_the_bound() -> None:
    running = 0
    most = 0

    async def meet(_: ProbeContext) -> Reading:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _turn in range(5):
            await asyncio.sleep(0)
        running -= 1
        return Reading(outcome="ok", summary="Met.")

    many = [probe(f"p{i}", meet) for i in range(9)]

    await runner(*many, parallel=3).run(calls(*(p.spec.name for p in many)), context())

    assert most == 3


async def test_a_crash_is_an_error_finding_and_the_others_go_on() -> None:
    broken = probe("broken", raising(ValueError("cannot parse key sk-secret-1")))

    findings = await runner(broken, probe("fine"), redact=lambda text: text.replace("sk-secret-1", "[secret]")).run(
        calls("broken", "fine"), context()
    )

    assert [f.verdict for f in findings] == [Verdict.ERROR, Verdict.NORMAL]
    assert findings[0].outcome == INCONCLUSIVE
    assert findings[0].reading.summary == "The probe failed: ValueError: cannot parse key [secret]"


async def test_a_probe_that_hangs_ends_at_its_own_deadline() -> None:
    async def hang(_: ProbeContext) -> Reading:
        await asyncio.Event().wait()
        raise AssertionError

    findings = await runner(probe("hangs", hang, timeout_s=0.02), probe("fine")).run(calls("hangs", "fine"), context())

    assert findings[0].verdict is Verdict.ERROR
    assert findings[0].reading.summary == "No result within 0.02 s."
    assert findings[1].verdict is Verdict.NORMAL


async def test_a_timeout_of_the_probes_own_is_told_from_its_deadline() -> None:
    findings = await runner(probe("p", raising(TimeoutError("socket")))).run(calls("p"), context())

    assert findings[0].reading.summary == "The probe failed: TimeoutError: socket"


async def test_cancelling_the_run_is_not_swallowed() -> None:
    started = asyncio.Event()

    async def hang(_: ProbeContext) -> Reading:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.ensure_future(runner(probe("hangs", hang)).run(calls("hangs"), context()))
    await started.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()


async def test_parameters_are_checked_against_the_schema_and_recorded_resolved() -> None:
    counted = probe("counted", params=Count)
    wrong = [
        ProbeCall(probe="counted", params={"n": "many"}),
        ProbeCall(probe="counted", params={"m": 1}),
        ProbeCall(probe="nope"),
    ]

    findings = await runner(counted).run([ProbeCall(probe="counted"), *wrong], context())

    assert findings[0].params == {"n": 5}
    assert [f.verdict for f in findings[1:]] == [Verdict.ERROR] * 3
    assert "many" not in findings[1].reading.summary
    assert counted.seen == [Count()]


async def test_a_probe_that_does_not_apply_is_not_run() -> None:
    searched = probe("searched", applies=("index", "gateway"))

    findings = await runner(searched).run(calls("searched"), context(service="chat-assistant"))

    assert findings[0].verdict is Verdict.NOT_RUN
    assert findings[0].outcome == INCONCLUSIVE
    assert findings[0].reading.summary == "chat-assistant has no index."
    assert searched.seen == []


async def test_an_outcome_that_was_not_declared_is_an_error() -> None:
    findings = await runner(probe("p", "splendid")).run(calls("p"), context())

    assert findings[0].verdict is Verdict.ERROR
    assert "splendid" in findings[0].reading.summary


async def test_tokens_beyond_the_budget_are_not_spent() -> None:
    budget = TokenBudget(limit=250)
    paid = [probe(f"paid{i}", expected_tokens=100) for i in range(3)]

    findings = await runner(*paid, probe("free"), budget=budget).run(
        calls("paid0", "paid1", "paid2", "free"), context()
    )

    assert [f.verdict for f in findings] == [Verdict.NORMAL, Verdict.NORMAL, Verdict.NOT_RUN, Verdict.NORMAL]
    assert findings[2].reading.summary.startswith("Not run: budget.")
    assert (budget.spent, budget.reserved) == (200, 0)


async def test_a_probe_that_broke_off_counts_what_it_may_have_spent() -> None:
    budget = TokenBudget(limit=1000)

    await runner(probe("p", raising(OSError("cut")), expected_tokens=300), budget=budget).run(calls("p"), context())

    assert (budget.spent, budget.reserved) == (300, 0)


async def test_nothing_spends_tokens_while_the_rate_limit_is_used_up() -> None:
    headroom = probe(
        "rate_limit_headroom", "exhausted", outcomes={"ample": Verdict.NORMAL, "exhausted": Verdict.ABNORMAL}
    )
    canary = probe("canary", expected_tokens=50)
    one = runner(headroom, canary, probe("free"))

    together = await one.run(calls("canary", "rate_limit_headroom", "free"), context())
    later = await one.run(calls("canary"), context())

    assert [f.verdict for f in together] == [Verdict.NOT_RUN, Verdict.ABNORMAL, Verdict.NORMAL]
    assert "would worsen the rate limit" in together[0].reading.summary
    assert later[0].verdict is Verdict.NOT_RUN
    assert canary.seen == []


async def test_the_suspension_survives_a_restart_and_ends_with_the_round() -> None:
    headroom = probe(
        "rate_limit_headroom", "exhausted", outcomes={"ample": Verdict.NORMAL, "exhausted": Verdict.ABNORMAL}
    )
    known = await runner(headroom).run(calls("rate_limit_headroom"), context())
    canary = probe("canary", expected_tokens=50)
    restarted = runner(canary, known=known)

    same_round = await restarted.run(calls("canary"), context())
    after_mitigation = await restarted.run(calls("canary"), context(), round=1)

    assert same_round[0].verdict is Verdict.NOT_RUN
    assert after_mitigation[0].verdict is Verdict.NORMAL


async def test_secrets_leave_evidence_details_and_summary() -> None:
    leaky = probe(
        "leaky",
        lambda _: Reading(
            outcome="ok",
            summary="Key K-1 works.",
            evidence=(Evidence(source="GET /?key=K-1", excerpt="K-1 " + "x" * 3000),),
            details={"headers": [{"authorization": "K-1"}], "n": 3},
        ),
    )

    found = (await runner(leaky, redact=lambda text: text.replace("K-1", "***")).run(calls("leaky"), context()))[0]

    assert "K-1" not in repr(found.reading)
    assert len(found.reading.evidence[0].excerpt) == 2000
    assert found.reading.details["n"] == 3


async def test_progress_is_told_as_it_happens() -> None:
    events: list[ProbeEvent] = []

    async def note(event: ProbeEvent) -> None:
        events.append(event)

    await runner(probe("a"), probe("gone", applies=("index",)), on_event=note).run(calls("a", "gone"), context())

    assert [(e.kind, e.call.probe) for e in events if e.call.probe == "a"] == [("started", "a"), ("finished", "a")]
    assert [e.kind for e in events if e.call.probe == "gone"] == ["finished"]
    assert all((e.finding is not None) == (e.kind == "finished") for e in events)


async def test_time_taken_is_what_the_clock_says() -> None:
    async def wait(seen: ProbeContext) -> Reading:
        await seen.clock.sleep(7)
        return Reading(outcome="ok", summary="Slept.")

    clock = MovedClock()

    found = (await runner(probe("sleepy", wait)).run(calls("sleepy"), context(clock=clock)))[0]

    assert found.elapsed_s == 7
    assert found.started_at == replace(found).started_at
    assert NoParams().model_dump() == found.params


async def test_nothing_goes_on_spending_when_its_end_cannot_be_kept() -> None:
    spent: list[int] = []
    waiting = asyncio.Event()

    async def slow(_: ProbeContext) -> Reading:
        await waiting.wait()
        spent.append(1)
        return Reading(outcome="ok", summary="Looked.", tokens=100)

    async def storage_down(event: ProbeEvent) -> None:
        if event.kind == "finished":
            raise OSError("storage down")

    one = runner(probe("quick"), probe("paid", slow, expected_tokens=100), on_event=storage_down)
    with pytest.raises(OSError, match="storage down"):
        await one.run(calls("quick", "paid"), context())
    waiting.set()
    for _ in range(5):
        await asyncio.sleep(0)

    assert (spent, one.budget.reserved) == ([], 0)


def headroom(outcome: str, left: float) -> Scripted:
    words = {**HEADROOM, "limit_reduced": Verdict.ABNORMAL}
    details = {"provider": "acme-openai", "shares": {"requests": 0.9, "tokens": left}}
    told = Reading(outcome=outcome, summary="Read.", value=0.4, details=details)
    return probe("rate_limit_headroom", lambda _: told, outcomes=words)


@pytest.mark.parametrize(
    ("outcome", "left", "canary", "golden"),
    [
        ("limit_reduced", 0.0, Verdict.NOT_RUN, Verdict.NOT_RUN),
        ("limit_reduced", 0.5, Verdict.NORMAL, Verdict.NORMAL),
        ("ample", 0.15, Verdict.NORMAL, Verdict.NOT_RUN),
    ],
)
async def test_what_is_left_of_the_limit_decides_who_may_ask(
    outcome: str, left: float, canary: Verdict, golden: Verdict
) -> None:
    second = probe("second_provider_canary", expected_tokens=50)
    paid = [probe("canary", expected_tokens=50), second, probe("golden", expected_tokens=50, tier=Tier.GOLDEN)]

    found = await runner(headroom(outcome, left), *paid).run(
        calls("rate_limit_headroom", "canary", "second_provider_canary", "golden"), context()
    )

    assert [f.verdict for f in found[1:]] == [canary, Verdict.NORMAL, golden]
    assert all("acme-openai has" in f.reading.summary for f in found if f.verdict is Verdict.NOT_RUN)


async def test_a_call_is_expected_to_cost_what_its_questions_cost_before() -> None:
    golden = probe("golden", expected_tokens=500, params=Count)
    one, call = runner(golden), ProbeCall(probe="golden", params={"n": 20})
    known = KeptBaselines({"probe.tokens:golden": [150.0] * 5})

    assert one.expected_tokens(calls("golden")[0], context()) == 500
    assert one.expected_tokens(call, context()) == 2000
    assert one.expected_tokens(call, context(baselines=known)) == 3000


async def test_what_a_free_probe_spends_after_all_is_counted() -> None:
    one = runner(probe("free", lambda _: Reading(outcome="ok", summary="Looked.", tokens=12)))

    await one.run(calls("free"), context())

    assert one.budget.spent == 12
