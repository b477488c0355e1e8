"""Installing the app into a workspace, through Bolt's OAuth flow with our own stores. Only workspaces that are named in
the settings or the catalogue may: whoever else installs it has their token revoked at once."""

import html
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from slack_bolt.error import BoltError
from slack_bolt.oauth.async_callback_options import AsyncCallbackOptions, AsyncFailureArgs, AsyncSuccessArgs
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore

from bot.edges.installations import STATE_VALID, Installed, SqlInstallations
from bot.edges.slack_client import SLACK_API, ask, new_client
from bot.edges.slack_http import SlackReply
from bot.ports import RetryLater, Undeliverable
from config.clock import Clock

INSTALL, REDIRECT = "/slack/install", "/slack/oauth_redirect"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
AGAIN = "Begin again at the address that you were given, in one browser, and within ten minutes."
_WHY = {
    "access_denied": "Nothing was installed: it was not allowed in Slack.",
    "invalid_browser": f"Nothing was installed: this browser did not begin it. {AGAIN}",
    "invalid_state": f"Nothing was installed: it was begun too long ago, or finished already. {AGAIN}",
    "missing_code": f"Nothing was installed: Slack sent no code. {AGAIN}",
    "invalid_code": f"Nothing was installed: Slack did not accept its own code, or could not be reached. {AGAIN}",
}

logger = logging.getLogger("pagerunner.slack")


@dataclass(frozen=True, kw_only=True, slots=True)
class OAuthParts:
    """What an installation needs."""

    client_id: str
    client_secret: str
    app_id: str
    scopes: Sequence[str]
    public_url: str
    api: str
    allowed: frozenset[str]
    """Workspaces that may install the app."""
    teams_of: Callable[[str], Sequence[str]]
    """The teams whose workspace this is."""
    store: SqlInstallations
    clock: Clock
    installed: Callable[[Installed], Awaitable[None]]
    refused: Callable[[str, str], Awaitable[None]]
    """Told of a workspace that was not let in: its id and the app's."""


class NotAllowed(BoltError):
    """Why this installation is not kept, for the person in front of the browser."""


class Install:
    """The two addresses a browser visits."""

    def __init__(self, parts: OAuthParts) -> None:
        self._flow = _Flow(parts)
        self._parts = parts

    async def begin(self, query: str, headers: Mapping[str, str]) -> SlackReply:
        """Send the browser to Slack, with a state that only it can bring back."""
        return _reply(await self._flow.handle_installation(_request(query, headers)))

    async def finish(self, query: str, headers: Mapping[str, str]) -> SlackReply:
        """Slack sent the browser back."""
        return _reply(await self._flow.handle_callback(_request(query, headers)))


class _Flow(AsyncOAuthFlow):
    """Bolt's flow: the code is never logged, and what Slack hands out is looked at before it is kept."""

    def __init__(self, parts: OAuthParts) -> None:
        self._parts = parts
        super().__init__(
            client=new_client("", parts.api, quiet=True), logger=logger,
            settings=AsyncOAuthSettings(
                client_id=parts.client_id, client_secret=parts.client_secret, scopes=list(parts.scopes),
                user_scopes=[], redirect_uri=f"{parts.public_url}{REDIRECT}", install_path=INSTALL,
                redirect_uri_path=REDIRECT, install_page_rendering_enabled=False,
                authorization_url=authorization_url(parts.api), installation_store=_Store(), state_store=_States(parts),
                state_expiration_seconds=int(STATE_VALID.total_seconds()), logger=logger,
                callback_options=AsyncCallbackOptions(success=_done, failure=_failed),
            ),
        )  # fmt: skip

    async def run_installation(self, code: str) -> Installation | None:
        parts = self._parts
        try:
            told = await ask(
                self.client.oauth_v2_access(
                    client_id=parts.client_id, client_secret=parts.client_secret, code=code,
                    redirect_uri=self.settings.redirect_uri,
                )
            )  # fmt: skip
            token = str(told.get("access_token") or "")
            us = await ask(new_client(token, parts.api).auth_test())
        except (RetryLater, Undeliverable) as error:
            logger.warning("slack_not_installed", extra={"reason": str(error)})
            return None
        team = told.get("team") or {}
        return Installation(
            app_id=told.get("app_id"), team_id=team.get("id"), team_name=team.get("name"), bot_token=token,
            bot_id=us.get("bot_id"), bot_user_id=told.get("bot_user_id") or "", bot_scopes=str(told.get("scope") or ""),
            bot_refresh_token=told.get("refresh_token"), user_id=(told.get("authed_user") or {}).get("id") or "",
            is_enterprise_install=bool(told.get("is_enterprise_install")),
        )  # fmt: skip

    async def store_installation(self, request: AsyncBoltRequest, installation: Installation) -> None:  # noqa: ARG002
        parts, team, token = self._parts, str(installation.team_id or ""), str(installation.bot_token or "")
        why = _why_not(installation, parts)
        if why:
            await self._revoke(token)
            await parts.refused(team[:20], str(installation.app_id or "")[:20])
            raise NotAllowed(why)
        new = Installed(
            team_id=team, name=str(installation.team_name or team)[:80], bot_user_id=str(installation.bot_user_id),
            bot_id=str(installation.bot_id or ""), token=token, scopes=frozenset(installation.bot_scopes or ()),
            installed_by=f"slack:{team}/{installation.user_id}", at=parts.clock.now(),
        )  # fmt: skip
        await parts.store.save(new, parts.teams_of(team))
        await parts.installed(new)

    async def _revoke(self, token: str) -> None:
        try:
            await ask(new_client(token, self._parts.api).auth_revoke())
        except (RetryLater, Undeliverable) as error:
            logger.warning("slack_token_not_revoked", extra={"reason": str(error)})


