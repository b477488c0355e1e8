"""Verdicts on an incident that is over: buttons on its card, facts on its timeline, and the runbook's owner is told."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.card import build
from bot.domain.incident import Status
from bot.domain.timeline import computed
from bot.domain.verdicts import given
from bot.domain.view import IncidentView
from bot.edges.export import Export
from bot.judging import runbook_used
from config.catalogue import Catalogue
from diagnostics.model import Diagnosis, Hypothesis
from tests.duty_rig import ANA, DutyRig, duty_rig
from tests.phone_states import closed
from tests.slack_rig import until
from tests.view_samples import SAMPLES

RANKED = (Hypothesis(mode="moderation-backlog", title="Moderation falls behind", probability=0.96),)
CAUSE = Diagnosis(conclusion="cause", ranked=RANKED, causes=("moderation-backlog",), reason="sure")


@pytest.fixture
async def over(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[DutyRig]:
    """An incident of team assist that is over; its cause stands in a runbook that team trust owns."""
    async with duty_rig(tmp_path, catalogue) as running:
        now = running.clock.now()
        await running.flow.casebook.diagnosed(running.incident, CAUSE, computed("diagnosis_made", {}), now)
        await running.flow.casebook.move(running.incident, Status.RESOLVED, [], now)
        await running.deliver()
        yield running


def channel(over: DutyRig, name: str) -> list[str]:
    messages = over.slack.workspace.channels[name].messages.values()
    return [str(m.payload["text"]) for m in messages if "our runbook" in str(m.payload.get("text"))]


async def test_a_click_is_a_fact_that_stands_on_the_card_and_the_owner_of_the_runbook_is_told_once(
    over: DutyRig,
) -> None:
    await over.duty.judge(over.incident, "wrong_cause", ANA)
    await over.duty.judge(over.incident, "right_cause", replace(ANA, id="slack:T0LOOP/U0BEN", name="ben"))
    await over.deliver()

    assert [fact["verdict"] for fact in await over.facts("verdict_given")] == ["wrong_cause", "right_cause"]
    assert given(await over.view()) == ["right cause (ben)", "wrong cause (ana)"]
    (told,) = channel(over, "C0TRUST")
    link = f"{over.slack.url}/archives/C0ASSIST/p{over.ts.replace('.', '')}"
    where = f"<{link}|{over.incident}> (`chat-assistant`)"
    assert told.startswith(f"Your runbook `moderation-backlog` was wrong in {where}: wrong cause, says `ana`.\n")


async def test_the_newest_word_of_a_person_counts_and_the_same_word_twice_is_one(over: DutyRig) -> None:
    for verdict in ("noise", "noise", "right_cause"):
        told = await over.duty.judge(over.incident, verdict, ANA)
        assert told.ok

    assert told.text == "Recorded: right cause; before, you said noise. Thank you."
    assert len(await over.facts("verdict_given")) == 2
    assert given(await over.view()) == ["right cause (ana)"]


async def test_the_buttons_of_the_card_give_verdicts(over: DutyRig) -> None:
    done = await over.slack.acts.act("U0ANA", "C0ASSIST", over.ts, "pagerunner_noise")
    assert done.ok, done.error
    await until(lambda: over.told("U0ANA"))

    assert over.told("U0ANA") == ["Recorded: noise. Thank you."]
    assert [fact["verdict"] for fact in await over.facts("verdict_given")] == ["noise"]


async def test_no_verdict_is_taken_while_it_goes_on_nor_of_a_cause_that_nobody_named(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    async with duty_rig(tmp_path, catalogue) as running:
        told = await running.duty.judge(running.incident, "right_cause", ANA)
        assert not told.ok
        assert "is not over" in told.text
        await running.flow.casebook.move(running.incident, Status.RESOLVED, [], running.clock.now())
        told = await running.duty.judge(running.incident, "right_cause", ANA)
        assert "only this can be said of it: noise" in told.text
        assert (await running.duty.judge("inc-unknown", "noise", ANA)).text == "There is no incident inc-unknown."
        assert await running.facts("verdict_given") == []


def test_verdicts_stand_in_the_json_export_and_in_the_postmortem() -> None:
    view: IncidentView = closed()
    told = json.loads(Export().export(view, "json"))["verdicts"]
    written = Export().export(view, "md").decode()

    assert [(one["name"], one["verdict"]) for one in told] == [
        ("Ana Ruiz", "right_cause"),
        ("Ben Okafor", "wrong_cause"),
    ]
    assert "said of the diagnosis: wrong cause" in written
    assert "Verdict right cause (Ana Ruiz)" in json.dumps([f"{e.label} {e.text}" for s in build(view).sections
                                                            for e in s.lines])  # fmt: skip


def test_the_runbook_that_was_used_is_the_one_whose_step_was_done() -> None:
    assert runbook_used(SAMPLES["verified"]()) == "provider-outage"
    assert runbook_used(SAMPLES["no_fault"]()) == ""


@pytest.mark.parametrize(
    ("owner", "reached"),
    [
        ("@U0ANA", True), ("ana@example.com", True), ("#C0TRUST", True),
        ("@U0GUEST", False), ("@U0STRANGER", False), ("@U0GONE", False), ("gus@example.com", False),
    ],
)  # fmt: skip
async def test_a_person_is_told_directly_and_who_is_not_of_ours_never(owner: str, reached: bool, over: DutyRig) -> None:
    (over.books / "moderation-backlog.md").write_text(f'---\ntitle: Ours\nowner: "{owner}"\n---\n# Ours\n')
    over.shelf.refresh()
    await over.duty.judge(over.incident, "noise", ANA)
    await over.deliver()

    workspace = over.slack.workspace
    direct = [channel for channel in workspace.channels.values() if channel.is_im and channel.messages]
    below = [text for text in over.thread() if "our runbook" in text]
    if not reached:
        assert direct == []
        assert "could not be told: " in below[0]
    elif owner.startswith("#"):
        assert len(channel(over, "C0TRUST")) == 1
    else:
        (told,) = direct[0].messages.values()
        assert set(direct[0].members) == {"U0ANA", "U0PAGERUN"}
        assert str(told.payload["text"]).startswith("Your runbook `moderation-backlog` was used in ")
        assert below == []


async def test_where_the_messages_tab_is_off_the_thread_is_told(over: DutyRig) -> None:
    (over.books / "moderation-backlog.md").write_text('---\ntitle: Ours\nowner: "@U0ANA"\n---\n# Ours\n')
    over.shelf.refresh()
    app = over.slack.workspace.app
    over.slack.workspace.app = app.model_copy(update={"messages_tab": False})
    await over.duty.judge(over.incident, "noise", ANA)
    await over.deliver()

    (told,) = [text for text in over.thread() if "our runbook" in text]
    assert "the app's Messages tab is off" in told
