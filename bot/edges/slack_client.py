"""The Web API client: which errors pass, which stay, and who we are in the workspace."""

import logging
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.ports import RetryLater, Undeliverable

SLACK_API = "https://slack.com/api/"
DEFAULT_WAIT_S = 30.0
LONGEST_WAIT_S = 300.0
_TRANSIENT = frozenset({
    "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
    "team_added_to_org", "message_limit_exceeded", "accesslimited",
})  # fmt: skip
_HINTS = {
    "invalid_auth": "the bot token is not valid; install the app again and set the new token",
    "not_authed": "no bot token is set",
    "token_revoked": "the bot token was revoked; install the app again and set the new token",
    "token_expired": "the bot token has expired; install the app again and set the new token",
    "account_inactive": "the bot user was deactivated; install the app again",
    "missing_scope": "the app lacks a permission; compare its scopes with the manifest and install it again",
    "channel_not_found": "there is no such channel for the bot; check slack_channel in the catalogue",
    "not_in_channel": "the bot is not in the channel; invite it there",
    "is_archived": "the channel is archived; name another one in the catalogue",
    "messages_tab_disabled": "the app's Messages tab is off; compare the app with the manifest and install it again",
    "restricted_action": "the workspace forbids the bot to post there",
}


class Refused(Undeliverable):
    """Slack will never take this; ``code`` is its own word for it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, kw_only=True, slots=True)
class Us:
    """Who the token belongs to."""

    team_id: str
    bot_user_id: str
    bot_id: str
    enterprise_id: str = ""


def new_client(
    token: str, base_url: str = SLACK_API, timeout_s: int = 10, *, quiet: bool = False
) -> AsyncWebClient:  # fmt: skip
    """A client that never sends anything twice by itself: what is retried, and when, is the outbox's decision.
    ``quiet``: what it sends and receives is a secret, and not even told to whoever debugs."""
    told = logging.getLogger("pagerunner.slack.quiet") if quiet else None
    if told is not None:
        told.setLevel(logging.WARNING)
    client = AsyncWebClient(token=token, base_url=base_url, timeout=timeout_s, retry_handlers=[], logger=told)
    if is_loopback(base_url):
        client.proxy = None
    return client


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine: no proxy stands on the way to it."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


async def ask(call: Awaitable[AsyncSlackResponse]) -> dict[str, Any]:
    """The answer of one call. Raises :class:`RetryLater` or :class:`Refused`."""
    try:
        data = (await call).data
    except SlackApiError as error:
        raise _translated(error) from error
    except SlackRequestError as error:  # The upload address did not take a file.
        raise RetryLater(DEFAULT_WAIT_S, "Slack did not take the file") from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise RetryLater(5.0, f"Slack could not be reached: {type(error).__name__}") from error
    if not isinstance(data, dict):
        raise RetryLater(DEFAULT_WAIT_S, "Slack's answer could not be read")
    return data


async def read(client: AsyncWebClient, method: str, **arguments: str | int | bool) -> dict[str, Any]:
    """The answer of a method that only reads, asked by POST: channel and user ids stay out of addresses and logs."""
    form = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in arguments.items()}
    return await ask(client.api_call(method, data=form))


def wait_of(retry_after: str | None) -> float:
    """Seconds to wait, as a ``Retry-After`` header asks: whole seconds, 30 if it is anything else, 1 to 300."""
    asked = float(retry_after) if retry_after and re.fullmatch(r"[0-9]{1,9}", retry_after) else DEFAULT_WAIT_S
    return min(max(asked, 1.0), LONGEST_WAIT_S)


class Workspace:
    """Our place in Slack, asked for once, unless it is known."""

    def __init__(self, client: AsyncWebClient, us: Us | None = None) -> None:
        self._client = client
        self._us = us

    async def us(self) -> Us:
        """Who we are. Raises :class:`RetryLater` or :class:`Refused`."""
        if self._us is None:
            told = await ask(self._client.auth_test())
            self._us = Us(
                team_id=str(told.get("team_id") or ""),
                bot_user_id=str(told.get("user_id") or ""),
                bot_id=str(told.get("bot_id") or ""),
                enterprise_id=str(told.get("enterprise_id") or ""),
            )
        return self._us


def _translated(error: SlackApiError) -> RetryLater | Refused:
    response: Any = error.response
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0))
    data = getattr(response, "data", None)
    code = str(data.get("error") or "") if isinstance(data, dict) else ""
    if status == 429 or code in ("ratelimited", "rate_limited"):
        headers = getattr(response, "headers", None) or {}
        wait = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
        return RetryLater(wait_of(wait), "Slack limits the rate")
    if status >= 500 or code in _TRANSIENT or status == 0:
        return RetryLater(DEFAULT_WAIT_S if status == 0 else 5.0, f"Slack answered {status} {code}".strip())
    hint = _HINTS.get(code, "")
    needed = f" (needs {data['needed']})" if isinstance(data, dict) and data.get("needed") else ""
    said = code or f"HTTP {status} without a reason"
    return Refused(code, f"Slack refused it: {said}{needed}{'; ' + hint if hint else ''}")
