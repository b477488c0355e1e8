"""The pager through PagerDuty's REST API."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar

from bot.edges import pagerduty_acts, pagerduty_people
from bot.edges.pagerduty_session import Session
from bot.edges.pagerduty_text import alert_lines, field_lines, incident_lines
from bot.edges.text import Redact, cut, fit
from bot.ports import OnCall, Responder, Undeliverable

MAX_DETAILS_CHARS = 8_192
MAX_NOTE_CHARS = 25_000
MAX_MESSAGE_CHARS = 500
MAX_UPDATE_CHARS = 3_000

T = TypeVar("T")

_REFERENCE = re.compile(r"[A-Za-z0-9]{1,64}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,128}@[A-Za-z0-9.-]{1,128}")


class NoPager:
    """Stands in where no REST API key is set: webhooks come in, and nothing goes back."""

    async def note(self, incident_ref: str, text: str) -> None:
        """Not sent anywhere; the timeline has it."""

    async def set_status(self, incident_ref: str, status: Literal["acknowledged", "resolved"],
                         on_behalf_of: str) -> None:  # fmt: skip  # noqa: ARG002
        """Raise :class:`Undeliverable`: whoever clicked must know that the pager was not told."""
        raise Undeliverable(f"no PagerDuty API key is set; mark {incident_ref} as {status} in PagerDuty itself")

    async def next_level(self, incident_ref: str) -> int:
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable(f"no PagerDuty API key is set; escalate {incident_ref} in PagerDuty itself")

    async def escalate(self, incident_ref: str, level: int, on_behalf_of: str) -> None:  # noqa: ARG002
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable(f"no PagerDuty API key is set; escalate {incident_ref} to {level} in PagerDuty itself")

    async def on_call(self, policy: str) -> Sequence[OnCall]:  # noqa: ARG002 - the port's signature
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable("no PagerDuty API key is set, so nobody knows who is on call")

    async def find(self, who: str) -> Responder:
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable(f"no PagerDuty API key is set; page {who[:100]} in PagerDuty itself, or call them")

    async def request(self, incident_ref: str, responder: Responder, message: str,  # noqa: ARG002
                      on_behalf_of: str) -> None:  # fmt: skip  # noqa: ARG002
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable(f"no PagerDuty API key is set; page {responder.name} in PagerDuty itself, or call them")

    async def snooze(self, incident_ref: str, seconds: int, on_behalf_of: str) -> None:  # noqa: ARG002
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable(f"no PagerDuty API key is set; snooze {incident_ref} in PagerDuty itself")

    async def priorities(self) -> Sequence[str]:
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable("no PagerDuty API key is set; set the priority in PagerDuty itself")

    async def set_priority(self, incident_ref: str, name: str, on_behalf_of: str) -> None:  # noqa: ARG002
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable(f"no PagerDuty API key is set; set {incident_ref} to {name[:40]} in PagerDuty itself")

    async def assign(self, incident_ref: str, to: Responder, on_behalf_of: str) -> None:  # noqa: ARG002
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable(f"no PagerDuty API key is set; assign {incident_ref} to {to.name} in PagerDuty itself")

    async def publish(self, incident_ref: str, text: str, on_behalf_of: str, *,  # noqa: ARG002
                      since: datetime | None = None) -> None:  # fmt: skip  # noqa: ARG002
        """Raise :class:`Undeliverable` likewise."""
        raise Undeliverable(f"no PagerDuty API key is set; publish the update of {incident_ref} in PagerDuty itself")

    async def details(self, incident_ref: str) -> str:  # noqa: ARG002 - the port's signature
        """Nothing more than the webhook said."""
        return ""


class PagerDuty:
    """Implements :class:`bot.ports.Pager`. One call at a time; attempts are bounded, and later ones are the outbox's.

    ``from_email`` is a user of the account, needed with an account-level key; a person's own address goes before it.
    """

    def __init__(self, api_key: str, from_email: str = "", base_url: str = "https://api.pagerduty.com", *,
                 redact: Redact = str, backoff_s: float = 0.25, quick: bool = False) -> None:  # fmt: skip
        self._session = Session(api_key, from_email, base_url, backoff_s=backoff_s, quick=quick)
        self._from_email = from_email
        self._redact = redact
        self._one_at_a_time = asyncio.Lock()

    async def note(self, incident_ref: str, text: str) -> None:
        """See :class:`bot.ports.Pager`."""
        path = f"/incidents/{_checked(incident_ref)}/notes"
        note = {"note": {"content": cut(self._redact(text), MAX_NOTE_CHARS)}}
        await self._call(lambda session: session.rpost(path, json=note))

    async def set_status(self, incident_ref: str, status: Literal["acknowledged", "resolved"],
                         on_behalf_of: str) -> None:  # fmt: skip
        """See :class:`bot.ports.Pager`. ``on_behalf_of`` is an e-mail address or a name."""
        change: dict[str, str] = {"status": status}
        if status == "resolved":
            change["resolution"] = f"Resolved by {fit(on_behalf_of, 128, self._redact)} through Pagerunner"
        await self._change(incident_ref, change, on_behalf_of)

    async def next_level(self, incident_ref: str) -> int:
        """See :class:`bot.ports.Pager`."""
        current, levels = await self._levels(incident_ref)
        higher = [level for level in levels if level > current]
        if not higher:
            raise Undeliverable(f"it is at the last level of its escalation policy ({current}); call somebody directly")
        return higher[0]

    async def escalate(self, incident_ref: str, level: int, on_behalf_of: str) -> None:
        """See :class:`bot.ports.Pager`. May be called again when it is not known whether it was done."""
        current, _ = await self._levels(incident_ref)
        if current < level:
            await self._change(incident_ref, {"escalation_level": level}, on_behalf_of)

    async def find(self, who: str) -> Responder:
        """See :class:`bot.ports.Pager`. Raises :class:`Undeliverable` for nobody, and for more than one."""
        return await self._call(lambda session: pagerduty_people.find(session, who))

    async def request(self, incident_ref: str, responder: Responder, message: str, on_behalf_of: str) -> None:
        """See :class:`bot.ports.Pager`. May be called again when it is not known whether it was done."""
        path = f"/incidents/{_checked(incident_ref)}"
        sender = on_behalf_of if _EMAIL.fullmatch(on_behalf_of) else self._from_email
        said = fit(message, MAX_MESSAGE_CHARS, self._redact)
        await self._call(lambda session: pagerduty_people.request(session, path, responder, said, sender))

    async def on_call(self, policy: str) -> Sequence[OnCall]:
        """See :class:`bot.ports.Rota`; asked each time."""
        return await self._call(lambda session: pagerduty_people.on_call(session, policy))

    async def snooze(self, incident_ref: str, seconds: int, on_behalf_of: str) -> None:
        """See :class:`bot.ports.Pager`."""
        path = f"/incidents/{_checked(incident_ref)}/snooze"
        asked = {"duration": seconds}
        await self._call(lambda session: session.rpost(path, json=asked, headers=_named(on_behalf_of)))

    async def priorities(self) -> Sequence[str]:
        """See :class:`bot.ports.Pager`."""
        return await self._call(pagerduty_acts.priorities)

    async def set_priority(self, incident_ref: str, name: str, on_behalf_of: str) -> None:
        """See :class:`bot.ports.Pager`."""
        path, headers = f"/incidents/{_checked(incident_ref)}", _named(on_behalf_of)
        await self._call(lambda session: pagerduty_acts.set_priority(session, path, name, headers))

    async def assign(self, incident_ref: str, to: Responder, on_behalf_of: str) -> None:
        """See :class:`bot.ports.Pager`."""
        path, headers = f"/incidents/{_checked(incident_ref)}", _named(on_behalf_of)
        await self._call(lambda session: pagerduty_acts.assign(session, path, to, headers))

    async def publish(self, incident_ref: str, text: str, on_behalf_of: str, *, since: datetime | None = None) -> None:
        """See :class:`bot.ports.Pager`. Secrets are taken out; otherwise it is the text as it was written."""
        path, headers = f"/incidents/{_checked(incident_ref)}", _named(on_behalf_of)
        said = cut(self._redact(text), MAX_UPDATE_CHARS)
        await self._call(lambda session: pagerduty_acts.publish(session, path, said, headers, since))

    async def details(self, incident_ref: str) -> str:
        """See :class:`bot.ports.Pager`: at most 8,192 characters, cleaned, without secrets."""
        path = f"/incidents/{_checked(incident_ref)}"
        incident = await self._call(lambda session: session.rget(path))
        alerts = await self._call(lambda session: session.rget(f"{path}/alerts", params={"limit": 25}))
        lines = incident_lines(_mapping(incident))
        for alert in alerts if isinstance(alerts, list) else []:
            lines += alert_lines(_mapping(alert))
        try:
            values = await self._call(lambda session: session.jget(f"{path}/custom_fields/values"))
            lines += field_lines(_mapping(values))
        except Undeliverable:
            pass  # not every plan has custom fields
        return fit("\n".join(dict.fromkeys(lines)), MAX_DETAILS_CHARS, self._redact, lines=True)

    async def _change(self, incident_ref: str, change: Mapping[str, Any], on_behalf_of: str) -> None:
        path = f"/incidents/{_checked(incident_ref)}"
        body = {"incident": {"type": "incident_reference", **change}}
        await self._call(lambda session: session.rput(path, json=body, headers=_named(on_behalf_of)))

    async def _levels(self, incident_ref: str) -> tuple[int, list[int]]:
        """The highest level at which somebody is assigned now, and all there are."""
        path = f"/incidents/{_checked(incident_ref)}"
        incident = _mapping(await self._call(lambda session: session.rget(path)))
        policy = _mapping(incident.get("escalation_policy")).get("id")
        assigned = {_mapping(_mapping(a).get("assignee")).get("id") for a in incident.get("assignments") or []}
        query = {"escalation_policy_ids": [policy], "limit": 100}
        oncalls = await self._call(lambda session: session.rget("/oncalls", params=query))
        levels: list[tuple[int, Any]] = [
            (int(_mapping(entry).get("escalation_level") or 1), _mapping(_mapping(entry).get("user")).get("id"))
            for entry in (oncalls if isinstance(oncalls, list) else [])
        ]
        current = max((level for level, user in levels if user in assigned), default=1)
        return current, sorted({level for level, _ in levels})

    async def _call(self, ask: Callable[[Any], T]) -> T:
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._session.ask, ask)


def _named(on_behalf_of: str) -> dict[str, str]:
    """In whose name it is done: a person's own address goes before that of the settings."""
    return {"From": on_behalf_of} if _EMAIL.fullmatch(on_behalf_of) else {}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _checked(incident_ref: str) -> str:
    if _REFERENCE.fullmatch(incident_ref) is None:
        raise Undeliverable("not a PagerDuty incident id")
    return incident_ref
