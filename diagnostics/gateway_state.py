"""What a gateway says of itself over HTTP: whether it lives, and how its deployments are."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from config.catalogue import Gateway
from config.http import HttpError
from diagnostics.model import Evidence, ProbeContext

HEALTH_PATHS = {"litellm": ("/health/readiness", "/health/liveliness"), "mlflow": ("/health",), "generic": ("/health",)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """One deployment as the gateway's admin endpoint lists it."""

    id: str
    provider: str
    failing: bool
    error_share: float
    requests: float


async def read_health(context: ProbeContext, gateway: Gateway) -> tuple[dict[str, int], tuple[Evidence, ...]]:
    """Health path -> HTTP status; 0 where nobody answered."""
    paths = HEALTH_PATHS[gateway.kind]

    async def ask(path: str) -> tuple[int, str]:
        try:
            reply = await context.http.request(gateway.target, "GET", path, timeout_s=5.0)
        except HttpError as error:
            return 0, str(error)
        return reply.status, f"HTTP {reply.status}\n{reply.text}"[:600]

    found = await asyncio.gather(*(ask(path) for path in paths))
    evidence = tuple(
        Evidence(source=f"GET {gateway.target} {path}", excerpt=text)
        for path, (_, text) in zip(paths, found, strict=True)
    )
    return {path: status for path, (status, _) in zip(paths, found, strict=True)}, evidence


async def read_deployments(context: ProbeContext, gateway: Gateway) -> tuple[list[Deployment], tuple[Evidence, ...]]:
    """What the admin endpoint lists; nothing where it has no such list."""
    source = f"GET {gateway.admin} /deployments"
    try:
        reply = await context.http.request(gateway.admin, "GET", "/deployments", timeout_s=5.0)
        document = json.loads(reply.text) if reply.status == 200 else {}
        items = document.get("deployments", []) if isinstance(document, dict) else []
        found = [one for item in items if (one := _deployment(item)) is not None]
    except (HttpError, ValueError, TypeError, RecursionError) as error:
        return [], (Evidence(source=source, excerpt=f"{type(error).__name__}: {error}"[:600]),)
    return found, (Evidence(source=source, excerpt=f"HTTP {reply.status}\n{reply.text}"[:1800]),)


def _deployment(item: Any) -> Deployment | None:
    if not isinstance(item, dict) or item.get("drained") or not isinstance(item.get("id"), str):
        return None
    share, load = item.get("error_share"), item.get("requests_per_min")
    return Deployment(
        id=item["id"][:80],
        provider=str(item.get("provider", ""))[:80],
        failing=item.get("state") == "failing",
        error_share=float(share) if isinstance(share, int | float) else 0.0,
        requests=float(load) if isinstance(load, int | float) else 0.0,
    )
