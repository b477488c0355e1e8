"""A PagerDuty account as `pagerunner doctor` sees it: read-only, with whatever is wrong with it."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.edges.checks_pagerduty import NEEDED

KEY = "u+DoctorDoctorDoctor"
PATHS = ("/abilities", "/users/me", "/users", "/webhook_subscriptions", "/services/{id}", "/escalation_policies/{id}")


def subscription(identifier: str = "PWEBHOOK", **more: Any) -> dict[str, Any]:
    """A webhook subscription as the API lists it, in order."""
    return {
        "id": identifier, "type": "webhook_subscription", "active": True, "description": "Pagerunner",
        "delivery_method": {
            "id": "PDELIVERY", "type": "http_delivery_method", "secret": None, "temporarily_disabled": False,
            "url": "https://pagerunner.example.com/webhooks/pagerduty", "custom_headers": [],
        },
        "events": sorted(NEEDED), "filter": {"type": "account_reference"}, **more,
    }  # fmt: skip


@dataclass
class Account:
    """What the account holds, and what was asked of it."""

    subscriptions: list[dict[str, Any]] = field(default_factory=lambda: [subscription()])
    services: set[str] = field(default_factory=set)
    policies: set[str] = field(default_factory=set)
    users: dict[str, str] = field(default_factory=lambda: {"oncall@example.com": "Olga Oncall"})
    owner: str = ""
    """E-mail address of the user whose key it is; empty: an account's key."""
    page_size: int = 100
    date: str = ""
    """What its clock says; empty: the truth."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    """Path -> the status that it answers instead."""

    def application(self) -> web.Application:
        """The API."""
        app = web.Application(middlewares=[self._around])
        app.add_routes([
            web.get("/abilities", self._abilities), web.get("/users/me", self._me), web.get("/users", self._users),
            web.get("/webhook_subscriptions", self._subscriptions), web.get("/services/{id}", self._service),
            web.get("/escalation_policies/{id}", self._policy),
        ])  # fmt: skip
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if request.headers.get("Authorization") != f"Token token={KEY}":
            answer: web.StreamResponse = _error(401, "Unauthorized")
        elif request.path in self.statuses:
            answer = _error(self.statuses[request.path], "Told to fail")
        else:
            answer = await handler(request)
            _conforms(request, answer)
        if self.date:
            answer.headers["Date"] = self.date
        return answer

    async def _abilities(self, _: web.Request) -> web.Response:
        return web.json_response({"abilities": ["teams", "urgencies"]})

    async def _me(self, _: web.Request) -> web.Response:
        if not self.owner:
            return _error(400, "The user must be identified by a user token")
        return web.json_response({"user": _user("PME", self.users[self.owner], self.owner)})

    async def _users(self, request: web.Request) -> web.Response:
        wanted = request.query.get("query", "")
        found = [_user(f"P{n}", name, mail) for n, (mail, name) in enumerate(self.users.items()) if wanted in mail]
        return web.json_response({"users": found, "limit": 25, "offset": 0, "more": False, "total": None})

    async def _subscriptions(self, request: web.Request) -> web.Response:
        start, size = int(request.query["offset"]), min(int(request.query["limit"]), self.page_size)
        page = self.subscriptions[start : start + size]
        more = start + size < len(self.subscriptions)
        answer = {"webhook_subscriptions": page, "limit": size, "offset": start, "more": more, "total": None}
        return web.json_response(answer)

    async def _service(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if identifier not in self.services:
            return _error(404, "Not Found")
        return web.json_response({"service": {"id": identifier, "type": "service", "summary": identifier}})

    async def _policy(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if identifier not in self.policies:
            return _error(404, "Not Found")
        return web.json_response({"escalation_policy": {"id": identifier, "type": "escalation_policy"}})

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve it; yields the base URL."""
        server = TestServer(self.application(), host="127.0.0.1")
        await server.start_server()
        try:
            yield str(server.make_url("")).rstrip("/")
        finally:
            await server.close()


def _user(identifier: str, name: str, mail: str) -> dict[str, Any]:
    return {"id": identifier, "type": "user", "summary": name, "name": name, "email": mail, "html_url": None,
            "self": f"https://api.pagerduty.com/users/{identifier}", "role": "user"}  # fmt: skip


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"code": 2000 + status, "message": message}}, status=status)


def _conforms(request: web.Request, answer: web.StreamResponse) -> None:
    """Whether the paths in use exist in the published document, and subscriptions look as it says."""
    published = _published()
    if published is None:
        return
    path = request.match_info.route.resource
    assert path is not None
    assert path.canonical in published["paths"], path.canonical
    if path.canonical == "/webhook_subscriptions":
        assert isinstance(answer, web.Response)
        schema = published["components"]["schemas"]["WebhookSubscription"]
        for one in json.loads(answer.text or "")["webhook_subscriptions"]:
            assert set(one) <= set(schema["properties"])
            assert set(schema["required"]) <= set(one)
            assert set(one["delivery_method"]) <= set(schema["properties"]["delivery_method"]["properties"])
            assert one["filter"]["type"] in schema["properties"]["filter"]["properties"]["type"]["enum"]


@cache
def _published() -> Any | None:
    """PagerDuty's published document, None when ``PAGERUNNER_CONTRACTS`` names no folder that holds it."""
    folder = os.environ.get("PAGERUNNER_CONTRACTS", "")
    path = Path(folder) / "pagerduty_rest_openapi.json"
    return json.loads(path.read_text()) if folder and path.is_file() else None
