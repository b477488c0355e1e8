"""What only a person can do: shown exactly, handed over, never pretended."""

from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.actions.manual import Manual, ManualParams
from runbooks.model import EffectClass, EffectStatus
from tests.actions_fakes import APPROVAL, World, serving

PARAMS: dict[str, Any] = {
    "title": "Raise the spend limit",
    "instructions": "1. Open Billing, then Limits.\n2. Set 5000 USD.",
    "link": "https://console.example/billing",
}


async def test_the_draft_shows_the_exact_instruction_and_reads_nothing() -> None:
    world = World(docs={}, facts={})
    async with serving(world) as context:
        draft = await Manual().draft(context, ManualParams.model_validate(PARAMS))

    assert draft.instructions == f"{PARAMS['instructions']}\n{PARAMS['link']}"
    assert not draft.changes_nothing
    assert draft.blocked_by == ()
    assert draft.target == "support-bot/by hand"
    assert draft.params == PARAMS


async def test_done_means_handed_over_and_nothing_is_sent_in_either_direction() -> None:
    world = World()
    async with serving(world) as context:
        manual = Manual()
        draft = await manual.draft(context, ManualParams.model_validate(PARAMS))
        applied = await manual.apply(context, draft, APPROVAL)
        reverted = await manual.revert(context, draft, APPROVAL)
        observed = await manual.observe(context, draft)

    assert applied.status is EffectStatus.DONE
    assert "handed to a person" in applied.detail
    assert reverted.status is EffectStatus.FAILED
    assert observed == {}
    assert world.writes == []


def test_a_manual_step_is_at_least_r1_and_never_undone_by_itself() -> None:
    spec = Manual().spec

    assert spec.effect is EffectClass.MANUAL
    assert spec.risk == "R1"
    assert not spec.reversible
    assert not spec.leasable


@pytest.mark.parametrize(
    "change",
    [
        {"link": "javascript:alert(1)"},
        {"link": "https://"},
        {"link": "https://a.example/\r\nx: y"},
        {"link": "file:///etc/passwd"},
        {"title": "two\nlines"},
        {"instructions": "short"},
        {"instructions": "x" * 2001},
        {"command": "rm"},
    ],
)
def test_what_could_mislead_a_person_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        ManualParams.model_validate({**PARAMS, **change})
