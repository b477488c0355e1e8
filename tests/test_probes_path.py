"""Long streams and the prompt cache: what their probes say, on real sockets."""

import json
from collections.abc import AsyncIterator, Callable

import pytest

from diagnostics import series
from diagnostics.probes.demand import DemandProfile, amplified
from diagnostics.probes.prompt_cache import PromptCache
from diagnostics.probes.stream import COUNT_TO, StreamCanary
from tests.metrics_fakes import World, healthy, look, step
from tests.provider_fakes import Asked, Served, Stage, company_open, error

CHAT = "/v1/chat/completions"
CACHED = "litellm_input_cached_tokens_metric_total"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with company_open() as (company, http):
        yield Stage(company, http)


def streamed(asked: Asked, *, pieces: int = COUNT_TO, end: bool = True) -> Served:
    """The answer as a stream, whole or cut after so many pieces."""
    frame = {"id": "c", "object": "chat.completion.chunk", "model": asked.body["model"]}
    events = [{"choices": [{"index": 0, "delta": {"content": f"{n} "}}]} for n in range(1, pieces + 1)]
    if end:
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    lines = [f"data: {json.dumps({**frame, **event})}\n\n" for event in events] + ["data: [DONE]\n\n"] * end
    return Served(body="".join(lines), content_type="text/event-stream", first_byte_s=0.4, elapsed_s=1.6)


def every(n: int, then: Callable[[Asked], Served], otherwise: Callable[[Asked], Served]) -> Callable[[Asked], Served]:
    """Every n-th request is answered by ``then``."""
    count = [0]

    def reply(asked: Asked) -> Served:
        count[0] += 1
        return then(asked) if count[0] % n == 0 else otherwise(asked)

    return reply


def cut(asked: Asked) -> Served:
    return streamed(asked, pieces=30, end=False)


# --- P21 ---------------------------------------------------------------------------------------------------------


async def test_streams_that_reach_their_end_are_ok_and_cost_one_wave(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, streamed)
    reading = await stage.ask(StreamCanary())

    assert reading.outcome == "ok"
    assert reading.n == len(stage.company.calls("gateway", CHAT)) == 6
    assert reading.power is not None
    assert 0.5 < reading.power < 1.0
    asked = stage.company.calls("gateway", CHAT)[0].body
    assert asked["stream"] is True
    assert f"count from 1 to {COUNT_TO}" in asked["messages"][-1]["content"]
    assert reading.details[series.RECORD]["stream_canary.whole:support"] == [1.0] * 6


async def test_cut_streams_are_truncated_and_the_hop_that_cuts_is_named(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, every(2, cut, streamed))
    stage.company.play("acme", CHAT, streamed)
    reading = await stage.ask(StreamCanary())

    assert reading.outcome == "truncated"
    assert reading.value == 0.5
    assert reading.p_value is not None
    assert reading.p_value < 0.01
    assert "3 of 6 long streams through" in reading.summary
    assert "6 of 6 came whole" in reading.summary
    assert [hop["cut"] for hop in reading.details["hops"].values()] == [3, 0]


async def test_streams_cut_on_both_ways_are_told_as_such(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, cut)
    stage.company.play("acme", CHAT, cut)
    reading = await stage.ask(StreamCanary())

    assert reading.outcome == "truncated"
    assert "too (6 of 6)" in reading.summary


async def test_a_single_cut_stream_asks_for_more_and_is_chance(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, every(18, cut, streamed))
    reading = await stage.ask(StreamCanary(), params={"n": 6})

    assert reading.outcome == "ok"
    stage.company.play("gateway", CHAT, every(5, cut, streamed))
    doubted = await stage.ask(StreamCanary(), params={"n": 6})
    assert doubted.n > 6
    assert doubted.outcome == "truncated"


async def test_the_record_decides_what_is_ordinary(stage: Stage) -> None:
    stage.baselines.series["stream_canary.whole:support"] = [1.0, 0.0] * 100
    stage.company.play("gateway", CHAT, every(2, cut, streamed))
    reading = await stage.ask(StreamCanary())

    assert reading.outcome == "ok"
    assert (reading.baseline, reading.baseline_n) == (0.5, 200)


async def test_a_connection_that_closes_before_the_body_ends_is_a_cut_stream(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, streamed)
    stage.company.failing[(await _gateway_target(stage))] = "read"
    reading = await stage.ask(StreamCanary())

    assert reading.outcome == "truncated"
    assert reading.value == 1.0


async def test_streams_that_come_all_at_once_are_buffered(stage: Stage) -> None:
    def held(asked: Asked) -> Served:
        whole = streamed(asked)
        return Served(body=whole.body, content_type=whole.content_type, first_byte_s=1.59, elapsed_s=1.6)

    stage.company.play("gateway", CHAT, held)
    reading = await stage.ask(StreamCanary())

    assert reading.outcome == "buffered"


async def test_streams_that_never_begin_are_an_error_and_no_cut(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, error(503, "service_unavailable_error", "server_is_overloaded"))
    reading = await stage.ask(StreamCanary())

    assert reading.outcome == "error"
    assert "6 of 6 streams through" in reading.summary


async def _gateway_target(stage: Stage) -> str:
    context = stage.context()
    gateway = context.catalogue.gateway(context.service.gateway or "")
    assert gateway is not None
    return gateway.target


# --- P20 ---------------------------------------------------------------------------------------------------------


def caching(share: float, *, then: float | None = None) -> World:
    """1,150 prompt tokens of 250 calls a minute, of which this share is cached; another one from 20 min ago."""
    world = healthy()
    tokens = 1150 * 250
    world.counter(CACHED, step(share * tokens, (share if then is None else then) * tokens, at=-20))
    return world


async def test_a_prompt_cache_as_usual_is_ok() -> None:
    reading = await look(PromptCache(), caching(0.55))

    assert reading.outcome == "ok"
    assert reading.value == pytest.approx(0.55, abs=0.01)


async def test_a_lost_prompt_cache_is_told_with_what_is_usual() -> None:
    reading = await look(PromptCache(), caching(0.55, then=0.02))

    assert reading.outcome == "cached_ratio_down"
    assert reading.summary.startswith("2.0 % of prompt tokens come from the provider's cache; normally 55.0 %")
    assert reading.baseline == pytest.approx(0.55, abs=0.01)


async def test_a_smaller_share_that_is_more_than_half_is_ok() -> None:
    assert (await look(PromptCache(), caching(0.6, then=0.4))).outcome == "ok"


async def test_a_service_without_a_cache_has_none_to_lose() -> None:
    assert (await look(PromptCache(), caching(0.02, then=0.0))).outcome == "ok"


async def test_nobody_who_counts_is_no_health() -> None:
    assert (await look(PromptCache(), healthy())).outcome == "inconclusive"


# --- P19: attempts that failures do not explain ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempts", "failing", "expected"),
    [(3.6, 1.0, True), (3.0, 0.05, True), (2.6, 0.9, False), (3.0, 1.0, False), (1.9, 0.0, False)],
)
def test_attempts_beyond_what_failures_explain_are_amplified(attempts: float, failing: float, expected: bool) -> None:
    assert amplified(attempts, failing) is expected


async def test_three_attempts_of_calls_that_succeed_are_an_amplification() -> None:
    world = healthy()
    world.drop("app_llm_attempts_total")
    for tenant, share in (("northwind", 0.5), ("globex", 0.5)):
        world.counter("app_llm_attempts_total", step(251 * share, 750 * share, at=-20), tenant=tenant)

    assert (await look(DemandProfile(), world)).outcome == "retry_amplification"
