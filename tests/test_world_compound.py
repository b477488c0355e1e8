"""Two faults at once, and what only looks like one: naming one of two is not enough, and a launch hurts nobody."""

import json

import pytest

from drills import pages, score
from drills.company import INDEX_OF
from drills.noise import unrelated
from drills.scenarios import HARMLESS, build, every
from drills.scenarios_compound import COMPOUND
from drills.world import World

START = 1_795_316_400.0
TWO = [name for name in COMPOUND if name.startswith("C") and name != "C31"]


@pytest.mark.parametrize("name", COMPOUND)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_seed_is_one_incident_with_a_page_and_parameters_in_their_brackets(name: str, seed: int) -> None:
    made = build(name, seed, START)

    assert made == build(name, seed, START)
    assert made.onset < made.page_at < made.ends
    assert made.faults
    assert not set(made.tempting) & {action for action, _ in made.good}
    event = pages.page(seed, made, failed=0.2)
    assert "{" not in event["event"]["data"]["title"]
    assert made.id not in json.dumps(event)


@pytest.mark.parametrize("name", TWO)
def test_a_compound_has_two_causes_and_naming_one_is_not_enough(name: str) -> None:
    made = build(name, 1, START)
    one, both = ({"diagnosis": [[made.truth[0], 0.9]], "conclusion": "cause", "causes": list(causes)}
                 for causes in (made.truth[:1], made.truth))  # fmt: skip

    assert len(set(made.truth)) == 2
    assert score.judged(made, one)["set_precision_at_full_recall"] == 0.0
    assert score.judged(made, both)["set_precision_at_full_recall"] == 1.0


def test_the_unrelated_incident_of_c31_is_always_open_and_about_something_else() -> None:
    told = [unrelated(seed, build("C31", seed, START)) for seed in range(1, 12)]

    assert all(one is not None and one.component not in ("Chat API", "Messages API") for one in told)


def test_a_launch_within_capacity_hurts_nobody() -> None:
    made = build("N37", 1, START)
    world = World(made, 1)
    world.advance(made.page_at + 600.0)

    assert made.truth == ("no-fault",)
    assert made.figures["factor"] > 2.5
    assert all(action not in HARMLESS for action in made.tempting)
    _, errors = world.ledger.series(INDEX_OF[made.service], "errors")
    assert float(errors[-100:].mean()) < 0.02


def test_all_scenarios_are_known_to_the_referee() -> None:
    assert set(COMPOUND) < set(every())
