"""The HTTP surface: webhooks, health, figures and the API. Nothing is answered 2xx before it is committed."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.domain import codec
from bot.domain.signature import Verified
from bot.domain.timeline import canonical
from bot.edges import api, api_auth, metrics, pagerduty_in, slack_http
from bot.edges.changes_in import ChangeError, parse_change
from bot.edges.web_deps import ApiError, ReadyCheck, WebDeps, refuse_unsafe_bind
from bot.ports import Received, StorageDown

__all__ = ["ReadyCheck", "WebDeps", "create_app", "refuse_unsafe_bind"]

RETRY_AFTER = {"retry-after": "5"}

_log = logging.getLogger("pagerunner.web")


def create_app(deps: WebDeps) -> FastAPI:
    """The application; serve it with :func:`bot.edges.guard.guarded_config`."""
    app = FastAPI(
        title="Pagerunner", version="1", openapi_url=f"{api.PREFIX}/openapi.json", docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    _add_webhooks(app, deps)
    _add_health(app, deps)
    app.include_router(api.make_router(deps))
    _add_errors(app, deps)
    app.add_middleware(_PlainHeaders)
    return app


def _add_webhooks(app: FastAPI, deps: WebDeps) -> None:
    intake = _Intake(deps)

    @app.post("/webhooks/pagerduty", status_code=202, response_model=None)
    async def pagerduty(request: Request) -> Response:
        """A PagerDuty V3 webhook: verified, committed, then accepted."""
        return await intake.pagerduty(request)

    @app.post("/changes", status_code=202, response_model=None)
    async def changes(request: Request) -> Response:
        """Somebody tells what they changed: id, at, kind, service, summary, before, after, actor."""
        return await intake.change(request)

    if deps.slack_handler is not None:

        @app.post("/slack/events", response_model=None)
        async def slack(request: Request) -> Response:
            """Slack over HTTP."""
            return await intake.slack(request)

    if deps.slack_install is not None:

        @app.get("/slack/install", response_model=None)
        async def install(request: Request) -> Response:
            """A browser begins to install the app into a workspace."""
            return await intake.installation(request, "begin")

        @app.get("/slack/oauth_redirect", response_model=None)
        async def installed(request: Request) -> Response:
            """Slack sent the browser back."""
            return await intake.installation(request, "finish")


class _Intake:
    """Deliveries on their way into the inbox."""

    def __init__(self, deps: WebDeps) -> None:
        self._deps = deps
        self._waiting = 0

    async def pagerduty(self, request: Request) -> Response:
        deps, raw, now = self._deps, await request.body(), self._deps.clock.now()
        match pagerduty_in.verify(raw, request.scope["headers"], deps.pagerduty_secrets, now):
            case Verified.GENUINE:
                pass
            case Verified.MALFORMED:
                return self._denied(request, "pagerduty", "malformed_signature", 400)
            case _:
                # A 4xx would make PagerDuty drop its queue when it is we who hold a wrong key.
                deps.metrics.pd_signature_mismatch.inc()
                return self._denied(request, "pagerduty", "signature_mismatch", 503)
        kind = pagerduty_in.delivery_kind(raw)
        if kind is None:
            deps.metrics.quarantined.labels(source="pagerduty").inc()
            _log.error("a signed PagerDuty delivery cannot be read; it is kept for a person")
        elif self._waiting >= deps.shed_above and kind in pagerduty_in.SHEDDABLE:
            return self._denied(request, "pagerduty", "overload", 429)
        received = Received(key=pagerduty_in.delivery_key(raw), source="pagerduty", body=raw, received_at=now)
        return await self._accept(received)

    async def change(self, request: Request) -> Response:
        deps = self._deps
        api_auth.refuse_foreign(request, deps)
        token = api_auth.bearer(request)
        if not any([api_auth.holds(token, accepted) for accepted in (deps.api_token, *deps.change_tokens)]):  # noqa: C419
            deps.metrics.denied.labels(surface="changes", reason="no_token").inc()
            raise ApiError(
                401, "no valid token", "Authorization", "send 'Authorization: Bearer' with a token for changes",
                headers={"www-authenticate": "Bearer"},
            )  # fmt: skip
        raw, now = await request.body(), deps.clock.now()
        try:
            change = parse_change(raw, now, services=deps.services, redact=deps.redact)
        except ChangeError as error:
            raise ApiError(422, error.what, error.where, error.fix) from error
        body = canonical(codec.dump(change))
        return await self._accept(Received(key=f"changes:{change.id}", source="changes", body=body, received_at=now))

    async def slack(self, request: Request) -> Response:
        handler = self._deps.slack_handler
        assert handler is not None
        raw, now = await request.body(), self._deps.clock.now()
        verified = slack_http.verify(raw, request.scope["headers"], self._deps.slack_secrets, now)
        if isinstance(verified, slack_http.SlackRefused):
            return self._denied(request, "slack", verified.reason, verified.status)
        reply = await handler(verified)
        return Response(reply.body, status_code=reply.status, headers=dict(reply.headers))

    async def installation(self, request: Request, step: str) -> Response:
        visit = self._deps.slack_install
        assert visit is not None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}
        reply = await visit(step, request.url.query, headers)
        return Response(reply.body, status_code=reply.status, headers=dict(reply.headers))

    async def _accept(self, received: Received) -> Response:
        """Commit, then say so. :class:`StorageDown` becomes a 503, and the sender comes again."""
        source, begun = received.source, self._deps.clock.now()
        self._waiting += 1
        try:
            new = await self._deps.inbox.accept(received)
        finally:
            self._waiting -= 1
        self._deps.metrics.ack_seconds.labels(source=source).observe((self._deps.clock.now() - begun).total_seconds())
        self._deps.metrics.deliveries.labels(source=source, new=str(new).lower()).inc()
        if new and self._deps.on_accept is not None:
            try:
                self._deps.on_accept(received)
            except Exception:  # noqa: BLE001 - the webhook boundary: it is committed, and the sweep finds it
                _log.exception("could not start work on %s", received.key)
        return JSONResponse({"accepted": True, "new": new}, status_code=202)

    def _denied(self, request: Request, surface: str, reason: str, status: int) -> Response:
        """Say no without a word about why to the sender, and with a reason to us. The body is never logged."""
        self._deps.metrics.denied.labels(surface=surface, reason=reason).inc()
        peer = request.client.host if request.client else "local socket"
        _log.warning("refused a %s request: %s", surface, reason, extra={"peer": peer, "status": status})
        return Response(status_code=status, headers=RETRY_AFTER if status in (429, 503) else None)


def _add_health(app: FastAPI, deps: WebDeps) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> Response:
        """Whether everything needed is there, and what is not."""
        checks: dict[str, Any] = {}
        ready = True
        for item in deps.ready_checks:
            try:
                reason = await item.check()
            except Exception as error:  # noqa: BLE001 - a check that cannot run is a reason not to be ready
                reason = f"the check itself failed: {type(error).__name__}"
            checks[item.name] = {"ready": not reason, "required": item.required, "reason": reason}
            ready = ready and not (reason and item.required)
        return JSONResponse({"ready": ready, "checks": checks}, status_code=200 if ready else 503)

    @app.get("/metrics", response_class=Response)
    async def figures() -> Response:
        """Figures for Prometheus."""
        return Response(deps.metrics.exposition(), media_type=metrics.CONTENT_TYPE)


def _add_errors(app: FastAPI, deps: WebDeps) -> None:
    @app.exception_handler(ApiError)
    async def refused(_request: Request, error: ApiError) -> Response:
        return error.response()

    @app.exception_handler(StorageDown)
    async def storage_down(_request: Request, _error: StorageDown) -> Response:
        deps.metrics.storage_down.inc()
        _log.error("storage is down: nothing was committed, the sender is asked to come again")
        return ApiError(
            503, "storage cannot commit now; nothing was changed", "database", "try again", headers=RETRY_AFTER
        ).response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        # What was sent is not repeated: it may be anything.
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        safe = where.encode("ascii", "backslashreplace").decode()[:128]
        return ApiError(422, str(first["msg"]), safe, "see /api/v1/openapi.json for what is expected").response()

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        what = HTTPStatus(error.status_code).phrase
        fix = "see /api/v1/openapi.json for what there is"
        return ApiError(error.status_code, what, request.method, fix, headers=error.headers).response()


class _PlainHeaders:
    """Nothing we answer is guessed at, framed or kept by a browser."""

    _HEADERS = (
        (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), (b"cache-control", b"no-store"),
        (b"x-frame-options", b"DENY"), (b"cross-origin-resource-policy", b"same-origin"),
    )  # fmt: skip

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._HEADERS]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
