"""What all Slack listeners share: who acts, on which incident, and how they are told what came of it."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.proposal import Principal
from bot.domain.untrusted import line
from bot.domain.view import IncidentView, MessageRef
from bot.edges.slack_chat import SlackChat
from bot.edges.slack_client import Workspace, ask
from bot.ports import Desk, Exporter, Records, RetryLater, StorageDown, Undeliverable
from config.catalogue import Catalogue
from config.clock import Clock

logger = logging.getLogger("pagerunner.slack")

FirstTime = Callable[[str], Awaitable[bool]]
"""Durably remember a key for ever: True for the first caller. Raises :class:`StorageDown` if it cannot."""
Json = Mapping[str, Any]
Tell = Callable[[str], Awaitable[None]]

FAILED = "Something went wrong. Look at the card to see whether it was recorded, and try again if it was not."
DOWN = "I cannot store anything at the moment, so nothing was recorded. Please try again in a minute."
FOREIGN = "This assistant serves the people of its own workspace. Nothing was done."


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackDeps:
    """All that the Slack listeners need."""

    client: AsyncWebClient
    workspace: Workspace
    chat: SlackChat
    desk: Desk
    records: Records
    exporter: Exporter
    catalogue: Catalogue
    clock: Clock
    first_time: FirstTime
    app_id: str = ""
    """Our app's id; requests meant for another app are refused. Empty: not checked."""
    command: str = "/oncall"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where somebody did something."""

    channel: str
    thread_ts: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reception:
    """The listeners' common tools over :class:`SlackDeps`."""

    deps: SlackDeps
    _tasks: set[Any] = field(default_factory=set)

    async def tell(self, user: str, place: Place, text: str) -> None:
        """Say something that only one person sees. Whether it arrives never decides what was done."""
        thread = place.thread_ts or None
        try:
            await ask(
                self.deps.client.chat_postEphemeral(channel=place.channel, user=user, text=text, thread_ts=thread)
            )
        except (RetryLater, Undeliverable) as error:
            logger.warning("slack_answer_lost", extra={"channel": place.channel, "reason": str(error)})

    async def ours(self, who: Principal) -> bool:
        """Whether somebody belongs to our workspace."""
        us = await self.deps.workspace.us()
        return bool(us.team_id) and who.id.startswith(f"slack:{us.team_id}/")

    async def incident_at(self, channel: str, ts: str) -> str | None:
        """The incident whose card this message is."""
        return await self.deps.records.incident_of(MessageRef(channel=channel, ts=ts)) if channel and ts else None

    async def only_incident_in(self, channel: str) -> str | None:
        """The active incident of a channel, if there is exactly one."""
        active = [i for i in await self.deps.records.incidents() if i.channel == channel]
        return active[0].id if len(active) == 1 else None

    async def view(self, reference: str) -> IncidentView | None:
        """An incident by its id or its pager's reference; None for anything that cannot be one."""
        if re.fullmatch(r"[A-Za-z0-9_.:-]{1,80}", reference) is None:
            return None
        return await self.deps.records.view(reference)

    async def guarded(self, tell: Tell, work: Coroutine[Any, Any, None]) -> None:
        """The boundary: no failure inside reaches Slack as a traceback, and none is silent."""
        try:
            await work
        except StorageDown:
            await tell(DOWN)
            raise  # Not acknowledged: Slack sends events again.
        except (RetryLater, Undeliverable) as error:
            logger.warning("slack_unavailable", extra={"reason": str(error)})
            await tell(f"Slack did not take my answer: {line(str(error), 200)}")
        except Exception:  # The Slack boundary: told to the person, logged with its traceback.
            logger.exception("slack_listener_failed")
            await tell(FAILED)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that may take longer than Slack waits; a restart forgets it, and the person asks again."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def principal(user: Json, team: Json | None) -> Principal:
    """The person behind an interaction, with the workspace they belong to themselves."""
    user_id = str(user.get("id") or "")
    team_id = str(user.get("team_id") or (team or {}).get("id") or "")
    name = str(user.get("username") or user.get("name") or user_id)
    return Principal(id=f"slack:{team_id}/{user_id}", name=line(name, 80), via="slack")


def key(*parts: object) -> str:
    """A deduplication key: bounded, printable, and never ambiguous."""
    return "slack:" + ":".join(re.sub(r"[^A-Za-z0-9_.-]", "_", str(part))[:64] for part in parts)
