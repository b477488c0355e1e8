"""What all Slack listeners share: who acts, on which incident, and how they are told what came of it."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.presentation import Redaction
from bot.domain.proposal import Principal
from bot.domain.timeline import Fact
from bot.domain.untrusted import line
from bot.domain.view import IncidentView, MessageRef
from bot.edges.slack_chat import SlackChat
from bot.edges.slack_client import Workspace, ask, read
from bot.edges.slack_text import mentioned, written
from bot.ports import Comms, Desk, Duty, Following, Links, People, Records, RetryLater, StorageDown, Undeliverable
from config.catalogue import Catalogue
from config.clock import Clock

logger = logging.getLogger("pagerunner.slack")

FirstTime = Callable[[str], Awaitable[bool]]
"""Durably remember a key for ever: True for the first caller. Raises :class:`StorageDown` if it cannot."""
Json = Mapping[str, Any]
Tell = Callable[[str], Awaitable[None]]

TELL_AGAIN = 5
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
    catalogue: Catalogue
    clock: Clock
    first_time: FirstTime
    audit: Callable[[Fact], Awaitable[None]]
    """Puts a fact on the installation's own timeline."""
    app_id: str = ""
    """Our app's id; requests meant for another app are refused. Empty: not checked."""
    command: str = "/oncall"
    duty: Duty | None = None
    """None: what people on call do besides deciding is not offered."""
    comms: Comms | None = None
    """None: priority, assignment and updates for stakeholders are not offered."""
    people: People | None = None
    """None: there is no Home tab."""
    follow: Following | None = None
    """None: follow-ups are not offered."""
    links: Links | None = None
    """None: no command line can be linked."""
    whole: bool = True
    """Whether the workspace sees what belongs to no team of its own, and may stop everything."""
    gone: Callable[[str], Awaitable[None]] | None = None
    """Told when the workspace took the app away, with why; None: nobody listens."""
    timeline_reaction: str = "pushpin"
    """The reaction that puts a message on the timeline; empty: none does."""


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
        try:
            await self._tell(user, place, text)
        except RetryLater as later:  # Slack waits for our acknowledgement, not for this.
            self.background(self._tell_later(user, place, text, later))
        except Undeliverable as error:
            logger.warning("slack_answer_lost", extra={"channel": place.channel, "reason": str(error)})

    async def _tell(self, user: str, place: Place, text: str) -> None:
        thread = place.thread_ts or None
        await ask(self.deps.client.chat_postEphemeral(channel=place.channel, user=user, text=text, thread_ts=thread))

    async def _tell_later(self, user: str, place: Place, text: str, later: RetryLater) -> None:
        problem: Exception = later
        for _ in range(TELL_AGAIN):
            await self.deps.clock.sleep(later.after_s)
            try:
                await self._tell(user, place, text)
                return
            except RetryLater as again:
                later = again
                problem = again
            except Undeliverable as error:
                problem = error
                break
        logger.warning("slack_answer_lost", extra={"channel": place.channel, "reason": str(problem)})

    async def written(self, text: str) -> str:
        """What a person wrote, mentions with their names; our own is left out."""
        us = await self.deps.workspace.us()
        names = {user: "" if user == us.bot_user_id else await self.name(user) for user in mentioned(text)}
        return written(text, names)

    async def name(self, user: str) -> str:
        """What people call a user; the id when Slack cannot say."""
        try:
            told = (await read(self.deps.client, "users.info", user=user)).get("user") or {}
        except (RetryLater, Undeliverable):
            return user
        return str((told.get("profile") or {}).get("display_name") or told.get("name") or user)

    async def ours(self, who: Principal) -> bool:
        """Whether somebody belongs to our workspace."""
        us = await self.deps.workspace.us()
        return bool(us.team_id) and who.id.startswith(f"slack:{us.team_id}/")

    async def incident_at(self, channel: str, ts: str) -> str | None:
        """The incident whose card this message is."""
        return await self.deps.records.incident_of(MessageRef(channel=channel, ts=ts)) if channel and ts else None

    async def incident_in(self, channel: str) -> str | None:
        """The incident whose own channel this is."""
        return await self.deps.records.incident_in(channel) if channel else None

    async def only_incident_in(self, channel: str) -> str | None:
        """The incident whose own channel this is; elsewhere the active one of the channel, if there is exactly one:
        also one that has a channel of its own, in the channel of its team."""
        own = await self.incident_in(channel)
        if own is not None:
            return own
        active = await self.deps.records.incidents()
        here = [i for i in active if i.channel == channel] or [i for i in active if self.home(i.team) == channel]
        return here[0].id if len(here) == 1 else None

    def home(self, team: str) -> str:
        """The channel of a team; empty without one."""
        owner = self.deps.catalogue.team(team)
        return owner.slack_channel if owner else ""

    async def home_of(self, channel: str) -> str:
        """The team's channel, seen from the incident's own; any other channel is its own."""
        own = await self.incident_in(channel)
        view = await self.deps.records.view(own) if own else None
        return view.room.home if view is not None and view.room is not None else channel

    async def insider(self, user: str) -> bool:
        """Whether Slack says now that this is a person of our workspace: neither a stranger nor a bot."""
        told = (await read(self.deps.client, "users.info", user=user)).get("user") or {}
        us = await self.deps.workspace.us()
        unfit = any(told.get(flag) for flag in ("deleted", "is_bot", "is_stranger"))
        return told.get("id") == user and told.get("team_id") == us.team_id and not unfit

    async def send(self, view: IncidentView, form: str, channel: str, seen: str, *, redaction: Redaction = "internal",
                   zone: str = "UTC") -> str:  # fmt: skip
        """Have the incident put below its card, or into ``channel`` if it has none; the words for whoever asked."""
        where = view.message or MessageRef(channel=channel, ts="")
        await self.deps.chat.must_be_ours(where.channel)
        await self.deps.desk.send(view.incident.id, seen, form, where, redaction=redaction, zone=zone)
        return f"{view.incident.id}.{form} follows in the {'thread of the card' if where.ts else 'channel'}."

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
