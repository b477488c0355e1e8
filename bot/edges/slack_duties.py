"""``/oncall`` around an incident: declare, page, probe, look up, snooze, hand over, write down. Acts are told in the
card's thread, lookups to whoever asked."""

import asyncio
import re
from dataclasses import dataclass, replace
from typing import cast

from bot.domain import wording
from bot.domain.drills import SEEN
from bot.domain.handover import ROLES
from bot.domain.untrusted import escape, line, quote
from bot.edges import slack_modals
from bot.edges.slack_client import ask
from bot.edges.slack_desk import Place, Reception, key
from bot.edges.slack_typed import Reply, Row, Typed, free, hint, leading, meant
from bot.ports import Duty, Role, Told
from knowledge.model import Retrieval

SEARCH_S = 2.0
"""A search that takes longer is answered afterwards: Slack waits three seconds."""
MAX_SHOWN = 15
HOURS = 24
DRILL = (
    "A drill is a real incident of a simulated application on your own machine: it never touches what runs here. "
    "Start one in a terminal; `pagerunner drill run surprise` does not tell which it is."
)
_SPAN = re.compile(r"([0-9]{1,5})(m|min|h|d)", re.ASCII)
_MINUTES = {"m": 1, "min": 1, "h": 60, "d": 24 * 60}


