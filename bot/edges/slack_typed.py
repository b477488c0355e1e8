"""A slash command as it was typed, and which incident it means."""

import difflib
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from bot.domain.proposal import Principal
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView
from bot.edges.slack_desk import Json, Reception

GROUPS = ("Incidents", "Finding out", "People", "Deciding", "Record", "More")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What only the person who typed sees: mrkdwn that is already escaped, and blocks where they help."""

    text: str
    blocks: Sequence[Json] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Typed:
    """A command as it was typed."""

    words: tuple[str, ...]
    written: tuple[str, ...] = ()
    """The same words in Slack's own notation, in which mentions and links are told from what only looks like them."""
    who: Principal
    user: str
    channel: str
    trigger_id: str


Run = Callable[[Typed], Awaitable[Reply]]
Row = tuple[str, str, str, str, Run]
"""Group, name, usage, what it does, and how."""


@dataclass(frozen=True, slots=True)
class Command:
    """A row of the table of commands."""

    group: str
    name: str
    usage: str
    about: str
    run: Run

    def shown(self, slash: str) -> str:
        """Its line in the help."""
        return f"`{slash} {self.name} {self.usage}`".replace(" `", "`") + f"  {self.about}"


def hint(reception: Reception) -> str:
    """Where the list of commands is."""
    return f"`{reception.deps.command} help` shows what there is."


async def free(reception: Reception, words: Sequence[str]) -> str:
    """Free text as its author saw it: mentions with their names."""
    return await reception.written(" ".join(words)) if words else ""


async def leading(reception: Reception, typed: Typed) -> tuple[Typed, IncidentView | Reply]:
    """The incident, which may be named by the first word; and the words without it."""
    named = await reception.view(typed.words[0]) if typed.words else None
    if named is not None:
        return replace(typed, words=typed.words[1:], written=typed.written[1:]), named
    if typed.words and re.fullmatch(r"inc-[0-9a-z-]+", typed.words[0]):
        return typed, await meant(reception, replace(typed, words=typed.words[:1]), at_most=1)
    return typed, await meant(reception, replace(typed, words=()), at_most=1)


async def meant(reception: Reception, typed: Typed, *, at_most: int) -> IncidentView | Reply:
    """The incident that was named, or the only one of this channel; otherwise what to type."""
    if len(typed.words) > at_most:
        extra = " ".join(typed.words[at_most:])
        return Reply(text=f"I do not know what {quote(extra, 60)} means here. {hint(reception)}")
    if typed.words:
        view = await reception.view(typed.words[0])
        if view is not None:
            return view
        known = [each.id for each in await reception.deps.records.incidents(active_only=False)]
        near = difflib.get_close_matches(typed.words[0], known, n=1)
        told = f"Did you mean `{near[0]}`?" if near else f"`{reception.deps.command} list` shows what there is."
        return Reply(text=f"There is no incident {quote(typed.words[0], 60)}. {told}")
    only = await reception.only_incident_in(typed.channel)
    view = await reception.deps.records.view(only) if only else None
    if view is None:
        return Reply(text=f"Which incident? `{reception.deps.command} list` shows what there is.")
    return view
