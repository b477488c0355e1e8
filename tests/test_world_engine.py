"""The company's own engine in the simulated world: what users feel, what ends it, and what its surface tells."""

import pytest

from drills import noise, pages
from drills.engine_state import MODEL
from drills.scenarios import build, every
from drills.scenarios_engine import ENGINE_SCENARIOS
from tests.test_world_scenarios import Act, run
from tests.world_fakes import START, chat, fine_before_and_at_the_page, running

SHED = Act("gateway/classes/code/batch", {"admit_percent": 0}, "shed_traffic", {})
GROW = Act("engine/scale", {"replicas": 6}, "scale_engine", {"replicas": 6})
SHIFT = Act(
    "gateway/routes/code", {"weights": {"acme-openai": 0, "beta-anthropic": 100}}, "shift_traffic",
    {"from": "acme-openai", "to": "beta-anthropic"},
)  # fmt: skip
WORKERS = Act("gateway/workers", {"count": 16}, "scale_gateway", {"workers": 16})


def drain(seed: int, *, other: bool = False) -> Act:
    bad = int(build("F31", seed, START).figures["replica"])
    name = f"coder-{(bad + 1) % 4 if other else bad}"
    return Act(f"engine/replicas/{name}", {"drained": True}, "drain_replica", {"replica": name})


@pytest.mark.parametrize("name", ENGINE_SCENARIOS)
def test_users_feel_the_fault_when_the_page_comes_and_not_before(name: str) -> None:
    before, now = fine_before_and_at_the_page(name)

    assert not now
    assert before > 0.9


def test_shedding_for_the_engine_costs_the_other_routes_nothing() -> None:
    assert run("F30", SHED)["collateral"] == 0.0


@pytest.mark.parametrize(("name", "act"), [("F30", SHED), ("F30", GROW), ("F31", drain(2))])
def test_the_right_action_restores_what_users_get(name: str, act: Act) -> None:
    scored = run(name, act)

    assert scored["mitigation_success"], scored
    assert not scored["wrong_action_proposed"]
    assert scored["unsafe"] == []


@pytest.mark.parametrize(("name", "act"), [("F30", SHIFT), ("F30", WORKERS), ("F31", SHIFT), ("F31", GROW)])
def test_the_tempting_action_restores_nothing(name: str, act: Act) -> None:
    scored = run(name, act)

    assert not scored["mitigation_success"]
    assert scored["wrong_action_proposed"]


def test_draining_a_healthy_replica_restores_nothing() -> None:
    assert not run("F31", drain(2, other=True))["mitigation_success"]


@pytest.mark.parametrize("name", ENGINE_SCENARIOS)
def test_pages_tell_symptoms_and_the_change_behind_it_is_in_the_log(name: str) -> None:
    assert name in every()
    for seed in range(1, 7):
        scenario = build(name, seed, START)
        page = pages.page(seed, scenario, failed=0.1)["event"]["data"]
        told = f"{page['title']} {page['body']['details']}".casefold()
        assert not any(mode in told or mode.replace("-", " ") in told for mode in scenario.truth)
        assert set(scenario.changes) <= set(noise.changes(seed, scenario))


def test_seeds_bring_every_way_in_which_a_replica_is_bad() -> None:
    ways = {next(iter(build("F31", seed, START).faults[0].values.keys() - {"replica"})) for seed in range(1, 5)}

    assert ways == {"fails", "garbage", "crashes"}


async def test_the_engine_is_listed_scraped_and_steered_over_http() -> None:
    async with running() as client:
        born = await client.make("F31", 1)
        bad = f"coder-{int(build('F31', 1, born['started_at']).figures['replica'])}"
        listed = (await client.get("/engine/admin/replicas"))["replicas"]
        asked = 'sum by (pod,status)(increase(http_requests_total{job="own-coder"}[300s]))'
        reply = await client.send("GET", f"/prometheus/api/v1/query?query={asked}")
        counted = (await reply.json())["data"]["result"]
        path = f"/engine/admin/replicas/{bad}"
        document = await client.get(path)
        put = await client.send("PUT", path, {"drained": True}, {"if-match": str(document["version"])})
        assert client.now is not None
        client.now += 90
        after = (await client.get("/engine/admin/replicas"))["replicas"]
        wrong = await client.send("PUT", "/engine/admin/scale", {"replicas": 99}, {"if-match": "5"})
        missing = await client.send("GET", "/engine/replicas")

    shares = {one["id"]: one["error_share"] for one in listed}
    assert {one["model"] for one in listed} == {MODEL}
    assert max(shares, key=lambda name: shares[name]) == bad
    failed = {one["metric"]["pod"]: float(one["value"][1]) for one in counted if one["metric"]["status"] == "5xx"}
    assert max(failed, key=lambda name: failed[name]) == bad
    assert put.status == 200
    assert {one["id"]: one["requests_per_min"] for one in after}[bad] == 0.0
    assert wrong.status == 422
    assert missing.status == 404


async def test_a_full_engine_delays_its_service_and_neither_the_others_nor_the_provider() -> None:
    async def took(path: str, model: str) -> float:
        replies = [await client.send("POST", path, chat(model, f"question {n}")) for n in range(12)]
        times = sorted(float(reply.headers["x-sim-elapsed"]) for reply in replies if reply.status == 200)
        return times[len(times) // 2]

    async with running() as client:
        await client.make("F30", 2)
        own, other = (
            await took("/gateway/v1/chat/completions", "code"),
            await took("/gateway/v1/chat/completions", "chat"),
        )
        direct = await took("/providers/acme-openai/v1/chat/completions", "acme-large")

    assert own > 2.0
    assert own > 2 * other
    assert own > 2 * direct


async def test_garbled_answers_come_with_status_200() -> None:
    async with running() as client:
        await client.make("F31", 4)
        replies = [
            await client.send("POST", "/gateway/v1/chat/completions", chat("code", f"question {n}")) for n in range(60)
        ]
        texts = [(await reply.json())["choices"][0]["message"]["content"] for reply in replies if reply.status == 200]

    rubbish = [text for text in texts if set(text) == {"!"}]
    assert 2 <= len(rubbish) <= 30
