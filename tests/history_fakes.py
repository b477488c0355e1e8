"""A PagerDuty account with a past, as a read-only key sees it: paged, limited in rate, keeping what it was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

KEY = "u+ReadOnlyReadOnlyXx"
SERVICES = {"PSVCCHAT": "Chat (prod)", "PSVCSUPPORT": "Support", "PSTRANGE": "Billing", "PSVCMODVOICE": "Voice"}


def incident(number: int, title: str, service: str, at: datetime, **more: Any) -> dict[str, Any]:
    """An incident as the REST API lists it."""
    key = f"Q{number:06d}"
    return {
        "id": key, "type": "incident", "summary": f"[#{number}] {title}", "incident_number": number, "title": title,
        "self": f"https://api.pagerduty.com/incidents/{key}", "html_url": f"https://acme.pagerduty.com/incidents/{key}",
        "created_at": at.isoformat(), "updated_at": at.isoformat(), "status": "resolved", "urgency": "high",
        "incident_key": f"key-{number}", "last_status_change_at": (at + timedelta(hours=1)).isoformat(),
        "service": {"id": service, "type": "service_reference", "summary": SERVICES[service]},
        "first_trigger_log_entry": {"id": f"R{number:06d}", "type": "trigger_log_entry_reference"}, **more,
    }  # fmt: skip


@dataclass
class Account:
    """What it holds, and what was asked of it."""

    incidents: list[dict[str, Any]] = field(default_factory=list)
    alerts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    author: dict[str, Any] = field(
        default_factory=lambda: {"id": "PEVA", "type": "user_reference", "summary": "Eva Example"}
    )
    """Who wrote the notes."""
    page_size: int = 100
    requests: list[tuple[str, str]] = field(default_factory=list)
    failures: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Answers to give first: status and headers."""
    forbidden: tuple[str, ...] = ()
    """Ends of paths that this key may not read."""
    fails_from: int = 0
    """From this request on it answers 500; 0: never."""

    def application(self) -> web.Application:
        """The API: what writes is there too, so that it would be seen."""
        app = web.Application(middlewares=[self._around])
        app.add_routes([
            web.get("/incidents", self._incidents), web.get("/incidents/{id}/alerts", self._alerts),
            web.get("/incidents/{id}/notes", self._notes), web.get("/log_entries/{id}", self._entry),
            web.route("*", "/{rest:.*}", self._anything),
        ])  # fmt: skip
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if self.failures:
            status, headers = self.failures.pop(0)
            return _error(status, "Told to fail", **headers)
        if self.fails_from and len(self.requests) >= self.fails_from:
            return _error(500, "Broken")
        if request.headers.get("Authorization") != f"Token token={KEY}":
            return _error(401, "Unauthorized")
        if any(request.path.endswith(end) for end in self.forbidden):
            return _error(403, "Forbidden")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _incidents(self, request: web.Request) -> web.Response:
        since, until = (datetime.fromisoformat(request.query[key]) for key in ("since", "until"))
        if until - since > timedelta(days=180):
            return _error(400, "Since and until cannot be longer apart than 6 months")
        wanted = request.query.getall("service_ids[]", [])
        found = [
            one for one in self.incidents
            if since <= datetime.fromisoformat(one["created_at"]) < until
            and (not wanted or one["service"]["id"] in wanted)
        ]  # fmt: skip
        size, start = min(int(request.query["limit"]), self.page_size), int(request.query["offset"])
        more = start + 100 < len(found) if size == 100 else False
        page = found[start : start + size]
        return web.json_response({"incidents": page, "limit": size, "offset": start, "more": more, "total": None})

    async def _alerts(self, request: web.Request) -> web.Response:
        return web.json_response({"alerts": self.alerts.get(request.match_info["id"], []), "more": False})

    async def _notes(self, request: web.Request) -> web.Response:
        notes = [
            {"id": f"PN{n}", "content": text, "user": self.author}
            for n, text in enumerate(self.notes.get(request.match_info["id"], ()))
        ]
        return web.json_response({"notes": notes})

    async def _entry(self, request: web.Request) -> web.Response:
        identifier = request.match_info["id"]
        if identifier not in self.channels:
            return _error(404, "Not Found")
        entry = {"id": identifier, "type": "trigger_log_entry", "channel": self.channels[identifier]}
        return web.json_response({"log_entry": entry})

    async def _anything(self, _: web.Request) -> web.Response:
        return _error(404, "Not Found")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve it; yields the base URL."""
        server = TestServer(self.application(), host="127.0.0.1")
        await server.start_server()
        try:
            yield str(server.make_url("")).rstrip("/")
        finally:
            await server.close()


def _error(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"error": {"code": 2000 + status, "message": message}}, status=status, headers=headers)
