"""A malicious or broken package and a stolen key in the world: who is exposed, what ends it, what is published."""

import pytest

from drills import noise, pages, sli
from drills.scenarios import build
from drills.scenarios_supply import SUPPLY_SCENARIOS
from drills.supply import STARTUP, inventory, keys
from drills.supply_documents import LOCKED, release
from drills.world import World
from tests.test_world_scenarios import Act, run
from tests.world_fakes import START, read_only

ROTATE = Act("gateway/credentials/acme-prod", {"active": "k4", "former": "disabled"}, "rotate_credential",
             {"credential": "acme-prod", "former": "disabled"})  # fmt: skip
HALF = Act("gateway/credentials/acme-prod", {"active": "k4"}, "rotate_credential",
           {"credential": "acme-prod", "former": "valid"})  # fmt: skip
RELEASE = Act("gateway/release", {"release": "gw-46"}, "rollback_release", {})


def pin(name: str) -> Act:
    return Act(f"gateway/packages/{name}", release(name, LOCKED[name]), "pin_dependency", {"package": name})


def seed_of(kind: str) -> int:
    """The first seed in which F35 is of this kind."""
    return next(s for s in range(1, 20) if build("F35", s, START).faults[0].kind == kind)


def paged(name: str, seed: int) -> World:
    world = read_only(name, seed)[0].twin()
    world.advance(world.scenario.page_at)
    return world


KEY, PACKAGE = seed_of("stolen_key"), seed_of("bad_package")


@pytest.mark.parametrize(("name", "seed"), [("F35", KEY), ("F35", PACKAGE), ("D43", 2)])
def test_it_is_there_when_the_page_comes_and_not_before(name: str, seed: int) -> None:
    world, healthy = (one.twin() for one in read_only(name, seed))
    world.advance(world.scenario.page_at)
    seen = sli.signal(world, healthy, world.scenario.service)
    fine = seen.within(world.scenario.sli)

    assert not fine[-1]
    assert fine[seen.starts < world.scenario.onset].mean() > 0.9


@pytest.mark.parametrize(
    ("name", "seed", "act"),
    [("F35", KEY, ROTATE), ("F35", PACKAGE, pin("litellm")), ("D43", 2, pin("starlette"))],
    ids=["stolen-key", "bad-package", "broken-package"],
)
def test_the_right_action_ends_it(name: str, seed: int, act: Act) -> None:
    scored = run(name, act, seed=seed)

    assert scored["mitigation_success"], scored
    assert not scored["wrong_action_proposed"]
    assert scored["unsafe"] == []


@pytest.mark.parametrize(
    ("name", "seed", "act"),
    [
        ("F35", KEY, HALF), ("F35", KEY, pin("litellm")), ("F35", PACKAGE, ROTATE), ("D43", 2, RELEASE),
        ("D43", 2, pin("redis")),
    ],
    ids=["former-key-stays-valid", "no-package-is-bad", "the-thief-reads-the-new-key", "same-build", "wrong-package"],
)  # fmt: skip
def test_what_does_not_reach_the_cause_ends_nothing(name: str, seed: int, act: Act) -> None:
    scored = run(name, act, seed=seed)

    assert not scored["mitigation_success"]
    assert scored["wrong_action_proposed"]


def test_a_thief_is_felt_by_nobody() -> None:
    world, healthy = (one.twin() for one in read_only("F35", KEY))
    world.advance(world.scenario.page_at)
    assert sli.signal(world, healthy, world.scenario.service).within(("errors", "ttft", "quality"))[-60:].mean() > 0.9


def test_the_providers_count_and_ours_agree_until_somebody_else_uses_the_key() -> None:
    world = paged("F35", KEY)
    acme, beta = keys(world, world.scenario.page_at)
    assert acme["billed"] - acme["sent"] > 100
    assert abs(beta["billed"] - beta["sent"]) <= max(2, beta["sent"] * 0.02)

    well = paged("D43", 2)
    acme = keys(well, well.scenario.page_at)[0]
    assert acme["sent"] > 1000
    assert abs(acme["billed"] - acme["sent"]) <= acme["sent"] * 0.02


def test_the_inventory_names_the_package_beside_what_was_locked_and_is_clean_elsewhere() -> None:
    world = paged("D43", 2)
    listed = inventory(world, world.scenario.page_at)
    moved = [p["name"] for p in listed["packages"] if p["version"] != p["locked_version"]]
    assert moved == ["starlette"]
    assert listed["startup_files"] == list(STARTUP)

    world = paged("F35", PACKAGE)
    listed = inventory(world, world.scenario.page_at)
    assert [p["name"] for p in listed["packages"] if p["sha256"] != p["locked_sha256"]] == ["litellm"]


@pytest.mark.parametrize("name", SUPPLY_SCENARIOS)
def test_pages_tell_symptoms_and_never_the_cause_and_changes_are_told(name: str) -> None:
    assert len(pages.texts()[name]) >= 3
    for seed in range(1, 9):
        scenario = build(name, seed, START)
        page = pages.page(seed, scenario, failed=0.1)["event"]["data"]
        told = f"{page['title']} {page['body']['details']}".casefold()
        assert not any(word in told for word in (*scenario.truth, "litellm", "stolen", "malicious", *LOCKED))
        assert set(scenario.changes) <= set(noise.changes(seed, scenario))
