"""The world's model: same seed, same bytes; no order of asking changes anything; its past is an ordinary day."""

import asyncio

import numpy as np
import pytest

from config.catalogue import Catalogue
from diagnostics.golden import parse as parse_golden
from drills.company import APPS, BY_NAME, INDEX_OF, MODEL_OF_PROVIDER, PROVIDERS
from drills.draws import poisson, uniform
from drills.golden import SETS, items
from drills.referee import make_world
from drills.scenarios import SCENARIOS, build
from drills.score import is_good
from drills.world import World
from tests.world_fakes import START, chat, read_only, running


def test_draws_belong_to_their_key() -> None:
    assert uniform(1, "a", 2) == uniform(1, "a", 2)
    assert len({uniform(seed, name, key) for seed in (1, 2) for name in "ab" for key in (1, 2)}) == 8


@pytest.mark.parametrize("mean", [0.0, 0.02, 0.7, 8.0, 29.0, 31.0, 4000.0])
def test_counts_are_poisson(mean: float) -> None:
    uniforms = np.random.default_rng(5).random(40_000)
    counts = poisson(uniforms, np.full(40_000, mean))
    assert counts.mean() == pytest.approx(mean, abs=0.03 + mean * 0.01)
    assert counts.var() == pytest.approx(mean, abs=0.05 + mean * 0.04)


def test_a_higher_rate_never_gives_fewer_of_the_same_draw() -> None:
    uniforms = np.random.default_rng(5).random(2000)
    low, high = poisson(uniforms, np.full(2000, 5.0)), poisson(uniforms, np.full(2000, 9.0))
    assert (high >= low).all()


def test_the_same_seed_gives_the_same_bytes() -> None:
    one, two = (World(build("S01", 3, START), 3) for _ in range(2))
    for world in (one, two):
        world.advance(START + 600)
    assert one.store.rows[: len(one.store.seen())].tobytes() == two.store.rows[: len(two.store.seen())].tobytes()


def test_another_seed_gives_another_world() -> None:
    one, two = read_only("S01")[0], make_world("S01", 5, START)
    assert one.scenario.onset != two.scenario.onset or one.scenario.figures != two.scenario.figures


@pytest.mark.parametrize("name", ["S01", "S04", "S14", "S20", "M41"])
def test_who_asks_when_changes_nothing(name: str) -> None:
    patient, curious = read_only(name)[0].twin(), read_only(name)[0].twin()
    for second in range(0, 600, 7):
        curious.moment(START + second)
    patient.advance(START + 600)
    curious.advance(START + 600)
    rows = len(patient.store.seen())
    assert patient.store.rows[:rows].tobytes() == curious.store.rows[:rows].tobytes()


def test_asking_for_the_past_does_not_move_the_world() -> None:
    world = read_only("N33")[0].twin()
    world.advance(START + 100)
    reached = world.reached
    world.advance(START - 1000)
    assert world.reached == reached


def test_a_world_is_born_with_26_hours_of_past() -> None:
    world, _ = read_only("S01")
    times = world.store.seen()
    assert START - times[0] > 26 * 3600
    assert np.diff(times)[-20:].tolist() == [15.0] * 20


def test_activity_follows_the_day() -> None:
    world, _ = read_only("S01")
    starts, served = world.ledger.series(INDEX_OF["chat-assistant"], "served")
    hours = (starts / 3600.0) % 24.0
    night = served[(hours > 3) & (hours < 5)].mean()
    assert night < 0.7 * served[(hours > 15) & (hours < 17)].mean()


def test_before_the_fault_a_world_is_as_without_it() -> None:
    world, healthy = read_only("S01")
    number = int(np.searchsorted(world.store.seen(), world.scenario.onset))
    assert world.store.rows[:number].tobytes() == healthy.store.rows[:number].tobytes()


async def test_replies_do_not_depend_on_the_order_of_asking() -> None:
    questions = [chat("acme-large", f"Canary {n}: reply with the one word pong.") for n in range(12)]
    seen = []
    for order in (questions, questions[::-1]):
        async with running() as client:
            await client.make("S01", 2)
            found = {}
            for question in order:
                reply = await client.send("POST", "/providers/acme-openai/v1/chat/completions", question)
                found[question["messages"][0]["content"]] = (
                    reply.status,
                    reply.headers["x-sim-elapsed"],
                    await reply.text(),
                )
            seen.append(found)
    assert seen[0] == seen[1]