@dataclass(frozen=True, slots=True)
class Duties:
    """Commands over :class:`bot.ports.Duty`."""

    reception: Reception
    duty: Duty

    def rows(self) -> tuple[Row, ...]:
        """For the table of commands."""
        return (
            ("Incidents", "declare", "", "open an incident by hand, in a form", self._declare),
            ("Incidents", "snooze", "[INCIDENT] 30m", "quiet in the pager for so long", self._snooze),
            ("Incidents", "handoff", "[INCIDENT] [to PERSON]", "what one needs to know in 60 seconds, in the thread",
             self._handoff),
            ("Finding out", "probe", "NAME [INCIDENT]", "read one probe now; the answer comes into the thread",
             self._probe),
            ("Finding out", "runbook", "WORDS", "which runbooks fit, and why", self._runbook),
            ("Finding out", "changes", "[HOURS]", "what was changed, newest first", self._changes),
            ("People", "page", "PERSON|POLICY|TEAM [because WHY]", "have PagerDuty page somebody", self._page),
            ("People", "role", "commander|scribe|comms [@PERSON]", "take a role, or give it to somebody", self._role),
            ("Record", "timeline", "add [INCIDENT] TEXT", "put a text on the timeline", self._timeline),
            ("More", "drill", "", "how to practise, and what there is", self._drill),
        )  # fmt: skip

    # --- acts --------------------------------------------------------------------------------------------------------

    async def _declare(self, typed: Typed) -> Reply:
        deps = self.reception.deps
        home = await self.reception.home_of(typed.channel)
        services = sorted(deps.catalogue.services, key=lambda one: (self.reception.home(one.team) != home, one.name))
        form = slack_modals.declare_view(services, {"channel": typed.channel})
        await ask(deps.client.views_open(trigger_id=typed.trigger_id, view=form))
        return Reply(text="Say in the form what you see.")

    async def _page(self, typed: Typed) -> Reply:
        typed, view = await leading(self.reception, typed)
        if isinstance(view, Reply):
            return view
        whom, why = _split(typed.written, "because")
        if not whom:
            return self._usage("page", "Say whom: a name, an e-mail address, an escalation policy or a team.")
        target, reason = await free(self.reception, whom), await free(self.reception, why)
        told = await self.duty.page(view.incident.id, target.removeprefix("@"), reason[:500], typed.who, _act(typed))
        return _told(told)

    async def _snooze(self, typed: Typed) -> Reply:
        spans = [_SPAN.fullmatch(word.lower()) for word in typed.words]
        span = next((found for found in spans if found), None)
        if span is None:
            return self._usage("snooze", "Say for how long, such as 30m, 2h or 1d.")
        rest = tuple(word for word, found in zip(typed.words, spans, strict=True) if not found)
        view = await meant(self.reception, replace(typed, words=rest), at_most=1)
        if isinstance(view, Reply):
            return view
        minutes = int(span[1]) * _MINUTES[span[2]]
        return _told(await self.duty.snooze(view.incident.id, minutes, typed.who, _act(typed)))

    async def _handoff(self, typed: Typed) -> Reply:
        typed, view = await leading(self.reception, typed)
        if isinstance(view, Reply):
            return view
        if typed.words and typed.words[0].lower() != "to":
            return self._usage("handoff", f"I do not know what {quote(' '.join(typed.words), 60)} means here.")
        to = await free(self.reception, typed.written[1:])
        if typed.words and not to:
            return self._usage("handoff", "Say to whom.")
        return _told(await self.duty.handoff(view.incident.id, to.removeprefix("@"), typed.who, _act(typed)))

    async def _role(self, typed: Typed) -> Reply:
        typed, view = await leading(self.reception, typed)
        if isinstance(view, Reply):
            return view
        role = typed.words[0].lower() if typed.words else ""
        if role not in ROLES:
            listed = ", ".join(f"{name} ({does})" for name, does in ROLES.items())
            return self._usage("role", f"The roles are: {listed}.")
        holder = (await free(self.reception, typed.written[1:])).removeprefix("@")
        return _told(await self.duty.take_role(view.incident.id, cast("Role", role), holder, typed.who, _act(typed)))

    async def _timeline(self, typed: Typed) -> Reply:
        if not typed.words or typed.words[0].lower() != "add":
            return self._usage("timeline", "There is `add`; `pagerunner timeline` can do more.")
        typed, view = await leading(self.reception, replace(typed, words=typed.words[1:], written=typed.written[1:]))
        if isinstance(view, Reply):
            return view
        if not typed.words:
            return self._usage("timeline", "Say what happened.")
        text = await free(self.reception, typed.written)
        return _told(await self.duty.add(view.incident.id, text, typed.who, _act(typed)))

    async def _probe(self, typed: Typed) -> Reply:
        name = typed.words[0].lower() if typed.words else "?"
        view = await meant(self.reception, replace(typed, words=typed.words[1:]), at_most=1)
        if isinstance(view, Reply):
            return view
        return _told(await self.duty.probe(view.incident.id, name, typed.who, _act(typed)))

    # --- lookups -----------------------------------------------------------------------------------------------------

    async def _runbook(self, typed: Typed) -> Reply:
        words = typed.words[1:] if typed.words[:1] == ("search",) else typed.words
        if not words:
            return self._usage("runbook", "Say what you see, in the words of a page.")
        incident = await self.reception.only_incident_in(typed.channel)
        search = asyncio.ensure_future(self.duty.search(" ".join(words), incident or ""))
        done, _ = await asyncio.wait([search], timeout=SEARCH_S)
        if done:
            return Reply(text=_matches(search.result()))

        async def later() -> None:
            await self.reception.tell(typed.user, Place(channel=typed.channel), _matches(await search))

        self.reception.background(later())
        return Reply(text="This takes a moment; the answer follows.")

    async def _changes(self, typed: Typed) -> Reply:
        asked = typed.words[0].removesuffix("h") if typed.words else str(HOURS)
        if len(typed.words) > 1 or not (asked.isascii() and asked.isdecimal() and 1 <= int(asked[:6]) <= 744):
            return self._usage("changes", "Say how many hours back, 1 to 744.")
        deps = self.reception.deps
        home = await self.reception.home_of(typed.channel)
        services = [one.name for one in deps.catalogue.services if self.reception.home(one.team) == home]
        where = "the services of this channel" if services else "all services"
        seen = services if services or deps.whole else [one.name for one in deps.catalogue.services]
        found = await self.duty.changes(seen, int(asked))
        if not found:
            return Reply(text=f"Nobody told of a change of {where} in the last {asked} h. "
                              "Changes are told with `POST /changes`.")  # fmt: skip
        lines = [f"*{wording.plural(len(found), 'change')}* of {where} in the last {asked} h, newest first:"]
        for one in found[:MAX_SHOWN]:
            moved = f", {quote(one.before, 40)} → {quote(one.after, 40)}" if one.before or one.after else ""
            by = f", {quote(one.actor, 40)}" if one.actor else ""
            lines.append(f"{wording.moment(one.at)} {escape(line(one.kind, 20))} of {escape(line(one.service, 60))}: "
                         f"{quote(one.summary, 120)}{moved}{by} `{escape(line(one.id, 60))}`")  # fmt: skip
        if len(found) > MAX_SHOWN:
            lines.append(f"and {len(found) - MAX_SHOWN} more")
        return Reply(text="\n".join(lines))

    async def _drill(self, typed: Typed) -> Reply:  # noqa: ARG002 - one signature for all commands
        lines = [f"`pagerunner drill run {name}`  {seen}" for name, seen in SEEN.items()]
        return Reply(text="\n".join([DRILL, *lines]))

    # --- what was meant ----------------------------------------------------------------------------------------------

    def _usage(self, name: str, problem: str) -> Reply:
        usage = next(row[2] for row in self.rows() if row[1] == name)
        return Reply(text=f"{problem} Usage: `{self.reception.deps.command} {name} {usage}`. {hint(self.reception)}")


def _act(typed: Typed) -> str:
    return key("act", typed.trigger_id, typed.user)


def _told(told: Told) -> Reply:
    return Reply(text=escape(told.text))


def _split(words: tuple[str, ...], at: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lowered = [word.lower() for word in words]
    place = lowered.index(at) if at in lowered else len(words)
    return words[:place], words[place + 1 :]


def _matches(found: Retrieval) -> str:
    """What fits, with scores and why."""
    lines = [escape(line(found.notice, 200))] if found.notice else []
    if not found.matches:
        return "\n".join([*lines, "No runbook fits these words."])
    for number, match in enumerate(found.matches[:5], start=1):
        numbers = f"score {match.score:.3f}, belief {wording.percent(match.prior)}"
        where = f"best at `{escape(line(match.best_chunk, 100))}`"
        what = f"*{escape(line(match.title, 100))}* `{escape(line(match.document, 80))}`"
        lines.append(f"{number}. {what}, {numbers}, {where}")
        lines += [f"     {quote(reason.text, 160)} ({reason.contribution:+.3f})" for reason in match.reasons[:2]]
    return "\n".join(lines)
