"""A PagerDuty with a memory: the part of its REST API that we use, and its published schema to hold both sides to."""

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

KEY = "u+AbCdEfGhIjKlMnOpQr"
PATHS = ("/incidents/{id}", "/incidents/{id}/notes", "/incidents/{id}/alerts", "/incidents/{id}/custom_fields/values",
         "/incidents/{id}/responder_requests", "/incidents/{id}/snooze", "/incidents/{id}/status_updates", "/users",
         "/priorities", "/escalation_policies", "/oncalls")  # fmt: skip


def reference(kind: str, identifier: str, summary: str) -> dict[str, str]:
    """A reference as the API writes it."""
    url = f"https://api.pagerduty.com/{kind}s/{identifier}"
    return {"id": identifier, "type": f"{kind}_reference", "summary": summary, "self": url, "html_url": url}


@dataclass
class PagerDutyState:
    """What the account holds, and what was asked of it."""

    incident: dict[str, Any] = field(default_factory=lambda: {
        "id": "Q2PQ7M1", "type": "incident", "summary": "[#4821] LLM errors", "incident_number": 4821,
        "self": "https://api.pagerduty.com/incidents/Q2PQ7M1", "html_url": "https://acme.pagerduty.com/incidents/Q2PQ7M1",
        "created_at": "2026-11-22T12:00:00Z", "updated_at": "2026-11-22T12:00:00Z", "status": "triggered",
        "title": "LLM errors", "incident_key": "llm", "urgency": "high", "is_mergeable": True,
        "service": reference("service", "PSVC1", "Chat"), "assigned_via": "escalation_policy",
        "assignments": [{"at": "2026-11-22T12:00:00Z", "assignee": reference("user", "PANA", "Ana Ruiz")}],
        "escalation_policy": reference("escalation_policy", "PEP1", "Assist"), "teams": [],
        "body": {"type": "incident_body", "details": {"runbook": "none yet"}},
    })  # fmt: skip
    users: dict[str, tuple[str, str]] = field(default_factory=lambda: {
        "PONCALL": ("On Call", "oncall@example.com"), "PANA": ("Ana Ruiz", "ana@example.com"),
        "PBEN": ("Ben Okafor", "ben@example.com"), "PEVA": ("Eva Ruiz", "eva@example.com"),
    })  # fmt: skip
    policies: dict[str, str] = field(default_factory=lambda: {"PEP1": "Assist"})
    rotas: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Who is on call by policy, where that is not ``levels``: user, and level, start, end if need be."""
    levels: dict[int, str] = field(default_factory=lambda: {1: "PANA", 2: "PBEN", 3: "PCHI"})
    priorities: dict[str, str] = field(default_factory=lambda: {"PPRIO1": "P1", "PPRIO2": "P2", "PPRIO3": "P3"})
    updates: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    fields: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Answers to give first: status and headers."""
    fields_forbidden: bool = False


def application(state: PagerDutyState, check: Callable[..., None]) -> web.Application:
    """The API over this state; ``check`` sees every request with its answer."""

    @web.middleware
    async def around(request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.text()
        state.requests.append((request.method, request.path, dict(request.headers), json.loads(body) if body else None))
        answer = _refusal(request, state) or await handler(request)
        check(request, body, answer)
        return answer

    app = web.Application(middlewares=[around])
    app.add_routes([
        web.get("/incidents/{id}", lambda request: _get(request, state)),
        web.put("/incidents/{id}", lambda request: _put(request, state)),
        web.post("/incidents/{id}/notes", lambda request: _note(request, state)),
        web.get("/incidents/{id}/alerts", lambda request: _alerts(request, state)),
        web.get("/incidents/{id}/custom_fields/values", lambda request: _fields(request, state)),
        web.post("/incidents/{id}/responder_requests", lambda request: _request(request, state)),
        web.post("/incidents/{id}/snooze", lambda request: _snooze(request, state)),
        web.post("/incidents/{id}/status_updates", lambda request: _publish(request, state)),
        web.get("/incidents/{id}/log_entries", lambda request: _log(request, state)),
        web.get("/priorities", lambda request: _priorities(request, state)),
        web.get("/users", lambda request: _named(request, "users", state)),
        web.get("/escalation_policies", lambda request: _named(request, "escalation_policies", state)),
        web.get("/users/{user}", lambda request: _one(request, "user", state)),
        web.get("/escalation_policies/{policy}", lambda request: _one(request, "policy", state)),
        web.get("/oncalls", lambda request: _oncalls(request, state)),
    ])  # fmt: skip
    return app


def _error(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"error": {"code": 2000 + status, "message": message}}, status=status, headers=headers)


