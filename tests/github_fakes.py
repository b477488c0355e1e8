"""A GitHub with repositories and issues: the part of its REST API that we use, with its limits and its refusals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

TOKEN = "github_pat_11AAAAAAA0abcdefghijkl"
REPO = "acme/assistants"


@dataclass
class Hub:
    """What it holds, and what was asked of it."""

    repositories: dict[str, dict[str, Any]] = field(default_factory=lambda: {
        REPO: {"full_name": REPO, "private": True, "has_issues": True, "archived": False}
    })  # fmt: skip
    issues: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    failures: list[tuple[str, int, dict[str, str], Any]] = field(default_factory=list)
    """Answers to give first, by method: status, headers, body."""
    loses_answers: int = 0
    """Of so many creations the issue is made, and the answer never comes."""
    scopes: str | None = None

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._around])
        app.add_routes([
            web.get("/rate_limit", self._rate), web.get("/repos/{owner}/{name}", self._repository),
            web.get("/repos/{owner}/{name}/issues", self._list), web.post("/repos/{owner}/{name}/issues", self._create),
        ])  # fmt: skip
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path_qs, body))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.failures and self.failures[0][0] == request.method:
            _, status, headers, said = self.failures.pop(0)
            return web.json_response(said, status=status, headers=headers)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"message": "Bad credentials"}, status=401)
        answer: web.StreamResponse = await handler(request)
        if self.scopes is not None:
            answer.headers["X-OAuth-Scopes"] = self.scopes
        return answer

    async def _rate(self, _: web.Request) -> web.Response:
        return web.json_response({"resources": {}})

    def _repo(self, request: web.Request) -> dict[str, Any] | None:
        return self.repositories.get(f"{request.match_info['owner']}/{request.match_info['name']}")

    async def _repository(self, request: web.Request) -> web.Response:
        found = self._repo(request)
        return web.json_response({"message": "Not Found"}, status=404) if found is None else web.json_response(found)

    async def _list(self, request: web.Request) -> web.Response:
        found = self._repo(request)
        if found is None:
            return web.json_response({"message": "Not Found"}, status=404)
        size, page = int(request.query["per_page"]), int(request.query["page"])
        newest = sorted(self.issues.get(found["full_name"], []), key=lambda one: -one["number"])
        return web.json_response(newest[(page - 1) * size : page * size])

    async def _create(self, request: web.Request) -> web.Response:
        found = self._repo(request)
        if found is None:
            return web.json_response({"message": "Not Found"}, status=404)
        if not found["has_issues"]:
            return web.json_response({"message": "Issues are disabled for this repo"}, status=410)
        told = await request.json()
        issue = self.add(found["full_name"], told["title"], told["body"])
        if self.loses_answers:
            self.loses_answers -= 1
            assert request.transport is not None
            request.transport.close()
            await asyncio.sleep(0)
        return web.json_response(issue, status=201)

    def add(self, repository: str, title: str, body: str, at: datetime | None = None) -> dict[str, Any]:
        """An issue that is there."""
        kept = self.issues.setdefault(repository, [])
        number = len(kept) + 1
        issue = {"number": number, "title": title, "body": body, "state": "open",
                 "created_at": (at or datetime.now(UTC)).isoformat(),
                 "html_url": f"https://github.example/{repository}/issues/{number}"}  # fmt: skip
        kept.append(issue)
        return issue

    def created(self) -> list[Any]:
        """What was posted."""
        return [body for method, _, body in self.requests if method == "POST"]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve it; yields the base URL."""
        server = TestServer(self.application(), host="127.0.0.1")
        await server.start_server()
        try:
            yield str(server.make_url("")).rstrip("/")
        finally:
            await server.close()
