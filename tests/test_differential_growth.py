"""A library of many causes: what is told of each stays the same, and looking ahead considers the likeliest alone."""

import math

import pytest

from bot.bench.growth import _findings, exponent
from bot.edges.clock import SystemClock
from bot.triage.nodes import mode_of
from bot.wiring import actions, open_shelf, specs
from diagnostics.belief import Belief
from diagnostics.model import NO_FAULT, OTHER, Mode
from diagnostics.worth import MOST, next_probes


@pytest.fixture(scope="module")
def modes() -> dict[str, Mode]:
    shelf = open_shelf([], actions(), None, SystemClock().now().date())
    return {book.id: mode_of(book) for book in shelf.all() if book.executable and book.evidence}


def belief(modes: dict[str, Mode], *, more: int = 0) -> Belief:
    """What the findings of an outage make of the library; ``more`` causes that nothing speaks for."""
    nothing = {f"made-{n}": Mode(id=f"made-{n}", title=f"made {n}", evidence={}) for n in range(more)}
    prior = {**dict.fromkeys(modes, 1.0), NO_FAULT: 4.0, OTHER: 2.0, **dict.fromkeys(nothing, 1e-6)}
    total = sum(prior.values())
    return Belief.of(_findings(), {h: share / total for h, share in prior.items()}, {**modes, **nothing}, specs())


def test_an_argument_compares_a_hypothesis_with_all_others(modes: dict[str, Mode]) -> None:
    made = belief(modes)
    for hypothesis in made.hypotheses():
        told = {argument.finding_id: argument.bits for argument in hypothesis.arguments}
        others = [h for h in made.prior if h != hypothesis.mode]
        weight = sum(made.prior[h] for h in others)
        for finding, power, likely in zip(made.findings, made.exponents, made.seen, strict=True):
            average = sum(made.prior[h] * likely[h] for h in others) / weight
            assert told[finding.id] == pytest.approx(power * math.log2(likely[hypothesis.mode] / average), abs=1e-9)


def test_a_library_of_usual_size_is_looked_at_whole(modes: dict[str, Mode]) -> None:
    made = belief(modes)
    assert len(made.posterior) <= MOST
    assert made.narrowed(MOST) is made


def test_of_many_causes_the_likely_ones_decide_what_is_asked(modes: dict[str, Mode]) -> None:
    few, many = belief(modes), belief(modes, more=300)
    kept = many.narrowed(MOST)
    assert len(kept.posterior) <= MOST + 2
    assert {*modes, NO_FAULT, OTHER} <= kept.posterior.keys()
    assert sum(kept.posterior.values()) == pytest.approx(1)
    asked = [[one.probe for one in next_probes(made, made.findings, made.specs)][:5] for made in (few, many)]
    assert asked[0] == asked[1]


def test_an_unlikely_cause_that_the_page_speaks_of_is_looked_at(modes: dict[str, Mode]) -> None:
    many = belief(modes, more=300)
    spoken = {**many.prior, "made-7": 0.5}
    assert "made-7" in Belief(spoken, many.posterior, many.modes, many.specs, (), (), ()).narrowed(10).posterior


def test_the_exponent_is_that_of_the_power_law() -> None:
    assert exponent((10, 3.0), (1_000, 30.0)) == pytest.approx(0.5)
    assert exponent((10, 3.0), (1_000, 300.0)) == pytest.approx(1.0)
