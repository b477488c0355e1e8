"""Who decides, in Slack: breaking the glass and reviewing that, linking a command line and unlinking it."""

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain import deciding, plan_card, wording
from bot.domain.ballot import open_debt
from bot.domain.proposal import Principal, ProposalState, VoteResult
from bot.domain.untrusted import clean, escape, line, quote
from bot.domain.view import MessageRef
from bot.edges import slack_deciding_forms as forms
from bot.edges import slack_modals
from bot.edges.slack_clicks import vote_words
from bot.edges.slack_client import ask
from bot.edges.slack_desk import DOWN, FOREIGN, Json, Place, Reception, key, principal
from bot.edges.slack_typed import Reply, Row, Typed, free, hint, meant
from bot.ports import StorageDown, Told, VoteContext

MAX_LISTED = 15
NO_LINKS = "This server links no command lines."


class Deciding:
    """Listeners for these forms, and rows for the table of commands."""

    def __init__(self, reception: Reception) -> None:
        self._ = reception
        self._deps = reception.deps

    def register(self, app: AsyncApp) -> None:
        """Tell Bolt what we listen to."""
        app.view(forms.GLASS)(self.broken)
        app.view(forms.REVIEW)(self.reviewed)
        app.view(forms.LINK)(self.linked)

    def rows(self) -> tuple[Row, ...]:
        """For the table of commands."""
        return (
            ("Deciding", "breakglass", "INCIDENT PLAN REASON", "approve this plan alone, if the policy lets you",
             self._break),
            ("Deciding", "debts", "", "break-glass approvals that nobody has reviewed", self._debts),
            ("Deciding", "review", "INCIDENT NOTE", "say that you reviewed its break-glass approval", self._review),
            ("People", "link", "[CODE]", "let a command line act as you; without a code: which do", self._link),
            ("People", "unlink", "[ID]", "take that back, for one or for all of yours", self._unlink),
        )  # fmt: skip

    # --- forms -------------------------------------------------------------------------------------------------------

    async def broken(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """The break-glass form: what is wrong stays in it, and it counts once."""
        about, who = slack_modals.metadata(view), principal(body["user"], body.get("team"))

        async def tell(text: str) -> None:
            await self._.tell(str(body["user"]["id"]), Place(channel=about.get("channel", "")), text)

        async def work() -> None:
            reason, problem = _said(view, "reason", forms.MAX_REASON)
            if problem:
                await ack(response_action="errors", errors={"reason": problem})
                return
            if not await self._deps.first_time(key("form", view.get("id"), body.get("trigger_id"))):
                return
            at = MessageRef(channel=about.get("channel", ""), ts=about.get("ts", ""))
            context = VoteContext(
                channel=at.channel, message_ts=at.ts, incident_id=await self._.incident_at(at.channel, at.ts) or ""
            )
            await tell(await self._alone(about.get("proposal", ""), about.get("hash", ""), who, context, reason))

        await self._.guarded(tell, work())
        if ack.response is None:
            await ack()

    async def reviewed(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """The review form."""
        about, who = slack_modals.metadata(view), principal(body["user"], body.get("team"))

        async def tell(text: str) -> None:
            await self._.tell(str(body["user"]["id"]), Place(channel=about.get("channel", "")), text)

        async def work() -> None:
            note, problem = _said(view, "note", forms.MAX_NOTE)
            if not await self._.ours(who):
                await tell(FOREIGN)
            elif problem:
                await ack(response_action="errors", errors={"note": problem})
            elif await self._deps.first_time(key("form", view.get("id"), body.get("trigger_id"))):
                told = await self._deps.desk.review(about.get("proposal", ""), note, who)
                await tell(escape(told.text))

        await self._.guarded(tell, work())
        if ack.response is None:
            await ack()

    async def linked(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """The person says that the command line is theirs."""
        await ack()
        about, who = slack_modals.metadata(view), principal(body["user"], body.get("team"))

        async def tell(text: str) -> None:
            await self._.tell(str(body["user"]["id"]), Place(channel=about.get("channel", "")), text)

        async def work() -> None:
            if not await self._mine(who) or self._deps.links is None:
                await tell(FOREIGN)
            elif await self._deps.first_time(key("form", view.get("id"), body.get("trigger_id"))):
                await tell(escape((await self._deps.links.claim(about.get("code", ""), who)).text))

        await self._.guarded(tell, work())

    # --- commands ----------------------------------------------------------------------------------------------------

    async def _break(self, typed: Typed) -> Reply:
        name = f"{self._deps.command} breakglass INCIDENT PLAN REASON"
        view = await meant(self._, _first(typed), at_most=1)
        if isinstance(view, Reply):
            return view
        code = typed.words[1].lower() if len(typed.words) > 1 else ""
        pv = next((pv for pv in reversed(view.proposals) if len(code) >= plan_card.CODE
                   and pv.proposal.plan_hash.startswith(code)), None)  # fmt: skip
        if pv is None or pv.proposal.state is not ProposalState.OPEN:
            return Reply(text=f"Nothing was done. Name the plan that you see on the card: `{name}`")
        posted = view.message or MessageRef(channel="", ts="")
        context = VoteContext(channel=posted.channel, message_ts=posted.ts, incident_id=view.incident.id)
        reason = (await free(self._, typed.written[2:]))[: forms.MAX_REASON]
        return Reply(text=await self._alone(pv.proposal.id, pv.proposal.plan_hash, typed.who, context, reason))

    async def _debts(self, typed: Typed) -> Reply:  # noqa: ARG002 - one signature for all commands
        found = await self._deps.records.debts()
        lines = [f"`{one.incident_id}` {escape(line(one.service, 60))}, {wording.moment(one.at)}: "
                 f"{escape(deciding.debt_line(one, one.at))}." for one in found[:MAX_LISTED]]  # fmt: skip
        if len(found) > MAX_LISTED:
            lines.append(f"and {len(found) - MAX_LISTED} more; `pagerunner audit debts` lists all")
        if lines:
            lines.append(f"Another approver settles it: *Reviewed* on the card, or `{self._deps.command} review`.")
        return Reply(text="\n".join(lines) or "Nobody has approved anything alone that is not reviewed.")

    async def _review(self, typed: Typed) -> Reply:
        view = await meant(self._, _first(typed), at_most=1)
        if isinstance(view, Reply):
            return view
        debt = open_debt(view)
        if debt is None:
            return Reply(text=f"{view.incident.id} has no break-glass approval that waits for a review.")
        note = (await free(self._, typed.written[1:]))[: forms.MAX_NOTE]
        return _told(await self._deps.desk.review(debt.proposal_id, note, typed.who))

    async def _link(self, typed: Typed) -> Reply:
        links = self._deps.links
        if links is None:
            return Reply(text=NO_LINKS)
        if not typed.words:
            return await self._listed(typed.who)
        if not await self._mine(typed.who):
            return Reply(text=FOREIGN)
        code = "".join(typed.words)
        asked = await links.asked(code, typed.who)
        if isinstance(asked, Told):
            return _told(asked)
        form = forms.link_view(asked, code, {"channel": typed.channel})
        await ask(self._deps.client.views_open(trigger_id=typed.trigger_id, view=form))
        return Reply(text="Look at the form, and link only what is yours.")

    async def _listed(self, who: Principal) -> Reply:
        found = await self._deps.links.links(who.id) if self._deps.links else []
        lines = [
            f"`{one.id}` {quote(one.label, 80)}, since {wording.moment(one.made_at)}"
            + (f", used {wording.moment(one.used_at)}" if one.used_at else ", not used yet")
            + ("" if one.active else " (waits for its confirmation there)")
            for one in found[:MAX_LISTED]
        ]
        if not lines:
            return Reply(text=f"No command line acts as you. `pagerunner link` there makes a code for "
                              f"`{self._deps.command} link CODE`.")  # fmt: skip
        return Reply(text="\n".join(["*Command lines that act as you:*", *lines,
                                     f"`{self._deps.command} unlink ID` takes one back."]))  # fmt: skip

    async def _unlink(self, typed: Typed) -> Reply:
        links = self._deps.links
        if links is None:
            return Reply(text=NO_LINKS)
        if len(typed.words) > 1:
            return Reply(text=f"Give one id, or none for all of yours. {hint(self._)}")
        wanted = typed.words[:1] or [one.id for one in await links.links(typed.who.id)]
        told = [await links.end(one, typed.who, only_of=typed.who.id) for one in wanted]
        return Reply(text=escape("\n".join(one.text for one in told)) or "No command line acts as you.")

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _alone(self, proposal_id: str, plan_hash: str, who: Principal, context: VoteContext, reason: str) -> str:
        """The desk judges it, with all that a click on Approve is judged by."""
        try:
            result = await self._deps.desk.vote(
                proposal_id, plan_hash, "approve", who, context, reason, break_glass=True
            )
        except StorageDown:
            return DOWN
        said = await vote_words(self._, proposal_id, result, who)
        return f"{said} Somebody else has to review it." if result is VoteResult.APPROVED else said

    async def _mine(self, who: Principal) -> bool:
        """Whether Slack says now that this is a person of our own workspace."""
        return await self._.ours(who) and await self._.insider(who.id.partition("/")[2])


def _said(view: Json, block: str, most: int) -> tuple[str, str]:
    """What was written, and what is wrong with it."""
    text = slack_modals.read(view).get(block, "").strip()
    if clean(text, lines=True)[1]:
        return "", "This contains characters that cannot be seen. Type it instead of pasting it."
    if sum(letter.isalnum() for letter in text) < 3:
        return "", "Say it in a few words; it goes on the timeline."
    return (text, "") if len(text) <= most else ("", f"{len(text):,} characters; at most {most:,} fit.")


def _first(typed: Typed) -> Typed:
    return Typed(words=typed.words[:1], written=typed.written[:1], who=typed.who, user=typed.user,
                 channel=typed.channel, trigger_id=typed.trigger_id)  # fmt: skip


def _told(told: Told) -> Reply:
    return Reply(text=escape(told.text))
