"""P22 on a real socket: what the replicas of a self-hosted engine tell, and what follows from it."""

from collections.abc import Mapping

import pytest

from diagnostics.model import Reading
from diagnostics.probes.engine import EngineHealth, EngineParams
from tests.metrics_fakes import Curve, World, ends, look, steady, step

PODS = ("coder-0", "coder-1", "coder-2", "coder-3")
FIRST = "vllm:time_to_first_token_seconds"
BOUNDS = ("0.1", "0.25", "1", "10", "+Inf")
QUICK = {"0.1": 0.4, "0.25": 0.96, "1": 1.0, "10": 1.0, "+Inf": 1.0}
LATE = {"0.1": 0.0, "0.25": 0.0, "1": 0.05, "10": 0.9, "+Inf": 1.0}


def scaled(curve: Curve, by: float) -> Curve:
    def value(minute: float) -> float | None:
        known = curve(minute)
        return None if known is None else known * by

    return value


def engine(rate: float = 20.0, pods: tuple[str, ...] = PODS, *, waiting: Curve | float = 0.0,
           cache: Curve | float = 0.35, preempted: Curve | float = 0.0) -> World:  # fmt: skip
    """An engine on an ordinary day, or full."""
    world = World()
    for pod in pods:
        replica(world, pod, answered=steady(rate))
        world.gauge("vllm:num_requests_waiting", waiting, **scraped(pod))
        world.gauge("vllm:kv_cache_usage_perc", cache, **scraped(pod))
        world.counter("vllm:num_preemptions_total", preempted, **scraped(pod))
    return world


def scraped(pod: str) -> dict[str, str]:
    return {"service": "", "job": "own-coder", "pod": pod}


def replica(world: World, pod: str, *, answered: Curve, failed: Curve | float = 0.0, corrupted: Curve | float = 0.0,
            shape: Mapping[str, float] = QUICK, started: Curve | float = 1.7e9, up: Curve | float = 1.0
            ) -> None:  # fmt: skip
    """One replica's series, instead of those that it had."""
    for name, known in world.series.items():
        if name not in ("vllm:num_requests_waiting", "vllm:kv_cache_usage_perc", "vllm:num_preemptions_total"):
            world.series[name] = [one for one in known if one.labels.get("pod") != pod]
    world.counter("http_requests_total", answered, status="2xx", **scraped(pod))
    world.counter("http_requests_total", failed, status="5xx", **scraped(pod))
    world.counter("vllm:corrupted_requests_total", corrupted, **scraped(pod))
    for bound in BOUNDS:
        world.counter(f"{FIRST}_bucket", scaled(answered, shape[bound]), le=bound, **scraped(pod))
    world.gauge("process_start_time_seconds", started, **scraped(pod))
    world.gauge("up", up, **scraped(pod))


async def ask(world: World) -> Reading:
    return await look(EngineHealth(), world, service="code-assistant", params=EngineParams())


async def test_an_engine_whose_replicas_do_alike_is_ok_and_says_how_much_it_could_have_seen() -> None:
    reading = await ask(engine())

    assert reading.outcome == "ok"
    assert "4 of 4 replicas served 400 requests" in reading.summary
    assert reading.power is not None
    assert reading.power > 0.9
    assert any("http_requests_total" in evidence.source for evidence in reading.evidence)


async def test_a_replica_that_fails_is_named_and_tested_against_its_peers() -> None:
    world = engine()
    replica(world, "coder-2", answered=step(20, 8), failed=step(0, 12))
    reading = await ask(world)

    assert reading.outcome == "bad_replica"
    assert reading.details["replica"] == "coder-2"
    assert reading.value == pytest.approx(0.6, abs=0.01)
    assert reading.baseline == 0.0
    assert reading.p_value is not None
    assert reading.p_value < 1e-9
    assert "coder-2 fails 60.0 % of its requests, its peers 0 %" in reading.summary


async def test_what_all_replicas_fail_alike_is_no_bad_replica() -> None:
    world = engine()
    for pod in PODS:
        replica(world, pod, answered=step(20, 10), failed=step(0, 10))

    assert (await ask(world)).outcome == "ok"


async def test_what_may_be_chance_or_is_too_little_to_matter_is_no_bad_replica() -> None:
    world = engine()
    replica(world, "coder-2", answered=steady(19.6), failed=steady(0.4))
    assert (await ask(world)).outcome == "ok"

    busy = engine(rate=4000)
    replica(busy, "coder-2", answered=steady(3900), failed=steady(100))
    assert (await ask(busy)).outcome == "ok"