def _refusal(request: web.Request, state: PagerDutyState) -> web.Response | None:
    if state.failures:
        status, headers = state.failures.pop(0)
        return _error(status, "Told to fail", **headers)
    if request.headers.get("Authorization") != f"Token token={KEY}":
        return _error(401, "Unauthorized")
    if request.match_info.get("id") not in (None, state.incident["id"]):
        return _error(404, "Not Found")
    unsigned = request.path.endswith("/responder_requests")
    if request.method in ("POST", "PUT") and not unsigned and "@" not in request.headers.get("From", ""):
        return _error(400, "Requester User Not Found")
    return None


async def _get(_: web.Request, state: PagerDutyState) -> web.Response:
    return web.json_response({"incident": state.incident})


async def _put(request: web.Request, state: PagerDutyState) -> web.Response:
    change = (await request.json())["incident"]
    if "status" in change:
        state.incident["status"] = change["status"]
        if change["status"] == "resolved":
            state.incident["assignments"] = []
    if "priority" in change:
        if change["priority"]["id"] not in state.priorities:
            return _error(400, "Invalid Input Provided")
        name = state.priorities[change["priority"]["id"]]
        state.incident["priority"] = {**reference("priority", change["priority"]["id"], name), "name": name,
                                      "type": "priority"}  # fmt: skip
    if "assignments" in change:
        users = [one["assignee"]["id"] for one in change["assignments"]]
        if not all(user in state.users for user in users):
            return _error(400, "Invalid Input Provided")
        state.incident["assignments"] = [
            {"at": "2026-11-22T12:10:00Z", "assignee": reference("user", user, state.users[user][0])} for user in users
        ]
    if "escalation_policy" in change:
        policy = change["escalation_policy"]["id"]
        state.incident["escalation_policy"] = reference("escalation_policy", policy, state.policies[policy])
    if "escalation_level" in change:
        user = state.levels[change["escalation_level"]]
        state.incident["status"] = "triggered"
        state.incident["assignments"] = [{"at": "2026-11-22T12:10:00Z", "assignee": reference("user", user, user)}]
    return web.json_response({"incident": state.incident})


async def _note(request: web.Request, state: PagerDutyState) -> web.Response:
    content = (await request.json())["note"]["content"]
    note = {"id": f"PN{len(state.notes)}", "user": reference("user", "PANA", "Ana Ruiz"), "content": content,
            "channel": {"summary": "The PagerDuty website or APIs"}, "created_at": "2026-11-22T12:05:00Z"}  # fmt: skip
    state.notes.append(note)
    return web.json_response({"note": note})


async def _request(request: web.Request, state: PagerDutyState) -> web.Response:
    body = await request.json()
    requester = reference("user", body["requester_id"], state.users[body["requester_id"]][0])
    target = body["responder_request_targets"][0]["responder_request_target"]
    user = reference("user", target["id"], target["id"])
    held = {"state": "pending", "user": user, "incident": reference("incident", state.incident["id"], "x"),
            "updated_at": "2026-11-22T12:05:00Z", "message": body["message"], "requester": requester,
            "requested_at": "2026-11-22T12:05:00Z"}  # fmt: skip
    state.incident.setdefault("incidents_responders", []).append(held)
    asked = {**target, "incidents_responders": [held]}
    made = {"incident": reference("incident", state.incident["id"], "x"), "requester": requester,
            "requested_at": "2026-11-22T12:05:00Z", "message": body["message"],
            "responder_request_targets": [{"responder_request_target": asked}]}  # fmt: skip
    return web.json_response({"responder_request": made})


async def _publish(request: web.Request, state: PagerDutyState) -> web.Response:
    """Answered with what was kept. The same text may be published again: there is no key that says it is the same."""
    body = await request.json()
    sender = next((key for key, (_, email) in state.users.items() if email == request.headers["From"]), "PONCALL")
    update = {"id": f"PSU{len(state.updates)}", "message": body["message"], "created_at": "2026-11-22T12:05:00Z",
              "sender": reference("user", sender, state.users[sender][0])}  # fmt: skip
    state.updates.append(update)
    return web.json_response({"status_update": update})


async def _log(request: web.Request, state: PagerDutyState) -> web.Response:
    assert request.query["since"]
    entries = [
        {**reference("log_entry", f"R{one['id']}", "Status update"), "type": "status_update_log_entry",
         "created_at": one["created_at"], "message": one["message"], "agent": one["sender"]}
        for one in state.updates
    ]  # fmt: skip
    return web.json_response({"log_entries": entries, "limit": 100, "offset": 0, "more": False, "total": None})


async def _priorities(_: web.Request, state: PagerDutyState) -> web.Response:
    listed = [{**reference("priority", key, name), "type": "priority", "name": name, "description": ""}
              for key, name in state.priorities.items()]  # fmt: skip
    return web.json_response({"priorities": listed, "limit": 100, "offset": 0, "more": False, "total": None})