async def test_real_and_virtual_time_agree() -> None:
    now = START
    async with running() as client:
        await client.make("S06", 2)
        client.now = START + 20.0
        virtual = await client.send("POST", "/providers/acme-openai/v1/chat/completions", chat("acme-large", "hello"))
        by_type = "sum by (error_type) (gen_ai_client_operation_duration_seconds_count)"
        counted = await client.query(by_type)
        told = await virtual.json()
    async with running() as client:
        await client.make("S06", 2, mode="real")
        real = await client.send("POST", "/providers/acme-openai/v1/chat/completions", chat("acme-large", "hello"))
        assert await real.json() == told
        assert real.status == virtual.status == 429
        assert "x-sim-elapsed" not in real.headers
        client.now = now
        early = await client.query(by_type)
    # The wall clock stands a moment after the start there, and twenty seconds after it here.
    assert early.keys() == counted.keys()
    assert all(early[key] <= counted[key] for key in early)


async def test_in_real_time_a_reply_takes_as_long_as_it_says_and_streams() -> None:
    async with running() as client:
        await client.make("N34", 1, mode="real")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        reply = await client.send("POST", "/providers/acme-openai/v1/chat/completions",
                                  chat("acme-large", "reply with the one word pong", stream=True))  # fmt: skip
        assert reply.status == 200
        assert loop.time() - begun > 0.05
        assert (await reply.text()).endswith("data: [DONE]\n\n")


# --- what it shares with the rest of the project -------------------------------------------------------------------


def test_the_company_is_the_example_catalogue(catalogue: Catalogue) -> None:
    for service in catalogue.services:
        app = BY_NAME[service.name]
        assert app.pagerduty in service.pagerduty_services
        assert (app.route, app.kind, app.model) == (service.route, service.kind, service.model)
        assert (app.fallback or None, app.prompt, app.index or None) == (
            service.fallback_model, service.prompt, service.index,
        )  # fmt: skip
    assert {app.name for app in APPS} == {service.name for service in catalogue.services}
    for provider in catalogue.providers:
        assert provider.name in PROVIDERS
        assert set(provider.models) <= set(MODEL_OF_PROVIDER[provider.name])


@pytest.mark.parametrize("name", SETS)
def test_the_golden_sets_on_file_are_the_formulas(name: str) -> None:
    from tests.conftest import ROOT

    text = (ROOT / "config" / "example" / "golden" / f"{name}.jsonl").read_text("utf-8")
    assert text == "".join(item.line() + "\n" for item in items(name))
    golden = parse_golden(text, f"{name}.jsonl")
    assert len(golden.items) == 60
    for item, known in zip(golden.items, items(name), strict=True):
        assert item.failed_checks(known.right) == ()
        assert item.failed_checks(known.wrong) != ()


@pytest.mark.parametrize("name", SCENARIOS)
def test_sampled_parameters_stay_in_their_brackets(name: str) -> None:
    brackets = {
        "S01": {"share": (0.3, 1.0), "minutes": (20, 120)}, "N39": {"share": (0.3, 1.0)},
        "S03": {"factor": (2.0, 6.0)}, "S04": {"over": (1.0, 1.4)}, "S10": {"share": (0.3, 1.0)},
        "S14": {"logits": (0.3, 1.2), "share": (0.2, 1.0)}, "S15": {"logits": (0.4, 1.5)},
        "S22": {"hours": (6.0, 72.0)},
    }  # fmt: skip
    for seed in range(20):
        scenario = build(name, seed, START)
        assert scenario.page_at > scenario.onset
        assert scenario.page_at >= scenario.started_at == START
        for figure, (low, high) in brackets.get(name, {}).items():
            assert low <= scenario.figures[figure] <= high
        assert not any(is_good(scenario, {"action": action, "params": {}}) for action in scenario.tempting)
