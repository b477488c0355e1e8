"""What the HTTP surface is made of, and how it says no."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bot.domain.signature import SigningSecret
from bot.edges.addresses import is_loopback
from bot.edges.metrics import Metrics
from bot.edges.slack_http import SlackHandler, SlackInstall
from bot.edges.text import Redact
from bot.ports import Comms, Desk, Exporter, Following, Inbox, Links, Received, Records, Scribe
from config.clock import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadyCheck:
    """Something a working installation needs."""

    name: str
    check: Callable[[], Awaitable[str]]
    """The reason why it is not ready; empty when it is."""
    required: bool = True
    """False: it is shown, and we are ready without it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WebDeps:
    """Everything the routes use."""

    inbox: Inbox
    desk: Desk
    records: Records
    exporter: Exporter
    clock: Clock
    metrics: Metrics
    scribe: Scribe | None = None
    """Edits timelines; None: this server cannot."""
    follow: Following | None = None
    """Keeps follow-ups; None: this server cannot."""
    comms: Comms | None = None
    """Tells the pager and stakeholders; None: this server cannot."""
    links: Links | None = None
    """None: no command line can be linked to a person in Slack."""
    pagerduty_secrets: tuple[SigningSecret, ...] = ()
    slack_secrets: tuple[SigningSecret, ...] = ()
    slack_handler: SlackHandler | None = None
    """None: Slack comes over Socket Mode, and there is no ``/slack/events``."""
    slack_install: SlackInstall | None = None
    """None: workspaces do not install the app through us."""
    api_token: str = field(default="", repr=False)
    """Bearer token of ``/api/v1``; empty: the API answers nobody."""
    change_tokens: tuple[str, ...] = field(default=(), repr=False)
    """Tokens that may do nothing but ``POST /changes``; the API token may too."""
    services: frozenset[str] | None = None
    """Service names that changes may be about; None: any."""
    redact: Redact = str
    """Takes secrets out of what changes say, before they are stored."""
    local_user: str = "local"
    """Who acts when the API's caller gives no name."""
    api_from_anywhere: bool = False
    """Whether ``/api/v1`` answers callers that are not on this machine."""
    allowed_origins: frozenset[str] = frozenset()
    """Further origins of browsers, such as ``https://oncall.example.com``, besides loopback."""
    ready_checks: tuple[ReadyCheck, ...] = ()
    on_accept: Callable[[Received], None] | None = None
    """Told of each new delivery after its commit. It must return at once; what it misses, the sweep finds."""
    shed_above: int = 64
    """Commits waiting at once above which PagerDuty is asked to send notes and the like again later."""


class ApiError(HTTPException):
    """An answer that is no: what is wrong, where, and what to do about it."""

    def __init__(self, status: int, what: str, where: str, fix: str, *, headers: Mapping[str, str] | None = None,
                 extra: Mapping[str, Any] | None = None) -> None:  # fmt: skip
        super().__init__(status, what, headers)
        self.what, self.where, self.fix, self.extra = what, where, fix, extra or {}

    def response(self) -> JSONResponse:
        """The answer as JSON."""
        body = {"error": {"what": self.what, "where": self.where, "fix": self.fix}, **self.extra}
        return JSONResponse(body, status_code=self.status_code, headers=dict(self.headers or {}))


def refuse_unsafe_bind(host: str, *, has_auth: bool) -> None:
    """Raise :class:`ValueError` for an address that others can reach while nobody has to say who they are."""
    if has_auth or host == "localhost" or (host and is_loopback(host)):
        return
    raise ValueError(
        f"refusing to listen on {host or 'all addresses'} without authentication: listen on 127.0.0.1, "
        "or set trust_network (PAGERUNNER_TRUST_NETWORK=true) behind a TLS front of your own"
    )
