"""What a failed model call means: one word out of a closed list, decided by error type, code, message and headers.

The HTTP status alone decides last, because one status is several incidents: a 429 is a rate limit, missing capacity,
an empty purse, or a gateway that has nobody left to ask.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from config.http import HttpError
from diagnostics.error_tables import (
    BROAD_TYPES,
    LITELLM_CLASS,
    LITELLM_CLASSES,
    NAMES,
    PHRASES,
    STATUSES,
    UPSTREAM,
    Word,
)
from diagnostics.rate_limits import read_limits, retry_after

Who = Literal["provider", "gateway", "network"]
Basis = Literal["code", "type", "message", "header", "status", "body", "stage"]

AMPLE_SHARE: Final = 0.20
"""A 429 while more than this share of every reported limit is left is not our own rate limit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a call failed, in our words, with the vendor's own words beside it."""

    word: Word
    who: Who
    """Who said no: the model provider, our own gateway, or something between us and them."""
    basis: Basis
    """What decided: the vendor's code, its type, its message, the rate-limit headers, or only the status."""
    status: int = 0
    type: str = ""
    code: str = ""
    param: str = ""
    message: str = ""
    """At most 300 characters of the vendor's text. Untrusted."""
    retry_after_s: float | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed by itself later."""
        return self.word not in ("quota_exhausted", "unauthorized", "model_missing", "bad_request")

    def describe(self) -> str:
        """The vendor's own name for it, such as ``429 insufficient_quota``."""
        name = self.code if self.code and not self.code.isdigit() else self.type
        return " ".join(part for part in (str(self.status) if self.status else "", name or self.word) if part)


def classify(
    status: int, body: str, headers: Mapping[str, str] | None = None, *, via_gateway: bool = False
) -> Failure | None:
    """Read an error reply; None if it is no error. ``headers`` have lower-case names.

    A 200 is an error only if its JSON says so, as the last event of a broken stream does.
    """
    headers = headers or {}
    error = _error_of(body)
    if 300 <= status < 400:  # a model API does not redirect; a portal or a proxy does
        return _failure(status, error or _Said(), headers, word="connect_error", who="network", basis="status")
    if status < 400 and error is None:
        return None
    said = error if error is not None else _Said()
    if error is None and status in (403, 407, 451) and not _from_api(headers):
        # No JSON and no request id: not the API but a proxy or firewall in front of it turned us away.
        return _failure(status, said, headers, word="connect_error", who="network", basis="status")
    word, basis = _decide(status, said, headers, via_gateway)
    return _failure(status, said, headers, word=word, who=_who(word, said, headers, via_gateway), basis=basis)


def classify_transport(error: HttpError) -> Failure:
    """Read a call that got no whole reply. A ``refused`` one was never sent and says nothing: that raises it again."""
    if error.stage == "refused":
        raise error
    word: Word = "timeout" if error.stage == "timeout" else "connect_error"
    if error.stage == "too_large":
        word = "server_error"
    who: Who = "provider" if error.stage in ("timeout", "too_large") else "network"
    return Failure(word=word, who=who, basis="stage", type=error.stage, message=error.detail[:300])


