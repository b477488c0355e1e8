"""Which step comes next when several causes are named and one of them has been tried."""

from bot.domain.proposal import ProposalState
from bot.ports import Step
from bot.proposing import _by_turns

DONE, REJECTED = ProposalState.DONE.value, ProposalState.REJECTED.value


def step(key: str, action: str) -> Step:
    book = key.partition("/")[0]
    return Step(
        key=key, reference=key, runbook=book, revision="r1", action=action, params={}, title=action, verify=None,
        lease_s=None, min_risk=None,
    )  # fmt: skip


STEPS = [
    step("outage/1", "shift"), step("outage/2", "clamp"), step("quota/1", "shift"), step("quota/2", "clamp"),
    step("quota/3", "manual"),
]  # fmt: skip


def order(*tried: tuple[str, str]) -> list[str]:
    return [one.key for one in _by_turns(STEPS, tried)]


def test_at_first_the_runbooks_order_stands() -> None:
    assert order() == [one.key for one in STEPS]


def test_after_a_step_the_other_cause_has_its_turn_and_not_with_the_same_act_again() -> None:
    assert order(("outage/2", DONE)) == ["quota/1", "quota/3", "quota/2", "outage/1", "outage/2"]


def test_what_a_person_does_by_hand_is_never_the_same_act() -> None:
    assert order(("quota/3", DONE))[:2] == ["outage/1", "outage/2"]


def test_a_rejected_step_was_not_tried() -> None:
    assert order(("outage/2", REJECTED)) == order()
