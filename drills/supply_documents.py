"""What the gateway is made of and which keys it holds: the admin documents of packages and credentials."""

import hashlib
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
LOCKED: Mapping[str, str] = {
    "aiohttp": "3.13.2", "anyio": "4.11.0", "certifi": "2025.10.5", "fastapi": "0.121.0", "httpx": "0.28.1",
    "litellm": "1.82.6", "openai": "2.8.0", "orjson": "3.11.4", "prometheus-client": "0.23.1", "pydantic": "2.12.4",
    "redis": "7.0.1", "starlette": "0.49.3", "tiktoken": "0.12.0", "uvicorn": "0.38.0",
}  # fmt: skip
"""Package -> release that the lock file of the gateway names."""
EARLIER: Mapping[str, str] = {"litellm": "1.82.3", "starlette": "0.49.1", "orjson": "3.11.3", "aiohttp": "3.13.1"}
"""The release before, where one is on record."""
CREDENTIALS: Mapping[str, str] = {"acme-prod": "acme-openai", "beta-prod": "beta-anthropic"}
"""Alias of a key -> its provider."""
ACTIVE, STAGED = "k3", "k4"


def sha256_of(name: str, version: str, *, tampered: bool = False) -> str:
    """The hash of a release, as everybody who builds it from the same source gets it."""
    return hashlib.sha256(f"{name}-{version}{'!' if tampered else ''}".encode()).hexdigest()


def release(name: str, version: str, *, tampered: bool = False) -> Json:
    """A release as documents have it."""
    return {"release": version, "sha256": sha256_of(name, version, tampered=tampered)}


ORDINARY: Mapping[str, Json] = {
    **{f"gateway/packages/{name}": release(name, version) for name, version in LOCKED.items()},
    **{f"gateway/credentials/{alias}": {"active": ACTIVE, "former": "valid"} for alias in CREDENTIALS},
}
"""Path -> keys on an ordinary day."""
FIXED: Mapping[str, Json] = {
    **{f"gateway/packages/{name}": {"locked": release(name, version)} for name, version in LOCKED.items()},
    **{
        f"gateway/credentials/{alias}": {
            "provider": provider, "staged": {"secret": STAGED, "tested": True, "tested_at": "by the on-call engineer"},
        }
        for alias, provider in CREDENTIALS.items()
    },
}  # fmt: skip
"""What can only be read."""


def dated(path: str, at: str) -> Json:
    """The history of a package's document; nothing for any other."""
    kind, name = path.split("/")[-2:]
    if kind != "packages":
        return {}
    earlier = [{**release(name, EARLIER[name]), "at": at}] if name in EARLIER else []
    return {"history": [*earlier, {**release(name, LOCKED[name]), "at": at}]}


def check_package(after: Json) -> str:
    """What is wrong with a package's document as it would become; empty: nothing."""
    version, digest = after["release"], after["sha256"]
    fine = isinstance(version, str) and version and isinstance(digest, str) and len(digest) == 64
    return "" if fine else "release must be text and sha256 the 64 digits of a hash"


def check_credential(after: Json) -> str:
    """The same for a credential's."""
    if after["active"] not in (ACTIVE, STAGED):
        return f"active must be one of {[ACTIVE, STAGED]}"
    return "" if after["former"] in ("valid", "disabled") else "former must be valid or disabled"