def unreadable(status: int, body: str, why: str) -> Failure:
    """A success status whose body is not an answer."""
    text = " ".join(body[:200].split())
    return Failure(word="server_error", who="provider", basis="body", status=status, type=why, message=text)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What an error body says, whatever its shape."""

    names: tuple[str, ...] = ()
    """Lower-case codes, most specific first."""
    types: tuple[str, ...] = ()
    type: str = ""
    code: str = ""
    param: str = ""
    message: str = ""


def _decide(status: int, said: _Said, headers: Mapping[str, str], via_gateway: bool) -> tuple[Word, Basis]:
    message = said.message[:2000].lower()
    word, basis = _by_name(said)
    if word in (None, "rate_limited", "unauthorized", "bad_request"):
        # These names are also put on errors whose message says something more precise.
        spoken = _by_phrase(message, via_gateway)
        if spoken is not None and (word is None or spoken in ("quota_exhausted", "no_deployment", "capacity")):
            word, basis = spoken, "message"
    if word is None and (named := LITELLM_CLASS.search(message)):
        word, basis = LITELLM_CLASSES.get(named[1]), "type"
    if word is None:
        word, basis = _by_broad_type(status, said)
    if word is None:
        word, basis = _by_status(status), "status"
    if word == "overloaded" and status == 429:
        return "capacity", basis
    if word == "rate_limited" and status == 429 and _ample(headers):
        return "capacity", "header"
    return word, basis


def _by_name(said: _Said) -> tuple[Word | None, Basis]:
    for name in said.names:
        if name in NAMES:
            return NAMES[name], "code"
    for name in said.types:
        if name in NAMES:
            return NAMES[name], "type"
    return None, "status"


def _by_phrase(message: str, via_gateway: bool) -> Word | None:
    for pattern, word in PHRASES:
        if pattern.search(message):
            return word if word != "no_deployment" or via_gateway else "capacity"
    return None


def _by_broad_type(status: int, said: _Said) -> tuple[Word | None, Basis]:
    for name in said.types:
        word = BROAD_TYPES.get(name)
        if word == "model_missing" and said.message.strip().lower() in ("not found", ""):
            return "bad_request", "type"  # the path does not exist, which says nothing about the model
        if word == "bad_request" and status in STATUSES:
            return STATUSES[status], "status"
        if word is not None:
            return word, "type"
    return None, "status"


def _by_status(status: int) -> Word:
    if status in STATUSES:
        return STATUSES[status]
    return "bad_request" if 400 <= status < 500 else "server_error"


def _ample(headers: Mapping[str, str]) -> bool:
    """Whether every reported limit has room left; False when nothing is reported."""
    shares = [limit.share for limit in read_limits(headers)]
    return bool(shares) and all(share is not None and share > AMPLE_SHARE for share in shares)


def _who(word: Word, said: _Said, headers: Mapping[str, str], via_gateway: bool) -> Who:
    if not via_gateway and not any(name.startswith("x-litellm-") for name in headers):
        return "provider"
    names = (*said.names, *said.types)
    if any(name.startswith("vendor_") for name in names):
        return "provider"
    if word == "no_deployment" or any(name.startswith("litellm_") for name in names):
        return "gateway"
    if UPSTREAM.search(said.message[:2000].lower()) or any(name.startswith("llm_provider-") for name in headers):
        return "provider"
    return "gateway"


def _from_api(headers: Mapping[str, str]) -> bool:
    known = ("x-request-id", "request-id", "apim-request-id", "openai-processing-ms", "x-litellm-call-id")
    return any(name in headers for name in known)


def _failure(status: int, said: _Said, headers: Mapping[str, str], *, word: Word, who: Who, basis: Basis) -> Failure:
    return Failure(
        word=word,
        who=who,
        basis=basis,
        status=status,
        type=said.type[:80],
        code=said.code[:80],
        param=said.param[:80],
        message=" ".join(said.message.split())[:300],
        retry_after_s=retry_after(headers),
    )


def _error_of(body: str) -> _Said | None:
    """The error in a JSON body of any known shape; None if there is none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if isinstance(error, dict):
        return _said(error)
    if isinstance(error, str) and error:
        return _Said(message=error)
    if "choices" in document or "content" in document:
        return None
    for key in ("message", "detail"):
        if document.get(key):
            return _said({**document, "message": document[key]})
    return None


def _said(error: Mapping[str, Any]) -> _Said:
    inner = error.get("innererror")
    extra = error.get("provider_specific_fields")
    codes = [error.get("code"), error.get("rate_limit_type"), error.get("category")]
    for nested in (inner, extra):
        if isinstance(nested, dict):
            codes += [nested.get("code"), nested.get("rate_limit_type"), nested.get("category")]
    names = tuple(str(code).strip().lower() for code in codes if code)
    kind = str(error.get("type") or "")
    message = error.get("message")
    return _Said(
        names=tuple(name for name in names if not name.isdigit()),
        types=(kind.strip().lower(),) if kind else (),
        type=kind,
        code=str(error.get("code") or ""),
        param=str(error.get("param") or ""),
        message=message if isinstance(message, str) else json.dumps(message)[:2000] if message else "",
    )
