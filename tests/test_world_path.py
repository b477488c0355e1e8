"""Faults on the way between users and providers: what users feel, what ends them, and what a request meets."""

import json
from typing import Any

import aiohttp
import pytest

from drills import noise, pages, score
from drills.company import BY_NAME
from drills.scenarios import build, every
from drills.scenarios_path import PATH_SCENARIOS
from tests.test_world_scenarios import Act, run
from tests.world_fakes import START, Client, chat, fine_before_and_at_the_page, read_only, running

TO_BETA = {"weights": {"acme-openai": 0, "beta-anthropic": 100}}
SHIFT = Act("gateway/routes/{route}", TO_BETA, "shift_traffic", {"from": "acme-openai", "to": "beta-anthropic"})
RELEASE = Act("gateway/release", {"release": "gw-47"}, "rollback_release", {})
WORKERS = Act("gateway/workers", {"count": 8}, "scale_gateway", {"workers": 8})
MORE = Act("gateway/workers", {"count": 12}, "scale_gateway", {"workers": 12})
SHED = Act("gateway/classes/{route}/batch", {"admit_percent": 0}, "shed_traffic", {})
CLAMP = Act("gateway/retries", {"max_retries": 1}, "clamp_retries", {})
PARAMS = Act("gateway/params/{route}", {"revision": "r17"}, "rollback_model_config", {})
CONTEXT = Act("gateway/caps/{route}", {"max_context": 8000}, "cap_generation", {})
PROMPT = Act("prompts/{prompt}", {"aliases": {"production": 12}}, "rollback_prompt", {})


def named(act: Act, name: str) -> Act:
    """With the prompt of the scenario's service."""
    app = BY_NAME[build(name, 2, START).service]
    return Act(act.path.replace("{prompt}", app.prompt or "chat"), act.body, act.action, act.params)


@pytest.mark.parametrize("name", PATH_SCENARIOS)
def test_users_feel_the_fault_when_the_page_comes_and_not_before(name: str) -> None:
    before, now = fine_before_and_at_the_page(name)

    assert not now
    assert before > 0.9


RIGHT = [
    ("S05", SHIFT), ("S09", RELEASE), ("S11", WORKERS), ("S12", RELEASE), ("S13", CLAMP), ("S17", CONTEXT),
    ("S18", PARAMS), ("T29", PROMPT), ("T33", RELEASE), ("F32", MORE), ("F32", SHED),
]  # fmt: skip


@pytest.mark.parametrize(("name", "act"), RIGHT, ids=[f"{name}-{act.action}" for name, act in RIGHT])
def test_the_right_action_restores_what_users_get(name: str, act: Act) -> None:
    scored = run(name, named(act, name))

    assert scored["mitigation_success"], scored
    assert not scored["wrong_action_proposed"]
    assert scored["unsafe"] == []
    assert 0 < scored["ttm_s"] < 420


WRONG = [
    ("F32", SHIFT), ("F32", CLAMP), ("S09", SHIFT), ("S11", SHIFT), ("S12", PARAMS), ("S13", WORKERS), ("S18", SHIFT),
    ("T33", CLAMP),
]  # fmt: skip


@pytest.mark.parametrize(("name", "act"), WRONG, ids=[f"{name}-{act.action}" for name, act in WRONG])
def test_the_tempting_action_restores_nothing(name: str, act: Act) -> None:
    born = read_only(name, 2)[0]
    body = dict(act.body)
    if act is PARAMS:
        body = {"revision": "r16", "model": "acme-large-2026-08-01"}
    if act is WORKERS:
        body = {"count": 16}
    assert born.scenario.id == name

    scored = run(name, Act(act.path, body, act.action, act.params))

    assert not scored["mitigation_success"]
    assert scored["wrong_action_proposed"]


@pytest.mark.parametrize("name", PATH_SCENARIOS)
def test_pages_tell_symptoms_and_never_the_cause(name: str) -> None:
    assert len(pages.texts()[name]) >= 3
    for seed in range(1, 7):
        scenario = build(name, seed, START)
        page = pages.page(seed, scenario, failed=0.1)["event"]["data"]
        told = f"{page['title']} {page['body']['details']}".casefold()
        assert not any(mode in told or mode.replace("-", " ") in told for mode in scenario.truth)


@pytest.mark.parametrize("name", PATH_SCENARIOS)
def test_the_change_behind_it_is_in_the_change_log_where_there_is_one(name: str) -> None:
    scenario = build(name, 2, START)
    found = noise.changes(2, scenario)

    assert set(scenario.changes) <= set(found)
    assert all(change.at <= scenario.onset for change in scenario.changes)


def test_every_scenario_has_an_id_of_its_own() -> None:
    assert set(PATH_SCENARIOS) < set(every())


# --- What a request meets ----------------------------------------------------------------------------------------


async def many(client: Client, route: str, count: int = 12, **more: Any) -> list[aiohttp.ClientResponse]:
    """Distinct questions to a route."""
    path = "/gateway/v1/chat/completions"
    return [await client.send("POST", path, chat(route, f"question {n}", **more)) for n in range(count)]


async def scene(client: Client, name: str) -> str:
    """The route of the scenario's service, at the page."""
    born = await client.make(name, 2)
    return BY_NAME[born["service"]].route


