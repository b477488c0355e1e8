"""People and escalation policies of a PagerDuty account: who is meant by a name, and paging them as responders."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from bot.domain.untrusted import line
from bot.ports import OnCall, Responder, Undeliverable

AT_MOST = 25
"""Results that are looked at for one name."""
MOST_PAGES = 5
PAGE = 100
"""People on call that are read of one policy: pages, and entries of each."""
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


def on_call(session: Any, policy: str) -> tuple[OnCall, ...]:
    """Everybody who is on call now on this escalation policy, each once at their lowest level; without an e-mail
    address they are nobody. Raises :class:`Undeliverable` where that cannot be told whole."""
    if _ID.fullmatch(policy) is None:
        raise Undeliverable(f"{line(policy, 40)} is no id of an escalation policy (P...); correct the catalogue")
    found: dict[str, OnCall] = {}
    for page in range(MOST_PAGES):
        asked = {"escalation_policy_ids": [policy], "include": ["users"], "limit": PAGE, "offset": page * PAGE}
        told = session.jget("/oncalls", params=asked)
        entries = told.get("oncalls") if isinstance(told, dict) else None
        if not isinstance(entries, list):
            raise Undeliverable("PagerDuty's answer about who is on call could not be read")
        for one in filter(None, (_entry(entry, policy) for entry in entries)):
            known = found.get(one.email)
            found[one.email] = one if known is None or one.level < known.level else known
        if not told.get("more"):
            return tuple(sorted(found.values(), key=lambda one: (one.level, one.name)))
    raise Undeliverable(f"more than {MOST_PAGES * PAGE} people are on call on {policy}; name approvers otherwise")


def _entry(entry: Any, policy: str) -> OnCall | None:
    told = entry if isinstance(entry, dict) else {}
    user, of = told.get("user") or {}, told.get("escalation_policy") or {}
    email = str(user.get("email") or "").strip().casefold()
    if of.get("id") != policy or "@" not in email:
        return None
    level = told.get("escalation_level")
    return OnCall(
        email=email, name=str(user.get("name") or user.get("summary") or email),
        level=level if isinstance(level, int) else 1, until=_moment(told.get("end")),
    )  # fmt: skip


def _moment(text: Any) -> datetime | None:
    """The end of a shift. Without one it does not end; one that cannot be read is no end that could be trusted."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Undeliverable("PagerDuty's answer about who is on call could not be read")
    return at


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
