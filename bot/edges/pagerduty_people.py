"""People and escalation policies of a PagerDuty account: who is meant by a name, and paging them as responders."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bot.domain.untrusted import line
from bot.ports import OnCall, Responder, Undeliverable

AT_MOST = 25
"""Results that are looked at for one name."""
_ID = re.compile(r"P[A-Z0-9]{5,20}")
_ASKED = frozenset({"pending", "joined"})
_KINDS: Mapping[Literal["user", "escalation_policy"], str] = {
    "user": "/users", "escalation_policy": "/escalation_policies",
}  # fmt: skip


def find(session: Any, who: str) -> Responder:
    """The one that is called ``who``: by id, by e-mail address, by the whole name, or by whole words of it. Raises
    :class:`Undeliverable` for nobody and for several: nobody is paged on a guess."""
    wanted = " ".join(who.removeprefix("@").split())
    found: list[Responder] = []
    near: list[str] = []
    for kind, path in _KINDS.items():
        for item in _search(session, path, wanted):
            one = Responder(id=str(item.get("id") or ""), kind=kind, name=str(item.get("name") or item.get("summary")))
            exact = wanted.casefold() in (
                one.name.casefold(),
                str(item.get("email") or "").casefold(),
                one.id.casefold(),
            )
            if exact:
                return one
            near.append(one.name)
            if set(wanted.casefold().split()) <= set(one.name.casefold().split()):
                found.append(one)
    if len(found) == 1:
        return found[0]
    shown = ", ".join(line(name, 60) for name in dict.fromkeys([one.name for one in found] or near))[:300]
    if found:
        raise Undeliverable(
            f"PagerDuty knows several called {line(wanted)}: {shown}; give the whole name or the e-mail"
        )
    hint = f"; near it: {shown}" if shown else ""
    raise Undeliverable(f"PagerDuty knows no person and no escalation policy called {line(wanted)}{hint}")


def on_call(session: Any, policy: str) -> Sequence[OnCall]:
    """Who is on call now at the first level of an escalation policy, each once."""
    query = {"escalation_policy_ids": [policy], "include": ["users"], "limit": 100}
    told = session.rget("/oncalls", params=query)
    entries = [entry for entry in told if isinstance(entry, dict)] if isinstance(told, list) else []
    levels = [int(entry.get("escalation_level") or 1) for entry in entries]
    found = {}
    for entry, level in zip(entries, levels, strict=True):
        user = entry.get("user") or {}
        if level == min(levels) and isinstance(user, dict):
            name = str(user.get("name") or user.get("summary") or "")
            found[str(user.get("id"))] = OnCall(name=name, email=str(user.get("email") or ""))
    return list(found.values())


def request(session: Any, incident: str, responder: Responder, message: str, sender: str) -> None:
    """Page them, unless they are asked already: a request whose answer was lost is not sent twice. ``incident`` is
    the path, ``sender`` the e-mail address of the user in whose name it is done."""
    if responder.id in _asked(session.rget(incident)):
        return
    own = [user for user in _search(session, "/users", sender) if sender and user.get("email") == sender]
    if not own:
        fix = "set PAGERUNNER_PAGERDUTY_FROM to the e-mail address of a user"
        raise Undeliverable(f"PagerDuty wants to know in whose name: {fix}")
    target = {"id": responder.id, "type": f"{responder.kind}_reference"}
    body = {"requester_id": own[0]["id"], "message": message,
            "responder_request_targets": [{"responder_request_target": target}]}  # fmt: skip
    session.rpost(f"{incident}/responder_requests", json=body)


def _search(session: Any, path: str, text: str) -> Sequence[Mapping[str, Any]]:
    if not text:
        return []
    if _ID.fullmatch(text):
        answer = session.get(f"{path}/{text}")
        found = answer.json() if answer.ok else {}
        return [value for value in found.values() if isinstance(value, dict)]
    found = session.rget(path, params={"query": text, "limit": AT_MOST})
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _asked(incident: Any) -> set[str]:
    """Whom the incident's responder requests have asked, and who has not declined."""
    told = incident if isinstance(incident, dict) else {}
    asked = {
        str((entry.get("user") or {}).get("id"))
        for entry in told.get("incidents_responders") or []
        if isinstance(entry, dict) and entry.get("state") in _ASKED
    }
    for entry in told.get("responder_requests") or []:
        for each in entry.get("responder_request_targets") or [] if isinstance(entry, dict) else []:
            target = (each.get("responder_request_target") or {}) if isinstance(each, dict) else {}
            states = {str(one.get("state")) for one in target.get("incidents_responders") or []}
            if target.get("type") in ("escalation_policy", "escalation_policy_reference") and states & _ASKED:
                asked.add(str(target.get("id")))
    return asked
