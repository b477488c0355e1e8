"""Whether PagerDuty reaches us and we reach it: key, author, webhook subscriptions, services. Changes nothing there."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlsplit

from bot.edges.addresses import is_loopback
from bot.edges.checks import Check, listed, not_checked, ok, problem
from bot.edges.checks_clock import Reading, reading
from bot.edges.http import SafeHttp
from config.catalogue import Catalogue, Target
from config.http import HttpError, Reply

NEEDED = frozenset({
    "incident.triggered", "incident.acknowledged", "incident.unacknowledged", "incident.escalated",
    "incident.reassigned", "incident.delegated", "incident.reopened", "incident.resolved", "incident.annotated",
})  # fmt: skip
"""Events that change an incident here; the others are kept on its timeline."""
PATH = "/webhooks/pagerduty"
KEY = "PAGERUNNER_PAGERDUTY_API_KEY"
_PAGES, _PAGE = 10, 100
_ACCEPT = {"accept": "application/vnd.pagerduty+json;version=2"}
_CREATE = f"in PagerDuty: Integrations > Generic Webhooks (v3) > New Webhook, URL https://YOUR-ADDRESS{PATH}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PagerAccess:
    """What the settings say about PagerDuty."""

    api: str
    api_key: str
    author: str
    """E-mail address of a user; may be empty."""
    secrets: int
    """How many signing secrets are set."""
    address: str = ""
    """Our public address, such as https://pagerunner.example.com, if it is known."""


async def pagerduty(access: PagerAccess, catalogue: Catalogue | None) -> tuple[list[Check], list[Reading]]:
    """Everything about PagerDuty. Without a key only what can be told without asking."""
    checks = [_signatures(access)]
    if not access.api_key:
        why = "no REST API key is set: pages come in, and no note, acknowledgement or resolution goes back"
        fix = f"set {KEY}: in PagerDuty, Integrations > API Access Keys"
        return [*checks, not_checked("PagerDuty key", why, fix), *_rest("no REST API key is set")], []
    async with SafeHttp(_only(access), {KEY: access.api_key}) as http:
        asker = _Asker(http)
        key = await _key(asker)
        checks.append(key)
        if key.state == "problem":
            return [*checks, *_rest("PagerDuty does not accept the key")], asker.clock
        checks += [await _author(asker, access), *await _subscriptions(asker, access, catalogue)]
        if catalogue is not None:
            checks += [await _exist(asker, "services", _services(catalogue)),
                       await _exist(asker, "escalation_policies", _policies(catalogue))]  # fmt: skip
    return checks, asker.clock


@dataclass(kw_only=True, slots=True)
class _Answer:
    status: int
    body: Mapping[str, Any]
    trouble: str = ""


@dataclass(slots=True)
class _Asker:
    """Asks the REST API, and keeps what its clock says."""

    http: SafeHttp
    clock: list[Reading] = field(default_factory=list)

    async def get(self, path: str, **query: str) -> _Answer:
        """The answer as JSON; ``trouble`` says why there is none."""
        try:
            reply = await self.http.request("pagerduty", "GET", path, query=query or None, headers=_ACCEPT)
        except HttpError as error:
            return _Answer(status=0, body={}, trouble=f"cannot be reached ({error.stage}: {error.detail})")
        told = reading("PagerDuty", reply.headers, datetime.now(UTC))
        if told is not None and not self.clock:
            self.clock.append(told)
        body = _json(reply)
        trouble = "" if reply.status == 200 else f"answered {reply.status}{_said(body)}"
        return _Answer(status=reply.status, body=body, trouble=trouble)


def _only(access: PagerAccess) -> Catalogue:
    """A catalogue of one target: the same safe client as for every other."""
    host = urlsplit(access.api).hostname or ""
    here = host == "localhost" or (bool(host) and is_loopback(host))
    target = Target(
        name="pagerduty", base_url=access.api.rstrip("/"), allow_http=here, auth_env=KEY, auth_prefix="Token token=",
        allow_private=("127.0.0.0/8", "::1/128") if here else (),
    )  # fmt: skip
    return Catalogue(targets=(target,), teams=(), services=(), fallback_channel="")


def _rest(why: str) -> list[Check]:
    return [not_checked(name, why) for name in ("PagerDuty author", "PagerDuty webhook")]


def _signatures(access: PagerAccess) -> Check:
    name = "PagerDuty signing secret"
    if not access.secrets:
        fix = "set PAGERUNNER_PAGERDUTY_SECRETS to the secret that PagerDuty shows once when the webhook is made"
        return problem(name, "none is set: every webhook would be answered 503, and PagerDuty would try again", fix)
    return ok(name, f"{access.secrets} set; only a delivery can show that it is the right one")


async def _key(asker: _Asker) -> Check:
    name = "PagerDuty key"
    told = await asker.get("/abilities")
    if told.status == 401:
        return problem(name, "it is wrong or revoked", f"set {KEY} to a key of Integrations > API Access Keys")
    if told.trouble:
        return problem(
            name, told.trouble, "check 'pagerduty_api' (EU accounts: https://api.eu.pagerduty.com) and the key"
        )
    return ok(name, f"accepted; the account has {len(told.body.get('abilities') or ())} abilities")


