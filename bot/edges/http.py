"""The one safe HTTP client: named targets only, addresses checked and pinned, limits on everything, no retries."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpcore

from bot.edges.addresses import BadUrlError, checked_path
from bot.edges.exchange import HARD_MAX_REPLY_BYTES, MAX_REPLY_BYTES, NETWORK_ERRORS, Ask, Progress, compose, exchange
from bot.edges.pinned import Line, Resolve, open_line, system_resolve
from bot.edges.reach import walk
from bot.edges.virtual_http import VirtualHttp
from config.catalogue import Catalogue, Target
from config.http import FailureStage, Http, HttpError, Purpose, ReachStep, Reply

__all__ = ["ReadingHttp", "SafeHttp", "VirtualHttp", "system_resolve"]

_METHODS: Mapping[Purpose, frozenset[str]] = {
    "read": frozenset({"GET", "HEAD"}),
    "canary": frozenset({"GET", "HEAD", "POST"}),
    "effect": frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
}
_OWN_HEADERS = frozenset({
    "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "cookie",
    "accept-encoding", "content-type", "authorization", "proxy-authorization", "user-agent",
})  # fmt: skip


class SafeHttp:
    """Implements :class:`config.http.Http`. ``secrets`` maps environment variable names to credentials.
    ``max_connections`` at once to each target, of which ``kept`` stay open while idle."""

    def __init__(self, catalogue: Catalogue, secrets: Mapping[str, str], *, resolve: Resolve = system_resolve,
                 max_connections: int = 32, kept: int = 16) -> None:  # fmt: skip
        self._catalogue = catalogue
        self._secrets = secrets
        self._resolve = resolve
        self._max_connections, self._kept = max_connections, kept
        self._lines: dict[str, Line] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        lines = list(self._lines.values())
        self._lines.clear()
        for line in lines:
            await line.aclose()

    async def request(
        self, target: str, method: str, path: str, *, purpose: Purpose = "read", query: Mapping[str, str] | None = None,
        body: object = None, headers: Mapping[str, str] | None = None, timeout_s: float = 8.0,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> Reply:  # fmt: skip
        """See :class:`config.http.Http`. A reply of more than ``max_bytes`` (at most 4 MiB) is ``too_large``."""
        line = self._line(target)
        _permitted(line.target, method, path, purpose)
        ask = Ask(method=method, path=path, query=query, body=body, headers=self._headers(line.target, headers or {}))
        progress = Progress()
        request = compose(line, ask, timeout_s, progress)
        pool = line.fresh if purpose == "effect" else line.pool
        try:
            async with asyncio.timeout(timeout_s):
                return await exchange(pool, request, target, progress, min(max_bytes, HARD_MAX_REPLY_BYTES))
        except TimeoutError as error:
            stage: FailureStage = "timeout" if progress.sent_at else progress.stage
            raise HttpError(stage, target, f"no whole reply within {timeout_s:g} s") from error
        except httpcore.PoolTimeout as error:
            raise HttpError("connect", target, "all connections are busy") from error
        except NETWORK_ERRORS as error:
            raise HttpError(progress.stage, target, f"{type(error).__name__}: {error}") from error

    async def reach(self, target: str, *, timeout_s: float = 5.0) -> tuple[ReachStep, ...]:
        """See :class:`config.http.Http`. Any HTTP status is reached. Raises for an undeclared target only."""
        steps, _ = await walk(self._line(target), timeout_s, {})
        return steps

    async def reach_reply(
        self, target: str, *, timeout_s: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> tuple[tuple[ReachStep, ...], Reply | None]:
        """As :meth:`reach`, with the reply of the last step for those who must read its headers."""
        return await walk(self._line(target), timeout_s, headers or {})

    def _line(self, name: str) -> Line:
        if name not in self._lines:
            target = self._catalogue.target(name)
            if target is None:
                raise HttpError("refused", name, "no target of this name in the catalogue")
            self._lines[name] = open_line(target, self._resolve, self._max_connections, self._kept)
        return self._lines[name]

    def _headers(self, target: Target, wanted: Mapping[str, str]) -> dict[str, str]:
        """What the caller may set, and the target's credential."""
        headers = {name.lower(): value for name, value in wanted.items()}
        for name, value in headers.items():
            if name in _OWN_HEADERS or name == target.auth_header.lower():
                raise HttpError("refused", target.name, f"header {name} is the client's own and cannot be set")
            token = name.replace("-", "").replace("_", "")
            if not (token.isalnum() and name.isascii() and value.isascii() and (value.isprintable() or not value)):
                raise HttpError("refused", target.name, f"header {name!r} holds characters that a header cannot")
        if target.auth_env:
            secret = self._secrets.get(target.auth_env, "").strip()
            if not (secret.isascii() and secret.isprintable()) or not secret:
                detail = f"its credential is missing or not plain text: set the environment variable {target.auth_env}"
                raise HttpError("refused", target.name, detail)
            headers[target.auth_header.lower()] = target.auth_prefix + secret
        return headers


class ReadingHttp:
    """What probes get: the same client without effects."""

    def __init__(self, inner: Http) -> None:
        self._inner = inner

    async def request(
        self, target: str, method: str, path: str, *, purpose: Purpose = "read", query: Mapping[str, str] | None = None,
        body: object = None, headers: Mapping[str, str] | None = None, timeout_s: float = 8.0,
    ) -> Reply:  # fmt: skip
        """See :class:`config.http.Http`; ``effect`` is refused."""
        if purpose == "effect":
            raise HttpError("refused", target, "probes never change anything")
        return await self._inner.request(
            target, method, path, purpose=purpose, query=query, body=body, headers=headers, timeout_s=timeout_s
        )

    async def reach(self, target: str, *, timeout_s: float = 5.0) -> tuple[ReachStep, ...]:
        """See :class:`config.http.Http`."""
        return await self._inner.reach(target, timeout_s=timeout_s)


def _permitted(target: Target, method: str, path: str, purpose: Purpose) -> None:
    if method not in _METHODS[purpose]:
        raise HttpError("refused", target.name, f"{method} is not allowed for purpose {purpose!r}")
    try:
        checked_path(path)
    except BadUrlError as error:
        raise HttpError("refused", target.name, str(error)) from error
    if purpose == "canary" and method == "POST" and path not in target.canary_paths:
        raise HttpError("refused", target.name, f"{path} is not declared in this target's canary_paths")
