"""``/oncall``: everything the buttons do, and more, by typing. Every refusal says what to type instead."""

import difflib
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain import card, conversation, plan_card, wording
from bot.domain.incident import Incident
from bot.domain.proposal import ProposalState, VoteResult
from bot.domain.untrusted import clean, escape, line, quote
from bot.domain.view import IncidentView, MessageRef, ProposalView
from bot.edges import slack_blocks, slack_modals
from bot.edges.slack_clicks import vote_words
from bot.edges.slack_client import ask
from bot.edges.slack_comms import CommsCommands
from bot.edges.slack_deciding import Deciding
from bot.edges.slack_desk import FOREIGN, Json, Reception, key, principal
from bot.edges.slack_duties import Duties
from bot.edges.slack_followups import FollowCommands
from bot.edges.slack_text import unescaped
from bot.edges.slack_typed import GROUPS, Command, Reply, Row, Typed, free, hint, meant
from bot.ports import VoteContext

MAX_TEXT = 2_000
MAX_LISTED = 15
MOST = 200
"""Incidents that are counted for the end of a list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Commands:
    """Listeners for the slash command."""

    reception: Reception
    _table: dict[str, Command] = field(default_factory=dict)

    def register(self, app: AsyncApp) -> None:
        """Tell Bolt what we listen to."""
        rows: tuple[Row, ...] = (
            ("Incidents", "list", "", "incidents that are not over", self._list),
            ("Incidents", "show", "[INCIDENT]", "the card of an incident, for you alone", self._show),
            ("Incidents", "ack", "[INCIDENT]", "acknowledge, here and in the pager", self._acknowledge),
            ("Incidents", "escalate", "[INCIDENT]", "escalate in the pager", self._escalate),
            ("Incidents", "resolve", "[INCIDENT]", "resolve, here and in the pager", self._resolve),
            ("Finding out", "why", "[INCIDENT] [QUESTION]", "what we think and why, or any other question", self._why),
            ("Deciding", "approve", "INCIDENT PLAN", "approve exactly this plan", self._approve),
            ("Deciding", "reject", "INCIDENT PLAN [REASON]", "reject exactly this plan", self._reject),
            ("Deciding", "freeze", "SERVICE|* REASON", "stop all execution for a service, or for all", self._freeze),
            ("Deciding", "unfreeze", "SERVICE|*", "allow execution again", self._unfreeze),
            ("Record", "export", "[INCIDENT] [md|html|json|csv|pdf|docx]", "timeline and postmortem as a file",
             self._export),
            ("More", "help", "[COMMAND]", "this list", self._help),
        )  # fmt: skip
        deps = self.reception.deps
        duties = Duties(self.reception, deps.duty).rows() if deps.duty else ()
        comms = CommsCommands(self.reception, deps.comms).rows() if deps.comms else ()
        follows = FollowCommands(self.reception, deps.follow).rows() if deps.follow else ()
        more = Deciding(self.reception).rows()
        self._table.update({row[1]: Command(*row) for row in (*rows, *more, *duties, *comms, *follows)})
        app.command(self.reception.deps.command)(self.typed)

    async def typed(self, ack: AsyncAck, body: Json) -> None:
        """One slash command. Answered within Slack's three seconds, to the person alone."""
        replies: list[Reply] = []

        async def tell(text: str) -> None:
            replies.append(Reply(text=text))

        async def work() -> None:
            if await self.reception.deps.first_time(key("slash", body.get("trigger_id"), body.get("user_id"))):
                replies.append(await self._answer(body))

        await self.reception.guarded(tell, work())
        if not replies:
            await ack()
            return
        reply = replies[-1]
        blocks = [dict(block) for block in reply.blocks] or slack_blocks.mrkdwn_blocks(reply.text)
        text = slack_blocks.cut(reply.text)
        await ack({"response_type": "ephemeral", "text": text, "blocks": blocks})

    async def _answer(self, body: Json) -> Reply:
        who = principal({"id": body.get("user_id"), "username": body.get("user_name")}, {"id": body.get("team_id")})
        if not await self.reception.ours(who):
            return Reply(text=FOREIGN)
        raw = str(body.get("text") or "")
        text = unescaped(raw)
        if len(text) > MAX_TEXT:
            return Reply(text=f"That is {len(text):,} characters long; at most {MAX_TEXT:,} are read. {self._hint()}")
        cleaned, hidden = clean(text)
        if hidden:
            return Reply(text=f"That contains {hidden} invisible characters. Please type it anew. {self._hint()}")
        words = tuple(cleaned.split())
        written = tuple(clean(raw)[0].split())
        name = words[0].lower() if words else "help"
        command = self._table.get(name)
        if command is None:
            near = difflib.get_close_matches(name, self._table, n=1)
            meant = f" Did you mean `{near[0]}`?" if near else ""
            return Reply(text=f"There is no command {quote(words[0], 40)}.{meant} {self._hint()}")
        typed = Typed(
            words=words[1:], written=written[1:], who=who, user=str(body.get("user_id") or ""),
            channel=str(body.get("channel_id") or ""), trigger_id=str(body.get("trigger_id") or ""),
        )  # fmt: skip
        return await command.run(typed)

    # --- reading -----------------------------------------------------------------------------------------------------

    async def _help(self, typed: Typed) -> Reply:
        name = self.reception.deps.command
        wanted = self._table.get(typed.words[0].lower()) if typed.words else None
        if wanted is not None:
            return Reply(text=wanted.shown(name))
        lines = []
        for group in GROUPS:
            lines.append(f"*{group}*")
            lines += [command.shown(name) for command in self._table.values() if command.group == group]
        lines.append("INCIDENT is an id such as `inc-7f3a2c`, or the pager's; in a channel with one incident it may be")
        lines.append("left out. PLAN is the code that the card shows next to _Plan_.")
        lines.append("In the thread of a card: ask anything; `hint: …` has it investigated again with what you know,")
        lines.append("`note: …` and `did: …` put what you saw or did on the timeline.")
        if self.reception.deps.duty and self.reception.deps.timeline_reaction:
            reaction = self.reception.deps.timeline_reaction
            lines.append(f":{reaction}: on a message, or *Add to timeline* in its menu, puts it there, too.")
        return Reply(text="\n".join(lines))

    async def _list(self, typed: Typed) -> Reply:  # noqa: ARG002
        found = await self.reception.deps.records.incidents(limit=MOST)
        incidents, rest = found[:MAX_LISTED], len(found) - MAX_LISTED
        if not incidents:
            return Reply(text="There is no open incident.")
        lines = [
            f"`{each.id}` {wording.STATUS[each.status]}, {escape(line(each.service, 60))}, since "
            f"{wording.moment(each.opened_at)}: {quote(each.title, 80)}{self._own_channel(each)}"
            for each in incidents
        ]
        if rest > 0:
            least = "at least " if len(found) == MOST else ""
            lines.append(f"and {least}{rest} more; `pagerunner incidents` lists all")
        return Reply(text="\n".join(lines))

    def _own_channel(self, each: Incident) -> str:
        shared = (self.reception.home(each.team), self.reception.deps.catalogue.fallback_channel)
        return "" if each.channel in shared else f" <#{each.channel}>"

    async def _show(self, typed: Typed) -> Reply:
        view = await self._meant(typed, at_most=1)
        if isinstance(view, Reply):
            return view
        built = replace(card.build(view), buttons=())
        return Reply(text=slack_blocks.fallback_text(built), blocks=slack_blocks.card_blocks(built))

    async def _why(self, typed: Typed) -> Reply:
        first = typed.words[0] if typed.words else ""
        named = await self.reception.view(first) if first else None
        view = named or await self._meant(replace(typed, words=()), at_most=1)
        if isinstance(view, Reply):
            return view
        question = await free(self.reception, typed.written[1:] if named else typed.written) or "why"
        return Reply(text=conversation.answer(question, view).text)

    # --- deciding ----------------------------------------------------------------------------------------------------

    async def _approve(self, typed: Typed) -> Reply:
        return await self._vote(typed, "approve")

    async def _reject(self, typed: Typed) -> Reply:
        return await self._vote(typed, "reject")

    async def _vote(self, typed: Typed, decision: Literal["approve", "reject"]) -> Reply:
        """A vote names the plan that was seen: without its code nothing is counted, and the plan is shown."""
        view = await self._meant(replace(typed, words=typed.words[:1]), at_most=1)
        if isinstance(view, Reply):
            return view
        code = typed.words[1].lower() if len(typed.words) > 1 else ""
        pv = _votable(view, code)
        if pv is None:
            return self._which_plan(view, decision, code)
        proposal = pv.proposal
        posted = view.message or MessageRef(channel="", ts="")
        context = VoteContext(channel=posted.channel, message_ts=posted.ts, incident_id=view.incident.id)
        reason = (await free(self.reception, typed.written[2:]))[:500]
        desk = self.reception.deps.desk
        result = await desk.vote(proposal.id, proposal.plan_hash, decision, typed.who, context, reason)
        return Reply(text=await vote_words(self.reception, proposal.id, result, typed.who))

    def _which_plan(self, view: IncidentView, decision: str, code: str) -> Reply:
        pv = view.open_proposal
        if pv is None or pv.proposal.state is not ProposalState.OPEN:
            return Reply(text=wording.vote(VoteResult.NOT_OPEN if view.proposals else VoteResult.NOT_FOUND))
        now = plan_card.code(pv.proposal.plan_hash)
        wanted = f"`{self.reception.deps.command} {decision} {view.incident.id} {now}`"
        if len(code) >= plan_card.CODE:
            stale = f"{wording.vote(VoteResult.STALE_PLAN)} This is the plan now; to vote on it: {wanted}"
        else:
            stale = f"Nothing was done. To {decision} exactly this plan, type {wanted}"
        blocks = [*slack_blocks.mrkdwn_blocks(stale), *slack_blocks.plan_blocks(card.build(view))]
        return Reply(text=stale, blocks=blocks)

    async def _acknowledge(self, typed: Typed) -> Reply:
        return await self._command(typed, "acknowledge")

    async def _escalate(self, typed: Typed) -> Reply:
        return await self._command(typed, "escalate")

    async def _resolve(self, typed: Typed) -> Reply:
        return await self._command(typed, "resolve")

    async def _command(self, typed: Typed, what: Literal["acknowledge", "escalate", "resolve"]) -> Reply:
        view = await self._meant(typed, at_most=1)
        if isinstance(view, Reply):
            return view
        told = await self.reception.deps.desk.command(view.incident.id, what, typed.who)
        return Reply(text=escape(told.text))

    async def _freeze(self, typed: Typed) -> Reply:
        if len(typed.words) < 2:
            return self._usage("freeze", "Name a service (or `*` for everything) and the reason.")
        return await self._set_frozen(typed, on=True, reason=(await free(self.reception, typed.written[1:]))[:300])

    async def _unfreeze(self, typed: Typed) -> Reply:
        if not typed.words:
            return self._usage("unfreeze", "Name a service, or `*` for everything.")
        return await self._set_frozen(typed, on=False, reason=(await free(self.reception, typed.written[1:]))[:300])

    async def _set_frozen(self, typed: Typed, *, on: bool, reason: str) -> Reply:
        service = typed.words[0].lower() if typed.words[0] != "*" else "*"
        known = [each.name for each in self.reception.deps.catalogue.services]
        if service == "*" and not self.reception.deps.whole:
            return Reply(text="`*` is everything, in other workspaces too; it is said in the workspace of the fallback "
                              "channel, or with `pagerunner freeze`. Name a service.")  # fmt: skip
        if service != "*" and service not in known:
            near = difflib.get_close_matches(service, known, n=1)
            meant = f" Did you mean `{near[0]}`?" if near else f" There are: {', '.join(known[:20])}."
            return Reply(text=f"There is no service {quote(typed.words[0], 60)}.{meant}")
        told = await self.reception.deps.desk.freeze(service, on, reason, typed.who)
        return Reply(text=escape(told.text))

    # --- exporting ---------------------------------------------------------------------------------------------------

    async def _export(self, typed: Typed) -> Reply:
        if not typed.words:
            return await self._export_form(typed)
        form = typed.words[1].lower() if len(typed.words) > 1 else "md"
        if form not in slack_modals.FORMS:
            return self._usage("export", f"There is no form {quote(form, 20)}.")
        view = await self._meant(replace(typed, words=typed.words[:1]), at_most=1)
        if isinstance(view, Reply):
            return view
        seen = key("export", typed.trigger_id, typed.user)
        return Reply(text=await self.reception.send(view, form, typed.channel, seen))

    async def _export_form(self, typed: Typed) -> Reply:
        incidents = await self.reception.deps.records.incidents(active_only=False, limit=50)
        if not incidents:
            return Reply(text="There is no incident to export.")
        own = await self.reception.only_incident_in(typed.channel) or ""
        form: dict[str, Any] = slack_modals.export_view(incidents, {"channel": typed.channel}, own)
        await ask(self.reception.deps.client.views_open(trigger_id=typed.trigger_id, view=form))
        return Reply(text="Choose an incident and a form.")

    async def _meant(self, typed: Typed, *, at_most: int) -> IncidentView | Reply:
        return await meant(self.reception, typed, at_most=at_most)

    def _usage(self, name: str, problem: str) -> Reply:
        return Reply(text=f"{problem} Usage: `{self.reception.deps.command} {name} {self._table[name].usage}`")

    def _hint(self) -> str:
        return hint(self.reception)


def _votable(view: IncidentView, code: str) -> ProposalView | None:
    """The proposal whose plan hash begins with what was typed: eight digits at least."""
    if len(code) < plan_card.CODE:
        return None
    return next((pv for pv in reversed(view.proposals) if pv.proposal.plan_hash.startswith(code)), None)
