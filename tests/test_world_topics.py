"""Users turn to harder questions: fewer answers are good, on each topic as many as ever, and nothing is broken."""

import numpy as np
import pytest

from drills.columns import AT
from drills.company import INDEX_OF
from drills.faults import effects
from drills.injectors import injectors
from drills.prometheus import source_of
from drills.promql import parse
from drills.promql_eval import evaluate
from drills.referee import make_world
from drills.scenarios import build
from drills.store import Store
from drills.topics import HARD, TOPICAL, TOPICS, USUAL, USUAL_HARD, TopicState
from drills.world import World
from tests.world_fakes import START, Client, read_only, running

GRADED = "app_answers_graded_total"


def increase(world: World, query: str, at: float) -> dict[str, float]:
    found = evaluate(parse(query), source_of(world), np.array([at]))
    return {"/".join(value for _, value in labels): float(values[0]) for labels, values in found.items()}


def rates(world: World, at: float) -> tuple[dict[str, float], float]:
    """Share of good answers by topic, and over all, in the two hours before the onset or the twenty minutes before."""
    own = f'service="{world.scenario.service}"'
    window = 1200 if at > world.scenario.onset else 7200
    every = increase(world, f"sum by (topic) (increase({GRADED}{{{own}}}[{window}s]))", at)
    good = increase(world, f'sum by (topic) (increase({GRADED}{{{own},verdict="pass"}}[{window}s]))', at)
    return {topic: good[topic] / every[topic] for topic in every}, sum(good.values()) / sum(every.values())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_share_of_good_answers_falls_and_on_no_topic(seed: int) -> None:
    world = make_world("N38", seed, START)
    made = world.scenario
    world.advance(made.page_at)

    (before, raw_before), (now, raw_now) = rates(world, made.onset), rates(world, made.page_at)

    assert raw_before - raw_now > 0.06
    assert set(before) == set(now) == set(TOPICS)
    assert all(abs(before[topic] - now[topic]) < 0.045 for topic in TOPICS)


def test_it_is_nobodys_fault() -> None:
    world, healthy = (one.twin() for one in read_only("N38", 2))
    world.advance(world.scenario.page_at + 300.0)
    healthy.advance(world.reached)
    number = INDEX_OF[world.scenario.service]

    assert world.scenario.truth == ("no-fault",)
    assert not world.scenario.good
    assert "rollback_prompt" in world.scenario.tempting
    for name in ("quality", "errors", "ttft"):
        ours, theirs = (one.ledger.series(number, name)[1] for one in (world, healthy))
        assert np.allclose(ours, theirs)


def test_a_harmless_prompt_was_released_at_about_that_time() -> None:
    for seed in range(1, 5):
        made = build("N38", seed, START)
        (change,) = made.changes
        assert change.kind == "prompt"
        assert 0.0 <= made.onset - change.at <= 300.0
        assert all(effect == (0.0, 0.0) for versions in made.prompt_effects.values() for effect in versions.values())


def test_a_seed_is_the_same_to_the_byte_and_the_brackets_hold() -> None:
    one, two = (World(build("N38", 3, START), 3) for _ in range(2))
    bounds = injectors()["topic_mix"].parameters
    for seed in range(1, 5):
        for name, value in build("N38", seed, START).figures.items():
            assert bounds[name].low <= value <= bounds[name].high
    assert _bytes(one.store) == _bytes(two.store)


def test_the_mix_changes_nothing_else_that_is_counted() -> None:
    world, healthy = read_only("N38", 2)
    touched = {"graded", "quality", "reports"}
    for family, (start, shape) in AT.items():
        columns = slice(start, start + int(np.prod(shape)))
        ours, theirs = (one.store.rows[: len(one.store.seen()), columns] for one in (world, healthy))
        assert family in touched or np.array_equal(ours, theirs, equal_nan=True), family


def test_an_ordinary_day_has_the_usual_mix_and_changes_no_answer() -> None:
    state = TopicState.usual(3)
    good = np.full((3, len(state.gap)), 0.92)

    assert (state.harder() == 1.0).all()
    assert np.allclose(state.shares(), USUAL)
    assert np.allclose((state.shares() * state.ease()).sum(axis=2) * good, good)
    assert USUAL.sum() == pytest.approx(1.0)
    assert USUAL[HARD] == USUAL_HARD


def test_a_harder_mix_lowers_the_whole_by_what_its_topics_say() -> None:
    made = build("N38", 1, START)
    at = np.array([made.onset - 5.0, made.onset + 5.0])
    state = effects(1, made.faults, at).topics
    number = INDEX_OF[made.service]

    whole = (state.shares() * state.ease()).sum(axis=2)[:, number]

    assert np.allclose(state.shares().sum(axis=2), 1.0)
    assert whole[0] == pytest.approx(1.0)
    assert state.harder()[0, number] == 1.0
    assert whole[1] == pytest.approx(state.harder()[1, number], abs=0.005)


async def test_only_some_services_sort_their_questions() -> None:
    async with running() as client:
        await client.make("N38", 1)
        counted = {name: await _topics(client, name) for name in (*TOPICAL, "code-assistant")}
    assert all(counted[name] == set(TOPICS) for name in TOPICAL)
    assert not counted["code-assistant"]


async def _topics(client: Client, service: str) -> set[str]:
    found = await client.query(f'sum by (topic) (increase({GRADED}{{service="{service}"}}[10m]))')
    return {labels.partition("=")[2] for labels in found}


def _bytes(store: Store) -> bytes:
    return store.rows[: len(store.seen())].tobytes()
