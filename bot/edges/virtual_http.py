"""The same client where the simulated world owns time: requests carry the moment, replies say how long they took."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol

from config.clock import Clock
from config.http import HttpError, Purpose, ReachStep, Reply

NOW = "x-sim-now"
ELAPSED = "x-sim-elapsed"
FIRST_BYTE = "x-sim-first-byte"
FAILURE = "x-sim-failure"
"""A failure that loopback cannot really have: ``dns``, ``connect``, ``tls``, ``timeout`` or ``read``."""

REAL_TIMEOUT_S = 30.0
"""How long the world itself may take to answer; no time passes in the drill meanwhile."""

Context = AbstractContextManager[None]

_STEP_OF = {"dns": "dns", "connect": "tcp", "tls": "tls", "timeout": "http", "read": "http"}


class RealHttp(Protocol):
    """What is wrapped: :class:`bot.edges.http.SafeHttp`."""

    async def request(self, target: str, method: str, path: str, *, purpose: Purpose = "read",
                      query: Mapping[str, str] | None = None, body: object = None,
                      headers: Mapping[str, str] | None = None, timeout_s: float = 8.0) -> Reply:  # fmt: skip
        """As :meth:`config.http.Http.request`."""
        ...

    async def reach_reply(
        self, target: str, *, timeout_s: float = 5.0, headers: Mapping[str, str] | None = None
    ) -> tuple[tuple[ReachStep, ...], Reply | None]:
        """As :meth:`bot.edges.http.SafeHttp.reach_reply`."""
        ...


class VirtualHttp:
    """Implements :class:`config.http.Http` in virtual time: durations are the world's, timeouts are held to them.

    ``real`` is entered while the world is really asked: there virtual time stands still.
    """

    def __init__(self, inner: RealHttp, clock: Clock, *, real: Callable[[], Context] = nullcontext) -> None:
        self._inner = inner
        self._clock = clock
        self._real = real

    async def request(
        self, target: str, method: str, path: str, *, purpose: Purpose = "read", query: Mapping[str, str] | None = None,
        body: object = None, headers: Mapping[str, str] | None = None, timeout_s: float = 8.0,
    ) -> Reply:  # fmt: skip
        """See :class:`config.http.Http`."""
        with self._real():
            reply = await self._inner.request(
                target, method, path, purpose=purpose, query=query, body=body, timeout_s=REAL_TIMEOUT_S,
                headers={**(headers or {}), **self._moment()},
            )  # fmt: skip
        elapsed, first_byte = _seconds(reply, ELAPSED), _seconds(reply, FIRST_BYTE)
        await self._clock.sleep(min(elapsed, timeout_s))
        failure: Any = reply.headers.get(FAILURE, "")
        if failure in _STEP_OF:
            raise HttpError(failure, target, "simulated")
        if elapsed > timeout_s:
            raise HttpError("timeout", target, f"no whole reply within {timeout_s:g} s")
        own = {name: value for name, value in reply.headers.items() if not name.startswith("x-sim-")}
        return Reply(
            status=reply.status, headers=own, body=reply.body, first_byte_s=first_byte or elapsed, elapsed_s=elapsed
        )

    async def reach(self, target: str, *, timeout_s: float = 5.0) -> tuple[ReachStep, ...]:
        """See :class:`config.http.Http`. Only the last step takes virtual time."""
        with self._real():
            steps, reply = await self._inner.reach_reply(target, timeout_s=REAL_TIMEOUT_S, headers=self._moment())
        if reply is None:
            return steps
        elapsed = min(_seconds(reply, ELAPSED), timeout_s)
        await self._clock.sleep(elapsed)
        failure: Any = reply.headers.get(FAILURE, "")
        failed: Literal["dns", "tcp", "tls", "http"] | None = _STEP_OF.get(failure)  # type: ignore[assignment]
        if failed is None and _seconds(reply, ELAPSED) > timeout_s:
            failed = "http"
        told: list[ReachStep] = []
        for step in steps:
            broke, last = step.step == failed, step.step == "http"
            told.append(ReachStep(step=step.step, ok=step.ok and not broke, elapsed_s=elapsed if broke or last else 0.0,
                                  detail="no answer (simulated)" if broke else step.detail))  # fmt: skip
            if broke:
                break
        return tuple(told)

    def _moment(self) -> dict[str, str]:
        return {NOW: f"{self._clock.now().timestamp():.6f}"}


def _seconds(reply: Reply, header: str) -> float:
    try:
        return max(0.0, float(reply.headers.get(header, "0")))
    except ValueError:
        return 0.0