async def test_a_capacity_cut_refuses_with_ample_room_and_tells_a_smaller_limit() -> None:
    async with running() as client:
        await scene(client, "S05")
        path = "/providers/acme-openai/v1/chat/completions"
        replies = [await client.send("POST", path, chat("acme-large", f"c{n}")) for n in range(20)]
        refused = [reply for reply in replies if reply.status == 429]
        body = await refused[0].json()
    assert 3 <= len(refused) <= 18
    assert body["error"]["code"] == "slow_down"
    assert int(refused[0].headers["x-ratelimit-limit-tokens"]) < 0.85 * 2_000_000
    left = int(refused[0].headers["x-ratelimit-remaining-tokens"])
    assert left > 0.2 * int(refused[0].headers["x-ratelimit-limit-tokens"])


async def test_a_broken_contract_names_the_parameter_and_ends_with_the_release() -> None:
    async with running() as client:
        route = await scene(client, "S09")
        replies = await many(client, route)
        refused = next(reply for reply in replies if reply.status == 400)
        body = await refused.json()
        document = await client.get("/gateway/admin/release")
        change = {"release": "gw-47"}
        put = await client.send("PUT", "/gateway/admin/release", change, {"if-match": str(document["version"])})
        after = await many(client, route)
    assert body["error"]["param"] == "max_tokens"
    assert body["error"]["code"] == "unsupported_parameter"
    assert document["release"] == "gw-48"
    assert [entry["release"] for entry in document["history"]] == ["gw-46", "gw-47", "gw-48"]
    assert put.status == 200
    assert {reply.status for reply in after} == {200}


async def test_without_workers_the_gateway_waits_and_the_provider_does_not() -> None:
    async with running() as client:
        route = await scene(client, "S11")
        through = [float(reply.headers["x-sim-elapsed"]) for reply in await many(client, route) if reply.status == 200]
        path = "/providers/acme-openai/v1/chat/completions"
        direct = [
            float((await client.send("POST", path, chat("acme-large", f"c{n}"))).headers["x-sim-elapsed"])
            for n in range(10)
        ]
    assert sorted(through)[len(through) // 2] > 2 * sorted(direct)[5]


async def test_astray_answers_say_which_model_they_are_from() -> None:
    async with running() as client:
        route = await scene(client, "S12")
        replies = await many(client, route)
        models = [(await reply.json())["model"] for reply in replies]
        fallbacks = [reply.headers["x-litellm-attempted-fallbacks"] for reply in replies]
    assert "acme-small" in models
    assert [model == "acme-small" for model in models] == [count == "1" for count in fallbacks]


@pytest.mark.parametrize(("path", "version"), [("gateway/retries", "4"), ("gateway/retries/acme-large", "1")])
async def test_a_storm_fills_the_limit_until_retries_are_clamped(path: str, version: str) -> None:
    world = read_only("S13", 2)[0].twin()
    at = world.scenario.page_at
    stormy = world.moment(at)
    world.put(path, {"max_retries": 1}, version, at=at)
    calm = world.moment(at + 30.0)

    assert stormy.util_of("acme-large") > 0.9
    assert calm.util_of("acme-large") < 0.6


def test_clamping_the_model_of_the_storm_costs_the_users_of_other_models_nothing() -> None:
    lost = []
    for path, version in (("gateway/retries", "4"), ("gateway/retries/acme-large", "1")):
        born, unharmed = read_only("S13", 2)
        world, shadow = born.twin(), born.twin()
        world.put(path, {"max_retries": 0}, version, at=world.scenario.page_at)
        for one in (world, shadow):
            one.advance(world.scenario.page_at + 1200)
        lost.append(score.harm(world, shadow, unharmed.twin())["collateral"])
    assert lost[0] > 0
    assert lost[1] == 0


async def test_long_streams_are_cut_and_short_ones_are_not() -> None:
    async with running() as client:
        route = await scene(client, "T33")
        long = await many(client, route, 1)
        count = "count from 1 to 120 in digits"
        path = "/gateway/v1/chat/completions"
        asked = [chat(route, f"{n}: {count}", stream=True) | {"max_tokens": 600} for n in range(12)]
        texts = [await (await client.send("POST", path, body)).text() for body in asked]
        word = chat(route, "reply with the one word pong", stream=True)
        short = await (await client.send("POST", path, word)).text()
    assert long[0].status == 200
    assert "[DONE]" in short
    cut = [text for text in texts if "[DONE]" not in text]
    assert len(cut) >= 3
    assert all(0 < text.count("data: ") < 100 for text in cut)


async def test_in_real_time_a_cut_stream_closes_the_connection() -> None:
    async with running() as client:
        born = await client.make("T33", 2, mode="real")
        route = BY_NAME[born["service"]].route
        broken = 0
        for n in range(8):
            body = chat(route, f"{n}: count from 1 to 120 in digits", stream=True) | {"max_tokens": 600}
            try:
                await (await client.send("POST", "/gateway/v1/chat/completions", body)).text()
            except aiohttp.ClientPayloadError:
                broken += 1
                break
    assert broken == 1


async def test_a_loose_schema_renames_a_field_until_the_parameters_are_back() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "country": {"type": "string"}}}
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    async with running() as client:
        route = await scene(client, "S18")
        replies = await many(client, route, 60, response_format=shape)
        answers = [json.loads((await reply.json())["choices"][0]["message"]["content"]) for reply in replies]
    renamed = [answer for answer in answers if "city_name" in answer]
    assert 1 <= len(renamed) <= 30


async def test_a_cold_prefix_is_seen_in_the_counters() -> None:
    async with running() as client:
        born = await client.make("T29", 2)
        label = f'service="{born["service"]}"'
        cached = await client.query(f"sum(increase(litellm_input_cached_tokens_metric_total{{{label}}}[5m]))")
        tokens = f'gen_ai_client_token_usage_sum{{{label},gen_ai_token_type="input"}}'
        asked = await client.query(f"sum(increase({tokens}[5m]))")
    assert cached[""] < 0.2 * asked[""]
