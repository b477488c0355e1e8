"""``/oncall priority``, ``assign`` and ``update``, and the form in which a person edits and sends an update."""

from dataclasses import dataclass

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain.untrusted import escape
from bot.domain.view import IncidentView
from bot.edges import slack_blocks, slack_modals
from bot.edges.slack_client import Refused, ask
from bot.edges.slack_desk import DOWN, FOREIGN, Json, Place, Reception, key, principal
from bot.edges.slack_typed import Reply, Row, Typed, free, hint, leading
from bot.ports import Comms, StorageDown, Told

TOO_LATE = "Slack gave me too little time to open the form. Please try again."
ELSEWHERE = "This button is not below the card of its incident. Nothing was done; use `/oncall update`."


@dataclass(frozen=True, slots=True)
class CommsCommands:
    """Commands and listeners over :class:`bot.ports.Comms`."""

    reception: Reception
    comms: Comms

    def rows(self) -> tuple[Row, ...]:
        """For the table of commands."""
        return (
            ("Incidents", "priority", "[INCIDENT] [P2]", "set the priority in PagerDuty; alone, which there are",
             self._priority),
            ("People", "assign", "[INCIDENT] PERSON|POLICY|TEAM", "have PagerDuty assign it to somebody", self._assign),
            ("People", "update", "[INCIDENT]", "draft an update for stakeholders, to edit and send", self._update),
        )  # fmt: skip

    def register(self, app: AsyncApp) -> None:
        """Tell Bolt what we listen to."""
        app.action(slack_blocks.action_id("update"))(self.pressed)
        app.view(slack_modals.UPDATE)(self.submitted)

    # --- commands ----------------------------------------------------------------------------------------------------

    async def _priority(self, typed: Typed) -> Reply:
        typed, view = await leading(self.reception, typed)
        if isinstance(view, Reply):
            return view
        name = (await free(self.reception, typed.written))[:100]
        return _told(await self.comms.set_priority(view.incident.id, name, typed.who, _act(typed)))

    async def _assign(self, typed: Typed) -> Reply:
        typed, view = await leading(self.reception, typed)
        if isinstance(view, Reply):
            return view
        words = typed.written[1:] if typed.words[:1] == ("to",) else typed.written
        to = (await free(self.reception, words)).removeprefix("@")[:100]
        return _told(await self.comms.assign(view.incident.id, to, typed.who, _act(typed)))

    async def _update(self, typed: Typed) -> Reply:
        typed, view = await leading(self.reception, typed)
        if isinstance(view, Reply):
            return view
        if typed.words:
            return Reply(text=f"The text is written in the form. {hint(self.reception)}")
        told = await self._open(view, typed.trigger_id, typed.channel)
        return Reply(text=told or "Edit the draft in the form. Nothing is sent before you press Send.")

    # --- the form ----------------------------------------------------------------------------------------------------

    async def pressed(self, ack: AsyncAck, body: Json) -> None:
        """The button below a reminder."""
        await ack()
        action, container = body["actions"][0], body.get("container") or {}
        channel = str(container.get("channel_id") or "")
        below = container.get("thread_ts") or (body.get("message") or {}).get("thread_ts")
        who, place = principal(body["user"], body.get("team")), Place(channel=channel, thread_ts=str(below or ""))

        async def tell(text: str) -> None:
            await self.reception.tell(str(body["user"]["id"]), place, text)

        async def work() -> None:
            here = await self.reception.incident_at(channel, str(below or ""))
            meant = slack_blocks.pressed_incident(str(action.get("value") or ""))
            view = await self.reception.view(here) if here is not None and here == meant else None
            if not await self.reception.ours(who):
                await tell(FOREIGN)
            elif view is None:
                await tell(ELSEWHERE)
            else:
                problem = await self._open(view, str(body.get("trigger_id") or ""), channel)
                if problem:
                    await tell(problem)

        await self.reception.guarded(tell, work())

    async def submitted(self, ack: AsyncAck, body: Json, view: Json) -> None:
        """The form was sent: what is wrong stays in it with the text; one form sends one update."""
        about, who = slack_modals.metadata(view), principal(body["user"], body.get("team"))

        async def tell(text: str) -> None:
            await self.reception.tell(str(body["user"]["id"]), Place(channel=about.get("channel", "")), text)

        async def work() -> None:
            if not await self.reception.ours(who):
                await tell(FOREIGN)
                return
            try:
                told = await self.comms.send(
                    about.get("incident", ""), slack_modals.read(view).get("text", ""), who,
                    key("update", view.get("id")), after=about.get("after", ""), evidence=about.get("refs", "").split(),
                )  # fmt: skip
            except StorageDown:  # What was written stays in the form.
                told = Told(ok=False, text=DOWN)
            if told.ok:
                await tell(escape(told.text))
            else:
                await ack(response_action="errors", errors={"text": told.text[:1_000]})

        await self.reception.guarded(tell, work())
        if ack.response is None:
            await ack()

    async def _open(self, view: IncidentView, trigger_id: str, channel: str) -> str:
        """Open the form; the words for whoever asked if it cannot be."""
        drafted = await self.comms.draft(view.incident.id)
        if isinstance(drafted, Told):
            return escape(drafted.text)
        form = slack_modals.update_view(drafted, view.incident.id, {"channel": channel})
        try:
            await ask(self.reception.deps.client.views_open(trigger_id=trigger_id, view=form))
        except Refused as refused:
            if "trigger" in refused.code:
                return TOO_LATE
            raise
        return ""


def _act(typed: Typed) -> str:
    return key("act", typed.trigger_id, typed.user)


def _told(told: Told) -> Reply:
    return Reply(text=escape(told.text))