class _Store(AsyncInstallationStore):
    """Bolt wants one; installations are kept by the flow, and requests are authorised by their workspace's own app."""


class _States(AsyncOAuthStateStore):
    """States in our database."""

    def __init__(self, parts: OAuthParts) -> None:
        self._parts = parts

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:  # noqa: ARG002 - the signature of the library
        return self._parts.store.begin(self._parts.clock.now())

    async def async_consume(self, state: str) -> bool:
        return await self._parts.store.finish(state, self._parts.clock.now())


def authorization_url(api: str) -> str:
    """Where people allow the installation: beside the Web API."""
    if api == SLACK_API:
        return "https://slack.com/oauth/v2/authorize"
    parts = urlsplit(api)
    return f"{parts.scheme}://{parts.netloc}/oauth/v2/authorize"


def _why_not(new: Installation, parts: OAuthParts) -> str:
    """Why an installation is not kept; empty if it is."""
    if new.app_id != parts.app_id:
        return f"This is app {new.app_id}, not {parts.app_id}: check slack_app and slack_client_id."
    if new.is_enterprise_install:
        return "It was installed for a whole organisation. Install it into one workspace."
    if new.team_id not in parts.allowed:
        return (f"Workspace {new.team_id} is not one of those that are served here. Whoever runs Pagerunner can name "
                "it as slack_team of a team in the catalogue.")  # fmt: skip
    if new.bot_refresh_token:
        return "The app rotates its tokens. Turn token rotation off in the app's settings, and install it again."
    missing = sorted(set(parts.scopes) - set(new.bot_scopes or ()))
    return f"Slack did not grant {', '.join(missing)}. Compare the app's scopes with the manifest." if missing else ""


async def _done(args: AsyncSuccessArgs) -> BoltResponse:
    team = args.installation.team_name or args.installation.team_id
    channel = "Invite the bot into the team's channel with /invite, and type /oncall help there."
    return _page(200, "Pagerunner is installed", f"In workspace {team}. {channel}", args.settings)


async def _failed(args: AsyncFailureArgs) -> BoltResponse:
    refused = isinstance(args.error, NotAllowed)
    said = str(args.error) if refused else _WHY.get(args.reason, f"Slack says: {args.reason}")
    status = 403 if refused else args.suggested_status_code
    return _page(status, "Not installed", said[:500], args.settings)


def _page(status: int, title: str, said: str, settings: AsyncOAuthSettings) -> BoltResponse:
    body = (
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title><style>body{{font:16px/1.5 sans-serif;margin:3rem auto;max-width:40rem;"
        f"padding:0 1rem}}</style><h1>{html.escape(title)}</h1><p>{html.escape(said)}</p></html>"
    )
    headers: dict[str, str | Sequence[str]] = {
        "Content-Type": "text/html; charset=utf-8",
        "Set-Cookie": settings.state_utils.build_set_cookie_for_deletion(),
    }
    return BoltResponse(status=status, body=body, headers=headers)


def _request(query: str, headers: Mapping[str, str]) -> AsyncBoltRequest:
    return AsyncBoltRequest(body="", query=query, headers=dict(headers))


def _reply(answer: BoltResponse) -> SlackReply:
    headers = {name: values[0] for name, values in answer.headers.items() if values}
    return SlackReply(status=answer.status, headers={**headers, "content-security-policy": POLICY},
                      body=str(answer.body or "").encode())  # fmt: skip
