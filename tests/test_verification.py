"""Did it help: what one look at the same probes lets Pagerunner say."""

from dataclasses import replace

import pytest

from bot.domain.verification import Judgement, judge
from diagnostics.model import Finding
from tests.diagnosis_cases import finding
from tests.incident_samples import plan

PLAN = plan("inc-1")
FELT, SERVED, WELL, ILL = (
    finding("user_signal", "errors"), finding("user_signal", "ok"),
    finding("gateway_canary", "ok"), finding("gateway_canary", "server_error"),
)  # fmt: skip


def looked(*, before: Finding | None, users: Finding, last: bool = False) -> Judgement:
    was = {one.probe: one for one in (before, FELT) if one}
    now = {one.probe: one for one in (WELL, users)}
    return judge(PLAN, was, now, {}, since_s=30, last=last)


def test_a_check_that_was_ill_and_is_well_is_a_change_even_while_users_still_feel_it() -> None:
    told = looked(before=ILL, users=FELT)
    assert told.answer == "better"
    assert "before: server_error" in told.reason
    assert {ILL.id, WELL.id} <= set(told.evidence)


def test_a_check_that_nobody_read_before_is_no_change_while_users_still_feel_it() -> None:
    told = looked(before=None, users=FELT)
    assert told.answer == "pending"
    assert "not read before" in told.reason


@pytest.mark.parametrize(("users", "last"), [(SERVED, False), (FELT, True)])
def test_users_or_the_last_look_settle_a_check_that_nobody_read_before(users: Finding, last: bool) -> None:
    told = looked(before=None, users=users, last=last)
    assert told.answer == "better"
    assert "it was not read before" in told.reason


def shown(probe: str, outcome: str, value: float, usual: float, test: str = "") -> Finding:
    one = finding(probe, outcome)
    return replace(one, reading=replace(one.reading, value=value, baseline=usual, n=200, test=test))


@pytest.mark.parametrize(
    ("probe", "outcome", "usual", "ill", "better"),
    [("gateway_canary", "server_error", 0.01, 0.9, 0.4), ("user_signal", "quality_drop", 0.92, 0.5, 0.9)],
)
def test_a_number_is_worse_when_it_moves_away_from_the_usual(
    probe: str, outcome: str, usual: float, ill: float, better: float
) -> None:
    def told(first: float, then: float, test: str = "") -> str:
        was, now = {probe: shown(probe, outcome, first, usual)}, {probe: shown(probe, outcome, then, usual, test)}
        return judge(plan("inc-1", verify_probe=probe, verify_outcome="ok"), was, now, now, since_s=30).answer

    assert told(ill, better) == "pending"
    assert told(better, ill) == "worse"
    assert told(better, ill, "of something else") == "pending"


@pytest.mark.parametrize(("since_s", "answer"), [(30, "pending"), (299, "pending"), (300, "worse")])
def test_what_looks_back_mostly_at_the_time_before_the_step_is_not_held_against_it(since_s: float, answer: str) -> None:
    found = finding("user_signal", "quality_drop")
    complaints = replace(found, reading=replace(found.reading, looks_back_s=600.0))
    was, now = {"gateway_canary": ILL, "user_signal": SERVED}, {"gateway_canary": ILL, "user_signal": complaints}
    assert judge(PLAN, was, now, now, since_s=since_s).answer == answer
    failing = {"gateway_canary": ILL, "user_signal": FELT}
    assert judge(PLAN, was, failing, failing, since_s=since_s).answer == "worse"
    assert judge(PLAN, was, now, {}, since_s=since_s).answer == "pending"