async def test_too_few_requests_are_inconclusive_and_never_ok() -> None:
    reading = await ask(engine(rate=0.6))

    assert reading.outcome == "inconclusive"
    assert reading.power is not None
    assert reading.power < 0.5
    assert "too few" in reading.summary


async def test_no_series_at_all_are_inconclusive() -> None:
    reading = await ask(World())

    assert reading.outcome == "inconclusive"
    assert "no replica" in reading.summary


async def test_a_garbling_replica_is_corrupted_even_where_it_answers_200() -> None:
    world = engine()
    # Extrapolation may count more garbled answers than answers.
    replica(world, "coder-1", answered=steady(20), corrupted=step(0, 20.4))
    reading = await ask(world)

    assert reading.outcome == "corrupted"
    assert reading.details["replica"] == "coder-1"
    assert reading.value == 1.0


async def test_garbled_answers_of_all_replicas_are_told_from_the_hour_before() -> None:
    world = engine()
    for pod in PODS:
        replica(world, pod, answered=steady(20), corrupted=step(0, 4))
    reading = await ask(world)

    assert reading.outcome == "corrupted"
    assert "on all replicas alike" in reading.summary
    assert "replica" not in reading.details


async def test_a_replica_that_starts_again_and_again_is_bad_and_one_release_is_not() -> None:
    world = engine()
    replica(world, "coder-3", answered=steady(12), started=lambda minute: 1.7e9 + 60 * (minute // 1.6))
    reading = await ask(world)
    assert reading.outcome == "bad_replica"
    assert "coder-3 has started" in reading.summary
    assert reading.p_value is None

    replica(world, "coder-3", answered=steady(20), started=step(1.7e9, 1.8e9, at=-2))
    assert (await ask(world)).outcome == "ok"


async def test_a_replica_that_answers_late_is_bad_and_named() -> None:
    world = engine()
    replica(world, "coder-0", answered=steady(20), shape=LATE)
    reading = await ask(world)

    assert reading.outcome == "bad_replica"
    assert reading.details["replica"] == "coder-0"
    assert "later than" in reading.summary


async def test_a_queue_that_stays_beside_a_full_cache_is_saturated() -> None:
    world = engine(waiting=step(0, 3, at=-10), cache=step(0.4, 0.97, at=-10), preempted=step(0, 4, at=-10))
    reading = await ask(world)

    assert reading.outcome == "saturated"
    assert "12 requests wait all the time" in reading.summary
    assert "97.0 % full" in reading.summary
    assert "preempted" in reading.summary
    assert reading.value == 0.97


async def test_a_queue_beside_an_empty_cache_is_saturated_only_if_answers_come_late() -> None:
    assert (await ask(engine(waiting=step(0, 3, at=-10)))).outcome == "ok"

    world = engine(waiting=step(0, 3, at=-10))
    for pod in PODS:
        before = {bound: step(20 * QUICK[bound], 20 * LATE[bound], at=-10) for bound in BOUNDS}
        world.series[f"{FIRST}_bucket"] = [s for s in world.series[f"{FIRST}_bucket"] if s.labels["pod"] != pod]
        for bound, curve in before.items():
            world.counter(f"{FIRST}_bucket", curve, le=bound, **scraped(pod))
    reading = await ask(world)

    assert reading.outcome == "saturated"
    assert "begin later than usual" in reading.summary


async def test_a_queue_of_a_moment_and_a_full_cache_without_a_queue_are_ok() -> None:
    assert (await ask(engine(waiting=step(0, 9, at=-3, until=-1), cache=0.97))).outcome == "ok"
    assert (await ask(engine(cache=0.99))).outcome == "ok"


async def test_a_drained_replica_is_looked_at_no_more() -> None:
    world = engine()
    replica(world, "coder-2", answered=step(20, 0, at=-1.5), failed=step(0, 12, at=-6, until=-1.5))
    reading = await ask(world)

    assert reading.outcome == "ok"
    assert "3 of 4 replicas" in reading.summary
    assert reading.details["replicas"]["coder-2"]["serving"] is False


async def test_an_engine_of_which_nothing_answers_is_down() -> None:
    world = engine()
    for pod in PODS:
        replica(world, pod, answered=ends(20, at=-2), up=step(1, 0, at=-2))
    reading = await ask(world)

    assert reading.outcome == "down"
    assert "None of 4 replicas" in reading.summary


async def test_a_service_without_an_engine_has_nothing_to_look_at() -> None:
    with pytest.raises(LookupError, match="declare it under 'engines'"):
        await look(EngineHealth(), World())
