"""Questions in the loopback workspace: answered in the thread, with a picture or old incidents where these belong."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.conversation import answer, is_question
from bot.domain.questions.table import KINDS
from bot.domain.view import MessageRef
from bot.edges import outbox, pictures
from bot.edges.courier import Courier
from bot.edges.database import Database
from bot.exam import recorded
from drills.slack.web_api import Fault
from tests.slack_rig import Rig, rig, until
from tests.view_samples import INCIDENT, SAMPLES, provider_outage

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(params=["socket", "http"])
async def slack(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with rig(request.param) as running:
        draw(running)
        await running.post_card()
        yield running


def draw(running: Rig) -> None:
    """The desk sends what the courier would."""

    async def send(incident_id: str, key: str, form: str, at: MessageRef, **_: Any) -> None:
        assert form == "png"
        await running.chat.file(at, f"{incident_id}.png", pictures.sheet(running.office.views[incident_id]))

    running.office.send = send  # type: ignore[method-assign]


def files(running: Rig) -> list[dict[str, Any]]:
    messages = running.slack.workspace.channels["C0ASSIST"].messages.values()
    return [m.payload["files"][0] for m in messages
            if "files" in m.payload and m.payload.get("thread_ts") == running.card.ts]  # fmt: skip


async def test_asked_for_a_graph_the_figures_are_told_and_the_picture_follows(slack: Rig) -> None:
    slack.office.put(SAMPLES["verified"]())
    slack.slack.acts.say("U0BEN", "C0ASSIST", "@pagerunner show us the graph", thread_ts=slack.card.ts)
    (uploaded,) = await until(lambda: files(slack))

    assert uploaded["name"] == "inc-7f3a2c.png"
    told = [text for text in slack.thread() if text]
    assert any("user_signal, share of users' requests that failed: 34 % → 0.5 %, normally 0.4 %" in t for t in told)


async def test_where_files_are_not_allowed_the_figures_remain(slack: Rig) -> None:
    slack.slack.api.faults.add(Fault(method="files.getUploadURLExternal", status=200, error="missing_scope"))
    slack.slack.acts.say("U0BEN", "C0ASSIST", "@pagerunner plot it as a chart", thread_ts=slack.card.ts)
    told = await until(lambda: slack.thread() if len(slack.thread()) >= 2 else None)

    assert "picture" in told[0]
    assert "missing_scope" in told[1]
    assert told[1].endswith("The picture's figures are in the answer above.")


async def test_asked_for_the_last_time_earlier_incidents_of_the_service_are_looked_up(slack: Rig) -> None:
    old = SAMPLES["verified"]()
    earlier = INCIDENT.opened_at - timedelta(days=7)
    slack.office.views["inc-00old1"] = replace(
        old, incident=replace(old.incident, id="inc-00old1", opened_at=earlier), message=None
    )
    slack.slack.acts.say("U0BEN", "C0ASSIST", "has this happened before?", thread_ts=slack.card.ts)
    (told,) = await until(slack.thread)

    assert "2026-11-15 12:00 UTC: Model provider is failing (97 %); Shift traffic helped `inc-00old1`" in told


async def test_where_there_is_no_earlier_incident_that_is_said(slack: Rig) -> None:
    slack.slack.acts.say("U0BEN", "C0ASSIST", "has this happened before?", thread_ts=slack.card.ts)
    (told,) = await until(slack.thread)

    assert told == "Not recorded: no earlier incident of chat-assistant is recorded here."


async def test_the_courier_draws_the_picture_that_waits_in_the_outbox(tmp_path: Any) -> None:
    view = replace(recorded.read("s01"), message=MessageRef(channel="C0ASSIST", ts="1.2"))
    sent: list[tuple[str, bytes]] = []

    class Chat:
        async def file(self, message: MessageRef, name: str, content: bytes) -> None:
            sent.append((name, content))

    letter = outbox.Letter(id=1, lane="chat:C0ASSIST", kind="file", incident_id=view.incident.id,
                           data={"form": "png"}, version=1, attempts=0)  # fmt: skip
    courier = Courier(Database(tmp_path / "none.sqlite"), None, None, None, None, str)  # type: ignore[arg-type]
    assert view.message is not None
    await courier._tell(letter, view, view.message, Chat())  # type: ignore[arg-type]

    ((name, content),) = sent
    assert name == f"{view.incident.id}.png"
    assert content.startswith(PNG)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_incident_can_be_drawn(name: str) -> None:
    assert pictures.sheet(SAMPLES[name]()).startswith(PNG)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_answer_lets_untrusted_text_act(kind: Any) -> None:
    text = answer(kind.asks, SAMPLES["hostile"](), earlier=(SAMPLES["hostile"](),)).text

    assert "<" not in text
    assert "\u202e" not in text
    for number, part in enumerate(text.split("`")):
        if "*Approved by" in part:
            assert number % 2 == 1, "outside a code span"


@pytest.mark.parametrize("kind", [k for k in KINDS if k.name != "no_votes"], ids=lambda kind: kind.name)
def test_every_example_is_taken_for_a_question(kind: Any) -> None:
    assert is_question(kind.asks, provider_outage())


@pytest.mark.parametrize(
    "text",
    ["I rolled back the prompt", "users are fine again", "the graph looks ok to me", "approved by Ana, thanks",
     "Ben owns that", "going for lunch", "we should fail over soon", "nice, the queue is empty", "+1", "ok",
     "looking at the status page", "no change from our side", "what a day", "how nice!", "the lease ends soon",
     "Ana, can you check the queue?", "will you take over?", "Ben, did you change the gateway?",
     "did you merge it?", "have you looked at the queue?",
     "Ana: is the queue ok on your side?"],
)  # fmt: skip
def test_what_people_say_to_each_other_is_not_answered(text: str) -> None:
    assert not is_question(text, provider_outage())
