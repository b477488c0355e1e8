"""PagerDuty's REST API as a session: how it is opened, and what its refusals mean. The only user of pdpyras, which is
frozen upstream."""

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bot.edges.addresses import is_loopback
from bot.edges.text import fit
from bot.ports import RetryLater, Undeliverable

TIMEOUT_S = (3.05, 10.0)
"""To connect, and to read."""
QUICK_S = (1.0, 1.2)
"""The same, where somebody waits for a click to be answered; nothing is tried a second time then."""
T = TypeVar("T")

_ADVICE = {
    400: "; with an account-level key, set PAGERUNNER_PAGERDUTY_FROM to the e-mail address of a user",
    401: "; the API key is wrong or revoked: set PAGERUNNER_PAGERDUTY_API_KEY",
    402: "; the account's plan does not include this",
    403: "; the API key may not do this: it needs to be able to write incidents",
    404: "; there is no such incident for this API key",
}
_READING = {**_ADVICE, 400: "", 403: "; the API key may not read this", 404: "; it is not there for this API key"}


class Session:
    """One session, opened when it is first used. Its attempts are bounded. ``reading``: it sends GET and nothing else,
    whatever it is asked. ``quick``: somebody waits, and one short attempt has to do. Raises :class:`RetryLater` and
    :class:`Undeliverable`; blocks."""

    def __init__(
        self,
        api_key: str,
        from_email: str,
        base_url: str,
        *,
        backoff_s: float = 0.25,
        reading: bool = False,
        quick: bool = False,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or "?"):
            raise ValueError(f"PagerDuty's base URL must be https, not {base_url!r}")
        self._api_key = api_key
        self._from_email = from_email
        self._base_url = base_url.rstrip("/")
        self._backoff_s = backoff_s
        self._reading = reading
        self._quick = quick
        self._session: Any = None

    def ask(self, call: Callable[[Any], T]) -> T:
        """Do something with pdpyras's session."""
        pdpyras = _pdpyras()
        if self._session is None:
            self._session = self._open(pdpyras)
        try:
            return call(self._session)
        except pdpyras.URLError as error:
            raise Undeliverable(f"PagerDuty: {error}") from error
        except pdpyras.PDClientError as error:
            response = getattr(error, "response", None)
            if response is not None:
                advice = _READING if self._reading else _ADVICE
                raise _refusal(response.status_code, response.headers, response.text, advice) from error
            raise RetryLater(15.0, "PagerDuty cannot be reached") from error

    def _open(self, pdpyras: Any) -> Any:
        session = pdpyras.APISession(self._api_key, default_from=self._from_email or None)
        session.url = self._base_url
        session.trust_env = False
        session.max_redirects = 0
        session.timeout = QUICK_S if self._quick else TIMEOUT_S
        session.retry = {429: 1 if self._quick else 2}  # without an entry it would be tried for ever
        session.max_http_attempts = -1 if self._quick else 2
        session.max_network_attempts = 0
        session.sleep_timer = self._backoff_s
        if self._reading:
            session.permitted_methods = ("GET",)
        return session


def _pdpyras() -> Any:
    """Import it when it is first needed; it warns at import that it is deprecated, which we know."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message='The package "pdpyras" is deprecated', category=UserWarning)
        import pdpyras  # noqa: PLC0415 - heavy, and only here
    return pdpyras


def _refusal(
    status: int, headers: Mapping[str, str], text: str, advice: Mapping[int, str]
) -> RetryLater | Undeliverable:
    if status == 429:
        return RetryLater(_seconds(headers), "PagerDuty's rate limit")
    if status >= 500 or status < 400:
        return RetryLater(15.0, f"PagerDuty answered {status} with nothing that can be read")
    return Undeliverable(f"PagerDuty answered {status}: {fit(text, 200, str)}{advice.get(status, '')}")


def _seconds(headers: Mapping[str, str]) -> float:
    """What it asked to wait, clamped to 1 to 300 s."""
    for name in ("retry-after", "ratelimit-reset"):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if math.isfinite(seconds):
            return min(max(seconds, 1.0), 300.0)
    return 30.0
