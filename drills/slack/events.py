"""The signed HTTP way to the app: one request URL for events, interactions and commands, as Bolt serves it."""

import hashlib
import hmac
import json
from collections.abc import Callable
from urllib.parse import urlencode

import aiohttp

from drills.slack.delivery import ACK_SECONDS, Ack, Kind
from drills.slack.wire import Json


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's ``v0`` signature of a body."""
    return "v0=" + hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()


class SignedHttp:
    """Posts to the app's request URL and reads its answer, with three seconds of patience."""

    def __init__(self, url: str, signing_secret: str, now: Callable[[], float]) -> None:
        self.url = url
        self.signing_secret = signing_secret
        self.ack_seconds = ACK_SECONDS
        self._now = now
        self._session: aiohttp.ClientSession | None = None
        self._last: tuple[bytes, dict[str, str]] | None = None

    def connected(self) -> bool:
        """A request URL is always worth trying."""
        return True

    async def send(self, kind: Kind, payload: Json, *, attempt: int = 0, reason: str = "") -> Ack:
        """Sign and post once."""
        body, content_type = _encoded(kind, payload)
        headers = {"Content-Type": content_type, **self._signed(body)}
        if attempt:
            headers |= {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": reason}
        if kind != "events_api":
            self._last = (body, headers)
        return await self._post(body, headers)

    async def replay(self, times: int) -> list[bool]:
        """Post the last interaction again: the same bytes, the same signature."""
        if self._last is None:
            return []
        return [(await self._post(*self._last)).ok for _ in range(times)]

    async def verify(self, challenge: str) -> bool:
        """The handshake with which Slack accepts a request URL."""
        body = json.dumps({"token": "loopback", "challenge": challenge, "type": "url_verification"}).encode()
        ack = await self._post(body, {"Content-Type": "application/json", **self._signed(body)})
        return ack.ok and ack.body is not None and challenge in (ack.body.get("challenge"), ack.body.get("text"))

    async def close(self) -> None:
        """Close the connections to the app."""
        if self._session is not None:
            await self._session.close()

    def _signed(self, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._now()))
        return {
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": signature(self.signing_secret, timestamp, body),
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }

    async def _post(self, body: bytes, headers: dict[str, str]) -> Ack:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        patience = aiohttp.ClientTimeout(total=self.ack_seconds)
        try:
            async with self._session.post(
                self.url, data=body, headers=headers, timeout=patience, max_redirects=2
            ) as reply:
                text = await reply.text()
                quiet = reply.headers.get("X-Slack-No-Retry") == "1"
                if 200 <= reply.status < 300:
                    return Ack(ok=True, body=_answer(text, reply.content_type))
                return Ack(ok=False, reason="http_error", no_retry=quiet)
        except TimeoutError:
            return Ack(ok=False, reason="http_timeout")
        except aiohttp.TooManyRedirects:
            return Ack(ok=False, reason="too_many_redirects")
        except aiohttp.ClientError:
            return Ack(ok=False, reason="connection_failed")


def _encoded(kind: Kind, payload: Json) -> tuple[bytes, str]:
    if kind == "events_api":
        return json.dumps(payload).encode(), "application/json"
    fields = payload if kind == "slash_commands" else {"payload": json.dumps(payload)}
    return urlencode(fields).encode(), "application/x-www-form-urlencoded"


def _answer(text: str, content_type: str) -> Json | None:
    if not text:
        return None
    if content_type == "application/json":
        try:
            value = json.loads(text)
        except ValueError:
            return None
        return value if isinstance(value, dict) else None
    return {"text": text}
