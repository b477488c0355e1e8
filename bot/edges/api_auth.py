"""Who may call ``/api/v1``, and as whom."""

import re
from collections.abc import Callable, Coroutine
from hmac import compare_digest
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import Header, Request, Response
from fastapi.routing import APIRoute

from bot.domain.proposal import Principal
from bot.edges import strict_json
from bot.edges.addresses import is_loopback
from bot.edges.web_deps import ApiError, WebDeps

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class StrictRoute(APIRoute):
    """Reads JSON bodies with our own parser."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(_StrictRequest(request.scope, request.receive))

        return strict


class _StrictRequest(Request):
    async def json(self) -> Any:
        try:
            return strict_json.loads(await self.body())
        except strict_json.JsonError as error:
            raise ApiError(400, str(error), "body", "send one JSON object") from error


def bearer(request: Request) -> bytes:
    """The token a caller shows; empty if there is none, or more than one."""
    values = [value for name, value in request.scope["headers"] if name == b"authorization"]
    if len(values) != 1 or values[0][:7].lower() != b"bearer ":
        return b""
    token: bytes = values[0][7:].strip()
    return token


def holds(token: bytes, accepted: str) -> bool:
    """Whether the shown token is this one. An empty one never is."""
    return bool(accepted) and compare_digest(token, accepted.encode())


def refuse_foreign(request: Request, deps: WebDeps) -> None:
    """Raise :class:`ApiError` 403 for what a browser sends on behalf of another site."""
    headers = request.headers
    origin = headers.get("origin")
    foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if origin is not None and origin not in deps.allowed_origins:
        try:
            foreign = foreign or urlsplit(origin).hostname not in _LOCAL_HOSTS
        except ValueError:
            foreign = True
    if foreign:
        deps.metrics.denied.labels(surface="api", reason="foreign_origin").inc()
        raise ApiError(403, "this came from another site", "Origin", "call the API from its own console or a program")


def guard(deps: WebDeps) -> Callable[[Request], Coroutine[Any, Any, None]]:
    """The check that every API request passes: no foreign site, this machine, the token, JSON."""

    async def allowed(request: Request) -> None:
        refuse_foreign(request, deps)
        if not deps.api_from_anywhere and not is_loopback(request.client.host if request.client else None):
            deps.metrics.denied.labels(surface="api", reason="not_loopback").inc()
            raise ApiError(
                403, "the API answers this machine only", "peer", "call it from here, or change the settings"
            )
        if not holds(bearer(request), deps.api_token):
            deps.metrics.denied.labels(surface="api", reason="no_token").inc()
            raise ApiError(
                401, "no valid token", "Authorization", "send 'Authorization: Bearer' and the token in PAGERUNNER_DATA",
                headers={"www-authenticate": "Bearer"},
            )  # fmt: skip
        kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
        if request.method == "POST" and kind != "application/json":
            raise ApiError(415, "not JSON", "Content-Type", "send application/json")

    return allowed


def who_is(deps: WebDeps) -> Callable[..., Coroutine[Any, Any, Principal]]:
    """Who acts: a person in Slack, if the caller shows the secret of a link; otherwise the name that the token's holder
    gives, or the default one. A link that does not hold is refused, and never falls back to a name."""

    async def who(
        x_pagerunner_user: Annotated[str | None, Header()] = None,
        x_pagerunner_via: Annotated[Literal["api", "cli", "terminal"], Header()] = "api",
        x_pagerunner_link: Annotated[str | None, Header(max_length=200)] = None,
    ) -> Principal:
        if x_pagerunner_link is not None:
            return await _linked(deps, x_pagerunner_link, x_pagerunner_via)
        name = deps.local_user if x_pagerunner_user is None else x_pagerunner_user
        if _NAME.fullmatch(name) is None:
            raise ApiError(
                400, "not a user name", "X-Pagerunner-User", "use letters, digits, dots, dashes, underscores"
            )
        return Principal(id=f"local:{name}", name=name, via=x_pagerunner_via)

    return who


async def _linked(deps: WebDeps, shown: str, via: str) -> Principal:
    link_id, _, secret = shown.partition(".")
    link = await deps.links.acts_as(link_id, secret) if deps.links is not None else None
    if link is None:
        deps.metrics.denied.labels(surface="api", reason="bad_link").inc()
        raise ApiError(
            401, "the link of this command line is not valid: it was ended, or is too old", "X-Pagerunner-Link",
            "remove it with `pagerunner unlink`; `pagerunner link` makes a new one",
        )  # fmt: skip
    return Principal(id=link.principal, name=link.name, via=via, link=link.id)
