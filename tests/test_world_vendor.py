"""Further faults at the providers: what users feel, what ends them, and what a request or a probe meets."""

from collections import Counter

import pytest

from drills.company import BY_NAME
from drills.scenarios import build
from drills.scenarios_vendor import VENDOR
from tests.test_world_scenarios import CLAMP, OLDER, PIN, Act, run, shift
from tests.world_fakes import START, Client, chat, fine_before_and_at_the_page, running

MODELS = "/providers/acme-openai/v1/models"


@pytest.mark.parametrize("name", VENDOR)
def test_users_feel_the_fault_when_the_page_comes_and_not_before(name: str) -> None:
    before, now = fine_before_and_at_the_page(name)

    assert not now
    assert before > 0.9


RIGHT = [("S02", shift()), ("S07", shift()), ("S08", shift()), ("S08", PIN)]


@pytest.mark.parametrize(("name", "act"), RIGHT, ids=[f"{name}-{act.action}" for name, act in RIGHT])
def test_the_right_action_restores_what_users_get(name: str, act: Act) -> None:
    scored = run(name, act)

    assert scored["mitigation_success"], scored
    assert not scored["wrong_action_proposed"]
    assert scored["unsafe"] == []
    assert 0 < scored["ttm_s"] < 420


WRONG = [("S02", PIN), ("S07", PIN), ("S07", CLAMP), ("S08", CLAMP), ("S08", OLDER)]


@pytest.mark.parametrize(("name", "act"), WRONG, ids=[f"{name}-{act.action}" for name, act in WRONG])
def test_a_wrong_action_restores_nothing(name: str, act: Act) -> None:
    assert not run(name, act)["mitigation_success"]


async def asked(client: Client, model: str, times: int = 30) -> Counter[int]:
    path = "/providers/acme-openai/v1/chat/completions"
    return Counter([(await client.send("POST", path, chat(model, f"c{n}"))).status for n in range(times)])


async def errors(client: Client, service: str) -> dict[str, float]:
    metric = f'gen_ai_client_operation_duration_seconds_count{{service="{service}"}}'
    return await client.query(f"sum by (error_type) (increase({metric}[2m]))")


async def test_only_the_overloaded_model_refuses() -> None:
    async with running() as client:
        born = await client.make("S02", 2)
        large, small = await asked(client, "acme-large"), await asked(client, "acme-small")
        counted = await errors(client, born["service"])
    share = build("S02", 2, START).figures["share"]
    assert abs(large[503] / 30 - share) < 0.3
    assert small[503] <= 1
    assert counted["error_type=503"] > 5


async def test_a_revoked_key_is_refused_by_every_call_that_carries_it() -> None:
    async with running() as client:
        born = await client.make("S07", 2)
        large, small = await asked(client, "acme-large"), await asked(client, "acme-small")
        listed = Counter([(await client.send("GET", MODELS)).status for _ in range(30)])
        counted = await errors(client, born["service"])
    share = build("S07", 2, START).figures["share"]
    assert all(abs(seen[401] / 30 - share) < 0.3 for seen in (large, small, listed))
    assert counted["error_type=401"] > 5


async def test_a_retired_alias_is_unknown_and_its_snapshot_answers() -> None:
    async with running() as client:
        born = await client.make("S08", 2)
        alias, snapshot = await asked(client, "acme-large", 5), await asked(client, "acme-large-2026-08-01", 5)
        listed = {entry["id"] for entry in (await client.get(MODELS))["data"]}
        one = await client.send("GET", f"{MODELS}/acme-large")
        through = await client.send("POST", "/gateway/v1/chat/completions", chat(BY_NAME[born["service"]].route, "hi"))
        counted = await errors(client, born["service"])
    assert alias == Counter({404: 5})
    assert snapshot[404] == 0
    assert "acme-large" not in listed
    assert "acme-large-2026-08-01" in listed
    assert one.status == 404
    assert through.status == 404
    assert counted["error_type=404"] > 5
