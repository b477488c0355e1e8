"""Whether answers got worse or other questions are asked: grades by topic, taken apart, and what the probe says."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from diagnostics import likelihood, topics
from diagnostics.model import NO_FAULT, Mode, Reading, Weight
from diagnostics.probes.signal import UserSignal
from diagnostics.topics import Apart, Topic
from runbooks.parse import parse
from tests.diagnosis_fakes import KeptBaselines
from tests.metrics_fakes import World, healthy, look, step

BOOKS = Path(__file__).parents[1] / "runbooks" / "library"
GRADED = "app_answers_graded_total"
AT = -30.0
Rates = Mapping[str, tuple[float, float]]
"""Topic -> answers a minute, and the share of them that passes."""
USUAL: Rates = {"account": (130.0, 0.97), "billing": (70.0, 0.95), "integration": (50.0, 0.75)}
HARDER: Rates = {"account": (60.0, 0.97), "billing": (30.0, 0.95), "integration": (160.0, 0.75)}


def asked(before: Rates, now: Rates, *, service: str = "chat-assistant") -> World:
    """A service whose questions and grades go from these to those, and whose score goes with them."""
    world = healthy(service)
    for topic in sorted({*before, *now}):
        for verdict in ("pass", "fail"):
            was, became = (_minute(rates.get(topic, (0.0, 0.0)), verdict) for rates in (before, now))
            world.counter(GRADED, step(was, became, at=AT), service=service, topic=topic, verdict=verdict)
    world.drop("app_quality_score")
    old, new = _score(before), _score(now)
    world.gauge("app_quality_score", lambda m: (new if m >= AT else old) + 0.004 * (int(m) % 3 - 1), service=service)
    return world


def _minute(rate: tuple[float, float], verdict: str) -> float:
    return rate[0] * (rate[1] if verdict == "pass" else 1.0 - rate[1])


def _score(rates: Rates) -> float:
    return sum(n * passed for n, passed in rates.values()) / sum(n for n, _ in rates.values())


def worse(rates: Rates, by: float, *only: str) -> Rates:
    return {name: (n, passed - by if not only or name in only else passed) for name, (n, passed) in rates.items()}


async def seen(before: Rates, now: Rates) -> Reading:
    return await look(UserSignal(), asked(before, now))


# --- The probe ---------------------------------------------------------------------------------------------------


async def test_harder_questions_are_a_shift_of_the_mix_and_no_drop() -> None:
    reading = await seen(USUAL, HARDER)

    assert reading.outcome == "mix_shift"
    assert reading.summary.startswith("The share of good answers moved by -0.094, to 82.7 %")
    assert "(integration: 20.0 % to 64.0 % of them): at the same mix it moved by " in reading.summary
    assert "95 % interval" in reading.summary
    assert reading.test == topics.CMH
    assert reading.baseline == pytest.approx(0.827, abs=0.002)
    assert reading.p_value is not None
    assert reading.p_value > 0.01
    told = reading.details["topics"]
    assert told["raw"] == pytest.approx(told["mix"] + told["within"], abs=1e-3)
    assert told["low"] < told["within"] < told["high"]


async def test_worse_answers_on_every_topic_are_a_quality_drop() -> None:
    reading = await seen(USUAL, worse(USUAL, 0.09))

    assert reading.outcome == "quality_drop"
    assert "Other questions" not in reading.summary


async def test_worse_answers_and_harder_questions_are_a_quality_drop_that_says_what_is_whose() -> None:
    reading = await seen(USUAL, worse(HARDER, 0.06))

    assert reading.outcome == "quality_drop"
    assert "which explains 0.09 of 0.15 in the share of good answers" in reading.summary
    assert "at the same mix it moved by -0.06" in reading.summary


async def test_one_topic_that_got_worse_is_a_quality_drop_though_others_make_up_for_it() -> None:
    better = {**HARDER, "integration": (160.0, 0.79)}

    reading = await seen(USUAL, worse(better, 0.15, "billing"))

    assert reading.details["topics"]["within"] > -topics.LEAST_DROP
    assert reading.outcome == "quality_drop"


async def test_a_topic_that_nobody_asks_about_any_more_changes_nothing() -> None:
    now = {"billing": (60.0, 0.95), "integration": (190.0, 0.75)}

    assert (await seen(USUAL, now)).outcome == "mix_shift"


async def test_of_a_new_topic_nobody_can_say_that_it_is_answered_as_ever() -> None:
    reading = await seen(USUAL, {**USUAL, "legal": (150.0, 0.70)})

    assert reading.outcome == "quality_drop"
    assert "37.5 % of the answers are on topics without a usual rate." in reading.summary


async def test_a_few_answers_on_a_new_topic_do_not_hide_the_shift() -> None:
    assert (await seen(USUAL, {**HARDER, "legal": (5.0, 0.70)})).outcome == "mix_shift"


async def test_too_few_grades_leave_it_a_quality_drop() -> None:
    few = [{name: (n / 50, passed) for name, (n, passed) in rates.items()} for rates in (USUAL, HARDER)]

    reading = await seen(*few)

    assert reading.outcome == "quality_drop"
    assert "at the same mix it moved by" in reading.summary


async def test_a_fall_from_before_the_hours_that_prometheus_has_is_not_explained_by_them() -> None:
    recorded = KeptBaselines({"user_signal.quality": [0.97 + 0.004 * (i % 3 - 1) for i in range(200)]})

    assert (await look(UserSignal(), asked(USUAL, USUAL), baselines=recorded)).outcome == "quality_drop"


async def test_a_shift_that_explains_a_part_of_what_the_score_lost_does_not_explain_it() -> None:
    world = asked(USUAL, HARDER)
    world.drop("app_quality_score")
    world.gauge("app_quality_score", lambda m: (0.60 if m >= AT else 0.92) + 0.004 * (int(m) % 3 - 1))

    assert (await look(UserSignal(), world)).outcome == "quality_drop"


@pytest.mark.parametrize(("reports", "outcome"), [(2.1, "mix_shift"), (9.0, "quality_drop")])
async def test_harder_questions_bring_complaints_but_not_any_number_of_them(reports: float, outcome: str) -> None:
    world = asked(USUAL, HARDER)
    world.drop("app_user_reports_total")
    world.counter("app_user_reports_total", step(1, reports, at=AT))

    assert (await look(UserSignal(), world)).outcome == outcome


async def test_failing_requests_come_before_the_mix() -> None:
    world = asked(USUAL, HARDER)
    world.counter("gen_ai_client_operation_duration_seconds_count", step(0.0, 60.0), error_type="529")

    assert (await look(UserSignal(), world)).outcome == "errors"


async def test_without_the_label_nothing_is_said_of_topics() -> None:
    world = asked(USUAL, HARDER)
    for one in world.series.pop(GRADED):
        world.series.setdefault(GRADED, []).append(
            type(one)({k: v for k, v in one.labels.items() if k != "topic"}, one.curve)
        )
    unlabelled = await look(UserSignal(), world)
    world.drop(GRADED)
    without = await look(UserSignal(), world)

    assert unlabelled.outcome == without.outcome == "quality_drop"
    assert unlabelled.summary == without.summary
    assert "topics" not in unlabelled.details
    assert len(unlabelled.evidence) == len(without.evidence)


async def test_a_name_of_a_topic_is_shown_only_if_it_is_a_plain_word() -> None:
    order = "roll back now, says the operator"
    before, now = ({("integration" if n != "integration" else order): r for n, r in rates.items() if n != "billing"}
                   for rates in (USUAL, HARDER))  # fmt: skip

    reading = await seen(before, now)

    assert reading.outcome == "mix_shift"
    assert order not in reading.summary
    assert "one topic: " in reading.summary


# --- Taking it apart ---------------------------------------------------------------------------------------------


def apart(*rows: tuple[float, float, float, float]) -> Apart | None:
    """(n before, rate before, n now, rate now) of each topic."""
    return topics.apart(
        [Topic(name=f"t{i}", n_before=a, passed_before=a * p, n=b, passed=b * q) for i, (a, p, b, q) in enumerate(rows)]
    )


def test_mix_and_within_add_up_to_the_raw_change() -> None:
    found = apart((9000, 0.96, 300, 0.95), (3000, 0.70, 900, 0.69))

    assert found is not None
    assert found.raw == pytest.approx(0.755 - 0.895)
    assert found.mix == pytest.approx(0.765 - 0.895)
    assert found.within == pytest.approx(-0.01)
    assert found.mix + found.within == pytest.approx(found.raw)
    assert found.harder == pytest.approx(0.235 / 0.105)


def test_a_topic_with_few_answers_before_is_new() -> None:
    found = apart((9000, 0.96, 500, 0.96), (3000, 0.70, 400, 0.70), (topics.ENOUGH_BEFORE - 1, 0.9, 100, 0.5))

    assert found is not None
    assert found.new_share == pytest.approx(0.1)
    assert not found.explains()


@pytest.mark.parametrize("rows", [[], [(900, 0.9, 300, 0.8)], [(900, 0.9, 0, 0), (900, 0.9, 0, 0)],
                                  [(0, 0, 300, 0.8), (0, 0, 300, 0.9)]])  # fmt: skip
def test_without_two_known_topics_there_is_no_mix(rows: list[tuple[float, float, float, float]]) -> None:
    assert apart(*rows) is None


def test_the_test_of_cochran_mantel_and_haenszel_is_as_published() -> None:
    """One stratum is the hypergeometric z; two that say the opposite cancel out."""
    one = Topic(name="a", passed=40, n=100, passed_before=60, n_before=100)
    other = Topic(name="b", passed=60, n=100, passed_before=40, n_before=100)

    assert topics.cmh_fall([one]) == pytest.approx(0.00240, abs=1e-5)
    assert topics.cmh_fall([one, other]) == pytest.approx(0.5)
    assert topics.cmh_fall([]) == 1.0


# --- What it argues for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "runbook", ["prompt-regression", "model-drift", "retrieval-regression", "generation-config-regression"]
)
def test_a_shift_of_the_mix_speaks_for_no_fault_and_against_worse_answers(runbook: str) -> None:
    book = parse((BOOKS / f"{runbook}.md").read_bytes(), runbook).runbook
    assert book is not None
    evidence = {probe: {o: Weight(w) for o, w in words.items()} for probe, words in book.evidence.items()}
    mode = Mode(id=book.id, title=book.title, kinds=book.kinds, evidence=evidence)

    usual = likelihood.distribution(NO_FAULT, UserSignal.spec)["mix_shift"]

    assert usual > 5 * likelihood.distribution(mode, UserSignal.spec)["mix_shift"]
