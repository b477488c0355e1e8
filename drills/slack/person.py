"""A scripted person for the demo: waits for a button to appear and clicks it, through the same endpoint as the page."""

import asyncio
import re
from dataclasses import dataclass

import aiohttp

from drills.slack.blocks import interactive
from drills.slack.wire import Json, plain

POLL_SECONDS = 0.4


class PersonError(Exception):
    """Why the person could not do it: no workspace there, no such user, or the button never came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A button that the person can see."""

    channel: str
    channel_name: str
    ts: str
    block_id: str
    action_id: str
    card: str
    """The first line of the message it stands in."""


async def click(url: str, user: str, text: str, wait_s: float) -> Button:
    """Click the button named ``text`` as soon as ``user`` sees one, within ``wait_s``. Raises :class:`PersonError`."""
    patience = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=patience) as session:
        try:
            token = await _ui_token(session, url)
            button = await _wait_for(session, url, user, text, wait_s)
            body = {"user": user, "channel": button.channel, "ts": button.ts, "action_id": button.action_id,
                    "block_id": button.block_id}  # fmt: skip
            async with session.post(f"{url}/ui/action", json=body, headers={"X-UI-Token": token}) as reply:
                done = await reply.json()
        except aiohttp.ClientError as error:
            raise PersonError(f"the workspace at {url} cannot be reached ({error}); is it running?") from error
    if not done.get("ok"):
        raise PersonError(f"clicked {text!r}, but: {done.get('error')}")
    return button


def find(state: Json, text: str) -> Button | None:
    """The newest button with this text in the channels that the person is in."""
    found: Button | None = None
    for channel in state["channels"]:
        for message in channel["messages"] if channel["member"] else []:
            for block, element in interactive(message.get("blocks", [])):
                if element["type"] == "button" and element["text"]["text"].strip() == text:
                    button = Button(channel=channel["id"], channel_name=channel["name"], ts=message["ts"],
                                    block_id=block["block_id"], action_id=element["action_id"],
                                    card=_first_line(message))  # fmt: skip
                    found = button if found is None or button.ts > found.ts else found
    return found


async def _ui_token(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(f"{url}/") as reply:
        match = re.search(r'name="ui-token" content="([^"]+)"', await reply.text())
    if match is None:
        raise PersonError(f"{url} is not a loopback workspace: its page carries no token")
    return match[1]


async def _wait_for(session: aiohttp.ClientSession, url: str, user: str, text: str, wait_s: float) -> Button:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while True:
        async with session.get(f"{url}/ui/state", params={"user": user}) as reply:
            if reply.status != 200:
                raise PersonError(f"{url}: {await reply.text()}")
            button = find(await reply.json(), text)
        if button is not None:
            return button
        if loop.time() >= deadline:
            raise PersonError(f"no button {text!r} appeared in a channel of {user} within {wait_s:g} s")
        await asyncio.sleep(POLL_SECONDS)


def _first_line(message: Json) -> str:
    return plain(str(message.get("text", ""))).strip().partition("\n")[0][:120] or "a message"
