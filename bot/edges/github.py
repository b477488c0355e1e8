"""Issues over GitHub's REST API, or an Enterprise server's. The safe client sends; nothing is created twice.

An issue is looked for by its hidden mark before it is created, in the list of the newest ones: GitHub's search lags
behind by minutes, and this list does not.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from bot.domain.followups import safe
from bot.edges.addresses import is_loopback
from bot.edges.http import SafeHttp
from bot.edges.text import fit
from bot.ports import Issue, RetryLater, Undeliverable, WantedIssue
from config.catalogue import Catalogue, Target
from config.http import HttpError, Reply

PUBLIC = "https://api.github.com"
TARGET, KEY = "github", "PAGERUNNER_GITHUB_TOKEN"
HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
"""Where an Enterprise server may stand: its address is the operator's own word."""
PER_PAGE, PAGES = 30, 20
MAX_LIST_BYTES = 4_000_000
SKEW = timedelta(hours=1)
"""How far apart our clock and GitHub's may be."""
TIMEOUT_S = 20.0
NO_ANSWER_S = 15.0
SECONDARY_S = 60.0
"""What GitHub asks for when it limits without saying how long."""


def target(api: str) -> Target:
    """GitHub as a target of the safe client."""
    host = urlsplit(api).hostname or ""
    here = host == "localhost" or (bool(host) and is_loopback(host))
    private = ("127.0.0.0/8", "::1/128") if here else () if api.rstrip("/") == PUBLIC else PRIVATE
    return Target(name=TARGET, base_url=api.rstrip("/"), allow_http=here, allow_private=private, auth_env=KEY,
                  auth_prefix="Bearer ")  # fmt: skip


def client(api: str, token: str) -> SafeHttp:
    """The safe client that can reach nothing but GitHub."""
    only = Catalogue(targets=(target(api),), teams=(), services=(), fallback_channel="")
    return SafeHttp(only, {KEY: token})


class GitHub:
    """See :class:`bot.ports.Tracker`."""

    def __init__(self, token: str, api: str = PUBLIC) -> None:
        self._api = api
        self._token = token

    async def issue(self, wanted: WantedIssue) -> Issue:
        async with client(self._api, self._token) as http:
            found = await self._find(http, wanted)
            if found is not None:
                return found
            body = {"title": wanted.title, "body": wanted.body}
            reply = await self._send(http, "POST", f"/repos/{wanted.repository}/issues", body=body)
            if reply.status == 201:
                return _issue(wanted.repository, _json(reply))
            raise refusal(reply, wanted.repository)

    async def _find(self, http: SafeHttp, wanted: WantedIssue) -> Issue | None:
        """The issue of an earlier try whose answer was lost."""
        since = wanted.asked_at - SKEW
        for page in range(1, PAGES + 1):
            query = {"state": "all", "sort": "created", "direction": "desc", "since": f"{since:%Y-%m-%dT%H:%M:%SZ}",
                     "per_page": str(PER_PAGE), "page": str(page)}  # fmt: skip
            reply = await self._send(http, "GET", f"/repos/{wanted.repository}/issues", query=query)
            if reply.status != 200:
                raise refusal(reply, wanted.repository)
            listed = _json(reply)
            if not isinstance(listed, list):
                raise RetryLater(NO_ANSWER_S, "GitHub's list of issues cannot be read")
            for one in listed:
                if isinstance(one, dict) and wanted.marker in str(one.get("body") or ""):
                    return _issue(wanted.repository, one)
            if len(listed) < PER_PAGE or not _newer(listed[-1], since):
                return None
        raise Undeliverable(f"{wanted.repository} had too many new issues to see whether this one is among them: look "
                            "for it there")  # fmt: skip

    async def _send(self, http: SafeHttp, method: str, path: str, *, query: Mapping[str, str] | None = None,
                    body: object = None) -> Reply:  # fmt: skip
        try:
            return await http.request(
                TARGET, method, path, purpose="read" if method == "GET" else "effect", query=query, body=body,
                headers=HEADERS, timeout_s=TIMEOUT_S, max_bytes=MAX_LIST_BYTES,
            )  # fmt: skip
        except HttpError as error:
            if error.stage == "refused":
                raise Undeliverable(f"GitHub at {self._api}: {error.detail}") from error
            raise RetryLater(NO_ANSWER_S, f"GitHub does not answer ({error.stage}: {error.detail})") from error


def _issue(repository: str, told: Any) -> Issue:
    number, url = (told.get("number"), told.get("html_url")) if isinstance(told, dict) else (None, None)
    if not isinstance(number, int) or isinstance(number, bool):
        raise RetryLater(NO_ANSWER_S, "GitHub's answer has no issue number")
    return Issue(key=f"{repository}#{number}", url=url if isinstance(url, str) and safe(url) else "")


def refusal(reply: Reply, repository: str) -> RetryLater | Undeliverable:
    """What an answer that is no means: for later, or for a person."""
    seconds = _limited(reply)
    if seconds is not None:
        return RetryLater(seconds, "GitHub limits the rate")
    if reply.status >= 500 or reply.status == 408:
        return RetryLater(NO_ANSWER_S, f"GitHub answered {reply.status}")
    said = _json(reply)
    told = fit(str(said.get("message") or ""), 200, str) if isinstance(said, dict) else ""
    advice = {
        301: f"{repository} has moved: correct github_repository in the catalogue",
        307: f"{repository} has moved: correct github_repository in the catalogue",
        401: f"the token is wrong or has expired: set {KEY}",
        403: f"the token may not write issues of {repository}: it needs Issues, read and write",
        404: f"there is no repository {repository}, or the token may not see it",
        410: f"{repository} has no issues: switch them on in its settings",
        422: "GitHub does not take this title or text",
    }.get(reply.status, "look at GitHub's status")
    return Undeliverable(f"GitHub answered {reply.status}{f' ({told})' if told else ''}: {advice}")


def _limited(reply: Reply) -> float | None:
    """Seconds to wait, if the rate is limited: the first limit, or the secondary one, which says it in words."""
    if reply.status not in (403, 429):
        return None
    after = _seconds(reply.headers.get("retry-after"))
    if after is not None:
        return after
    reset = _seconds(reply.headers.get("x-ratelimit-reset"))
    if reply.headers.get("x-ratelimit-remaining") == "0" and reset is not None:
        date = _date(reply.headers)
        return max(reset - date, 1.0) if date is not None else SECONDARY_S
    if reply.status == 429 or "rate limit" in reply.text.lower():
        return SECONDARY_S
    return None


def _date(headers: Mapping[str, str]) -> float | None:
    """What GitHub's clock says: its reset is in its own time."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rarely needed

    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _newer(one: Any, since: datetime) -> bool:
    try:
        return datetime.fromisoformat(str(one["created_at"])) >= since
    except (KeyError, TypeError, ValueError):
        return True


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.text)
    except (ValueError, RecursionError):
        return None
