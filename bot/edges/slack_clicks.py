"""Buttons and modals: every press is checked to come from our own card, counted once, and answered in words."""

from typing import Any, Literal, cast

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain import conversation, deciding, wording
from bot.domain.ballot import Button, open_debt
from bot.domain.presentation import Redaction
from bot.domain.proposal import Principal, Proposal, VoteResult
from bot.domain.untrusted import escape, line
from bot.domain.view import MessageRef
from bot.edges import slack_blocks, slack_modals
from bot.edges import slack_deciding_forms as forms
from bot.edges.slack_blocks import Pressed, action_id
from bot.edges.slack_client import Refused, ask
from bot.edges.slack_desk import DOWN, FOREIGN, Json, Place, Reception, key, principal
from bot.ports import Declaration, StorageDown, Told, VoteContext

_BUTTONS: tuple[Button, ...] = ("approve", "reject", "edit", "another", "done", "did", "why", "acknowledge",
                                "escalate", "right_cause", "wrong_cause", "noise")  # fmt: skip
_TOO_LATE = "Slack gave me too little time to open the form. Please press the button again."


ALONE: tuple[Button, ...] = ("glass", "again", "reviewed")
"""Buttons around who decides; their forms are in :mod:`bot.edges.slack_deciding`."""


class Clicks:
    """Listeners for block actions and view submissions."""

    def __init__(self, reception: Reception) -> None:
        self._ = reception
        self._deps = reception.deps

    def register(self, app: AsyncApp) -> None:
        """Tell Bolt what we listen to. No lazy listeners: their header could skip the checks."""
        for button in _BUTTONS:
            app.action(action_id(button))(self.clicked)
        for name in ALONE:
            app.action(action_id(name))(self.clicked)
        app.view(slack_modals.EDIT)(self.edited)
        app.view(slack_modals.DID)(self.told)
        app.view(slack_modals.EXPORT)(self.chosen)
        app.view(slack_modals.DECLARE)(self.declared)

    async def clicked(self, ack: AsyncAck, body: Json) -> None:
        """A button of a card."""
        await ack()
        action, container = body["actions"][0], body.get("container") or {}
        channel = str(container.get("channel_id") or (body.get("channel") or {}).get("id") or "")
        ts = str(container.get("message_ts") or "")
        who = principal(body["user"], body.get("team"))
        place = Place(channel=channel, thread_ts="")

        async def tell(text: str) -> None:
            await self._.tell(str(body["user"]["id"]), place, text)

        async def work() -> None:
            seen = key("click", action.get("action_ts"), body["user"]["id"], channel, ts, action.get("action_id"))
            if await self._deps.first_time(seen):
                answer = await self._act(body, action, MessageRef(channel=channel, ts=ts), who)
                if answer:
                    await tell(answer)

        await self._.guarded(tell, work())

    async def edited(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """The Edit form: errors stay in the form, a new proposal closes it."""
        about, who = slack_modals.metadata(view), principal(body["user"], body.get("team"))
        place = Place(channel=about.get("channel", ""), thread_ts="")

        async def tell(text: str) -> None:
            await self._.tell(str(body["user"]["id"]), place, text)

        async def work() -> None:
            proposal = await self._deps.records.proposal(about.get("proposal", ""))
            if proposal is None or proposal.plan_hash != about.get("hash"):
                await tell(wording.vote(VoteResult.STALE_PLAN))
                return
            form = slack_modals.read_edit(view, proposal.plan)
            if form.errors:
                await ack(response_action="errors", errors=dict(form.errors))
            elif not await self._.ours(who):
                await tell(FOREIGN)
            elif await self._deps.first_time(key("form", view.get("id"), body.get("trigger_id"))):
                told = await self._deps.desk.edit(proposal.id, form.values, who)
                if told.ok:
                    await tell(escape(told.text))
                else:
                    await ack(response_action="errors", errors=slack_modals.errors_of(told.text, proposal.plan))

        await self._.guarded(tell, work())
        if ack.response is None:
            await ack()

    async def told(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """What somebody did by themselves goes on the timeline."""
        await ack()
        about, who = slack_modals.metadata(view), principal(body["user"], body.get("team"))

        async def tell(text: str) -> None:
            await self._.tell(str(body["user"]["id"]), Place(channel=about.get("channel", "")), text)

        async def work() -> None:
            text = slack_modals.read(view).get("text", "").strip()[:1_000]
            if not await self._.ours(who):
                await tell(FOREIGN)
            elif text and await self._deps.first_time(key("form", view.get("id"), body.get("trigger_id"))):
                told = await self._deps.desk.note(about.get("incident", ""), "person_did", text, who)
                await tell(escape(told.text))

        await self._.guarded(tell, work())

    async def chosen(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """The Export form: what is wrong stays in the form."""
        about, who = slack_modals.metadata(view), principal(body["user"], body.get("team"))

        async def tell(text: str) -> None:
            await self._.tell(str(body["user"]["id"]), Place(channel=about.get("channel", "")), text)

        async def work() -> None:
            form = slack_modals.read_export(view)
            known = await self._.view(form.values.get("incident", ""))
            wrong = dict(form.errors) if known else {"incident": "There is no such incident any more.", **form.errors}
            if not await self._.ours(who):
                await tell(FOREIGN)
            elif wrong or known is None:
                await ack(response_action="errors", errors=wrong)
            elif await self._deps.first_time(key("form", view.get("id"), body.get("trigger_id"))):
                seen, chosen = key("export", view.get("id"), body.get("trigger_id")), form.values
                level = cast("Redaction", chosen["redaction"])
                channel = about.get("channel", "")
                await tell(
                    await self._.send(known, chosen["form"], channel, seen, redaction=level, zone=chosen["zone"])
                )

        await self._.guarded(tell, work())
        if ack.response is None:
            await ack()

    async def declared(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """The Declare form: what is wrong stays in the form; one form opens one incident."""
        about, who = slack_modals.metadata(view), principal(body["user"], body.get("team"))
        services = {one.name for one in self._deps.catalogue.services}

        async def tell(text: str) -> None:
            await self._.tell(str(body["user"]["id"]), Place(channel=about.get("channel", "")), text)

        async def work() -> None:
            form = slack_modals.read_declare(view, services)
            if not await self._.ours(who):
                await tell(FOREIGN)
            elif form.errors:
                await ack(response_action="errors", errors=dict(form.errors))
            elif self._deps.duty is not None:
                try:
                    told = await self._deps.duty.declare(_declaration(view, form), who)
                except StorageDown:  # What was typed stays in the form.
                    await ack(response_action="errors", errors={"title": DOWN})
                    return
                await tell(escape(told.text))

        await self._.guarded(tell, work())
        if ack.response is None:
            await ack()

    # --- what each button does ---------------------------------------------------------------------------------------

    async def _act(self, body: Json, action: Json, at: MessageRef, who: Principal) -> str:
        """Do what the button says; returns the words for whoever pressed it."""
        name = str(action.get("action_id") or "").removeprefix(slack_blocks.PREFIX)
        value = str(action.get("value") or "")
        if name in ("approve", "reject"):
            return await self._vote(name, value, at, who)  # type: ignore[arg-type]
        here = await self._.incident_at(at.channel, at.ts)
        if here is None:
            return wording.vote(VoteResult.CONTEXT_MISMATCH)
        if not await self._.ours(who):
            return FOREIGN
        if name in ("edit", "another", "done", "glass"):
            return await self._about_proposal(name, value, here, body, at, who)
        if slack_blocks.pressed_incident(value) != here:
            return wording.vote(VoteResult.CONTEXT_MISMATCH)
        return await self._about_incident(name, here, body, at, who)

    async def _vote(self, decision: Literal["approve", "reject"], value: str, at: MessageRef, who: Principal) -> str:
        """The desk judges every vote, the refused ones too: they belong on the timeline."""
        ballot = slack_blocks.pressed(value)
        if ballot is None:
            return wording.vote(VoteResult.CONTEXT_MISMATCH)
        here = await self._.incident_at(at.channel, at.ts)
        context = VoteContext(channel=at.channel, message_ts=at.ts, incident_id=here or "")
        result = await self._deps.desk.vote(ballot.proposal_id, ballot.plan_hash, decision, who, context)
        return await vote_words(self._, ballot.proposal_id, result, who)

    async def _about_proposal(
        self, name: str, value: str, here: str, body: Json, at: MessageRef, who: Principal
    ) -> str:
        ballot = slack_blocks.pressed(value)
        proposal = await self._deps.records.proposal(ballot.proposal_id) if ballot else None
        why_not = _mismatch(ballot, proposal, here)
        if why_not is not None or proposal is None:
            return wording.vote(why_not or VoteResult.NOT_FOUND)
        if name == "edit":
            place = {"channel": at.channel, "incident": here}
            return await self._open(body, slack_modals.edit_view(proposal, place))
        if name == "glass":
            place = {"channel": at.channel, "ts": at.ts, "incident": here}
            return await self._open(body, forms.glass_view(proposal, place))
        desk = self._deps.desk
        told = await (desk.another(proposal.id, who) if name == "another" else desk.done(proposal.id, who))
        return escape(told.text)

    async def _about_incident(self, name: str, here: str, body: Json, at: MessageRef, who: Principal) -> str:
        told: Told | None = None
        match name:
            case "why":
                return await self._why(here)
            case "did":
                return await self._open(body, slack_modals.did_view(here, {"channel": at.channel}))
            case "reviewed":
                view = await self._deps.records.view(here)
                debt = open_debt(view) if view else None
                if debt is None:
                    return "There is nothing left to review. Nothing was done."
                return await self._open(body, forms.review_view(debt, {"channel": at.channel}))
            case "again":
                told = await self._deps.desk.again(here, who)
            case "right_cause" | "wrong_cause" | "noise" if self._deps.duty is not None:
                told = await self._deps.duty.judge(here, name, who)
            case "acknowledge" | "escalate":
                told = await self._deps.desk.command(here, name, who)
        return escape(told.text) if told else ""

    async def _why(self, incident_id: str) -> str:
        """The short answer to whoever asked; the long one in the thread, once for each state of knowledge."""
        view = await self._deps.records.view(incident_id)
        if view is None:
            return wording.vote(VoteResult.NOT_FOUND)
        answer = conversation.answer("why", view).text
        if not view.findings:
            return answer
        await self._deps.desk.explain(incident_id)
        return f"{answer}\nThe evidence is in the thread."

    async def _open(self, body: Json, view: dict[str, Any]) -> str:
        try:
            await ask(self._deps.client.views_open(trigger_id=str(body.get("trigger_id") or ""), view=view))
        except Refused as refused:
            if "trigger" in refused.code:
                return _TOO_LATE
            raise
        return ""


async def vote_words(reception: Reception, proposal_id: str, result: VoteResult, who: Principal) -> str:
    """What became of a vote, with the count, the team or the reason where that helps."""
    personal = result in (VoteResult.NOT_APPROVER, VoteResult.NO_BREAK_GLASS)
    proposal = await reception.deps.records.proposal(proposal_id)
    if proposal is None or not (personal or result is VoteResult.RECORDED):
        return wording.vote(result)
    view = await reception.deps.records.view(proposal.plan.incident_id)
    if personal:
        why = deciding.why_denied(view, proposal_id, who.id) if view else ""
        said = f"{wording.vote(result)} {escape(why[:1].upper() + why[1:])}".rstrip().removesuffix(".") + "."
        team = escape(line(proposal.plan.approver_team))
        return f"{said} Team {team} decides this." if team and result is VoteResult.NOT_APPROVER else said
    votes = [pv.votes for pv in view.proposals if pv.proposal.id == proposal_id] if view else []
    have = sum(1 for vote in (votes[0] if votes else ()) if vote.decision == "approve")
    return wording.vote(result, have, proposal.plan.min_approvers)


def _declaration(view: Json, form: slack_modals.Form) -> Declaration:
    given = form.values
    return Declaration(key=key(view.get("id")).removeprefix("slack:"), service=given["service"], title=given["title"],
                       seen=given.get("seen", ""))  # fmt: skip


def _mismatch(ballot: Pressed | None, proposal: Proposal | None, here: str) -> VoteResult | None:
    if ballot is None:
        return VoteResult.CONTEXT_MISMATCH
    if proposal is None:
        return VoteResult.NOT_FOUND
    if proposal.plan.incident_id != here:
        return VoteResult.CONTEXT_MISMATCH
    return None if proposal.plan_hash == ballot.plan_hash else VoteResult.STALE_PLAN