async def _author(asker: _Asker, access: PagerAccess) -> Check:
    """A person's key acts as that person; an account's key has to name somebody."""
    name = "PagerDuty author"
    me = await asker.get("/users/me")
    if me.status == 200:
        return ok(name, f"the key is of {_mapping(me.body.get('user')).get('name', 'a user')}")
    if not access.author:
        fix = "set 'pagerduty_from' to the e-mail address of a PagerDuty user who may change incidents"
        return problem(name, "the key is an account's, and no author is set: changes would be refused", fix)
    found = await asker.get("/users", query=access.author)
    if found.trouble:
        return not_checked(name, f"users cannot be listed: {found.trouble}")
    mails = [str(_mapping(user).get("email") or "").lower() for user in _list(found.body.get("users"))]
    if access.author.lower() not in mails:
        return problem(name, f"no user has the address {access.author}", "correct 'pagerduty_from'")
    return ok(name, f"changes are made as {access.author}")


async def _subscriptions(asker: _Asker, access: PagerAccess, catalogue: Catalogue | None) -> list[Check]:
    name = "PagerDuty webhook"
    found: list[Mapping[str, Any]] = []
    for page in range(_PAGES):
        told = await asker.get("/webhook_subscriptions", limit=str(_PAGE), offset=str(page * _PAGE))
        if told.trouble:
            return [
                not_checked(name, f"subscriptions cannot be listed: {told.trouble}", "use a key that may read them")
            ]
        found += [_mapping(one) for one in _list(told.body.get("webhook_subscriptions"))]
        if not told.body.get("more"):
            break
    ours = [one for one in found if _is_ours(_url(one), access.address)]
    if not ours:
        where = access.address + PATH if access.address else f"an address that ends in {PATH}"
        return [problem(name, f"none of {len(found)} subscriptions points to {where}", _CREATE)]
    checks = [_subscription(one) for one in ours]
    working = [one for one, check in zip(ours, checks, strict=True) if check.state == "ok"]
    return [*checks, *([_coverage(working, catalogue)] if catalogue is not None and working else [])]


def _subscription(one: Mapping[str, Any]) -> Check:
    name, url = f"PagerDuty webhook {one.get('id')}", _shown(_url(one))
    missing = sorted(NEEDED - {str(event) for event in _list(one.get("events"))})
    if not one.get("active", True):
        return problem(name, f"{url}: it is not active", "enable it in PagerDuty: Integrations > Generic Webhooks (v3)")
    if _mapping(one.get("delivery_method")).get("temporarily_disabled"):
        fix = "make the address reachable, then enable it again: Integrations > Generic Webhooks (v3)"
        return problem(name, f"{url}: PagerDuty has disabled it because deliveries failed", fix)
    if missing:
        fix = "edit it in PagerDuty and select these events: Integrations > Generic Webhooks (v3)"
        return problem(name, f"{url}: events are missing: {', '.join(missing)}", fix)
    filtered = _mapping(one.get("filter"))
    whose = f"{str(filtered.get('type', '')).removesuffix('_reference')} {filtered.get('id') or ''}".strip()
    return ok(name, f"{url}: active, all {len(NEEDED)} events, for {whose or 'all'}")


def _coverage(working: Sequence[Mapping[str, Any]], catalogue: Catalogue) -> Check:
    """Whether every service that the catalogue names is in the scope of some subscription."""
    name = "PagerDuty webhook scope"
    filters = [_mapping(one.get("filter")) for one in working]
    kinds = {str(one.get("type")) for one in filters}
    if "account_reference" in kinds:
        return ok(name, "the whole account")
    covered = {str(one.get("id")) for one in filters if one.get("type") == "service_reference"}
    left = [service for service in _services(catalogue) if service not in covered]
    if not left:
        return ok(name, "every service of the catalogue")
    if "team_reference" in kinds:
        return not_checked(name, f"by team; whether {listed(left)} belong to these teams, PagerDuty knows")
    return problem(name, f"pages of {listed(left)} are not sent to us", f"add a subscription for them: {_CREATE}")


async def _exist(asker: _Asker, what: str, ids: Sequence[str]) -> Check:
    words = what.replace("_", " ")
    name = f"PagerDuty {words}"
    unknown = []
    for identifier in ids:
        told = await asker.get(f"/{what}/{quote(identifier, safe='')}")
        if told.status == 404:
            unknown.append(identifier)
        elif told.trouble:
            return not_checked(name, f"cannot be read: {told.trouble}")
    if unknown:
        return problem(
            name, f"there are none with the ids {listed(unknown)}", f"correct the ids of {words} in the catalogue"
        )
    return ok(name, f"{len(ids)} of {len(ids)} exist" if ids else "the catalogue names none")


def _services(catalogue: Catalogue) -> list[str]:
    return list(dict.fromkeys(one for service in catalogue.services for one in service.pagerduty_services))


def _policies(catalogue: Catalogue) -> list[str]:
    named = (team.pagerduty_escalation_policy for team in catalogue.teams)
    return list(dict.fromkeys(one for one in named if one))


def _is_ours(url: str, address: str) -> bool:
    if address:
        return url.rstrip("/") == address.rstrip("/") + PATH
    return urlsplit(url).path.rstrip("/").endswith(PATH)


def _url(one: Mapping[str, Any]) -> str:
    return str(_mapping(one.get("delivery_method")).get("url") or "")


def _shown(url: str) -> str:
    """Without a password that may stand in it, and without a query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _json(reply: Reply) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(reply.text))
    except (ValueError, RecursionError):
        return {}


def _said(body: Mapping[str, Any]) -> str:
    message = str(_mapping(body.get("error")).get("message") or "")[:120]
    return f" ({message})" if message else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