async def _snooze(request: web.Request, state: PagerDutyState) -> web.Response:
    if not 1 <= (await request.json())["duration"] <= 604_800:
        return _error(400, "Invalid Input Provided")
    return web.json_response({"incident": state.incident}, status=201)


def _people(kind: str, state: PagerDutyState) -> list[dict[str, Any]]:
    if kind == "users":
        return [{**reference("user", key, name), "type": "user", "name": name, "email": email}
                for key, (name, email) in state.users.items()]  # fmt: skip
    rule = {"id": "PRULE", "escalation_delay_in_minutes": 30, "targets": [reference("user", "PANA", "Ana Ruiz")]}
    return [{**reference("escalation_policy", key, name), "type": "escalation_policy", "name": name,
             "escalation_rules": [rule]} for key, name in state.policies.items()]  # fmt: skip


async def _named(request: web.Request, kind: str, state: PagerDutyState) -> web.Response:
    words = request.query["query"].lower().split()
    found = [
        one for one in _people(kind, state) if any(w in f"{one['name']} {one.get('email')}".lower() for w in words)
    ]
    return web.json_response({kind: found, "limit": 25, "offset": 0, "more": False, "total": None})


async def _one(request: web.Request, kind: str, state: PagerDutyState) -> web.Response:
    whole, single = ("users", "user") if kind == "user" else ("escalation_policies", "escalation_policy")
    one = next((one for one in _people(whole, state) if one["id"] == request.match_info[kind]), None)
    return _error(404, "Not Found") if one is None else web.json_response({single: one})


async def _alerts(_: web.Request, state: PagerDutyState) -> web.Response:
    return web.json_response({"alerts": state.alerts, "limit": 25, "offset": 0, "more": False, "total": None})


async def _fields(_: web.Request, state: PagerDutyState) -> web.Response:
    if state.fields_forbidden:
        return _error(403, "Forbidden")
    return web.json_response({"custom_fields": state.fields})


async def _oncalls(request: web.Request, state: PagerDutyState) -> web.Response:
    (asked,) = request.query.getall("escalation_policy_ids[]")
    assert asked in ("PEP1", "PEPASSIST", *state.rotas)
    whole = "users" in request.query.getall("include[]", [])
    policy, rota = reference("escalation_policy", asked, "Assist"), reference("schedule", "PSCH", "Rota")
    times = {"start": "2026-11-22T00:00:00Z", "end": "2126-11-23T00:00:00Z"}
    held = state.rotas.get(asked, [{"user": user, "escalation_level": level} for level, user in state.levels.items()])
    oncalls = [
        {"escalation_level": 1, "escalation_policy": policy, "schedule": rota, **times, **one,
         "user": _user(one["user"], state, whole=whole)}
        for one in held
    ]  # fmt: skip
    limit, offset = int(request.query.get("limit", "25")), int(request.query.get("offset", "0"))
    more = len(oncalls) > offset + limit
    found = {"oncalls": oncalls[offset : offset + limit], "limit": limit, "offset": offset, "more": more}
    return web.json_response({**found, "total": None})


def _user(identifier: str, state: PagerDutyState, *, whole: bool) -> dict[str, str]:
    """A user as a reference, or in full where that was asked for."""
    known = next((one for one in _people("users", state) if one["id"] == identifier), None)
    return known if whole and known else reference("user", identifier, identifier)


@asynccontextmanager
async def pagerduty(state: PagerDutyState, check: Callable[..., None] = lambda *_: None) -> AsyncIterator[str]:
    """Serve it; yields the base URL."""
    server = TestServer(application(state, check), host="127.0.0.1")
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()


@cache
def published_schema() -> Any | None:
    """The published schema of the paths in use, None when ``PAGERUNNER_CONTRACTS`` names no folder that holds it."""
    folder = os.environ.get("PAGERUNNER_CONTRACTS", "")
    path = Path(folder) / "pagerduty_rest_openapi.json"
    if not folder or not path.is_file():
        return None
    from openapi_core import Config, OpenAPI

    whole = json.loads(path.read_text())
    whole["paths"] = {name: _usable(whole, whole["paths"][name]) for name in PATHS}
    # The published document has an invalid default, so it is not itself validated.
    return OpenAPI.from_dict(whole, config=Config(spec_validator_cls=None))


def _usable(whole: Any, item: Any) -> Any:
    """Without header parameters that OpenAPI says are to be ignored, and that clients do not send on reads."""
    known = whole["components"]["parameters"]

    def kept(parameter: Any) -> bool:
        meant = known[parameter["$ref"].rsplit("/", 1)[1]] if "$ref" in parameter else parameter
        return not (meant["in"] == "header" and meant["name"].lower() in ("accept", "content-type", "authorization"))

    for operation in item.values():
        if isinstance(operation, dict) and "parameters" in operation:
            operation["parameters"] = [p for p in operation["parameters"] if kept(p)]
    return item
