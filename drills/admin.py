"""Reading and setting documents over HTTP: the gateway's admin API, the prompt registry and the ingestion."""

from typing import Any

from drills.company import (
    ACME_LARGE,
    ACME_SMALL,
    BETA_SONNET,
    DEPLOYMENT_PROVIDER,
    DEPLOYMENTS,
    PROVIDERS,
    TENANTS,
    ZONES,
)
from drills.documents import DocumentError, Json
from drills.faults import MODEL_INDEX
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.prompts import version_text
from drills.search_http import stored_reply
from drills.supply import inventory, keys
from drills.world import World

_FAILING_ABOVE = 0.15
"""A deployment that fails more than this share of its attempts over the last minute is ``failing``."""
_ZONE_CAPACITY = 0.8
"""What one zone can carry, as a part of the provider's limit."""
_REGIONS = ("eu-1", "eu-1", "us-1")


def document_reply(world: World, request: Incoming, path: str) -> Outgoing:
    """GET or PUT of one document."""
    try:
        if request.method == "GET":
            return _reply(world.document(path, request.at))
        if request.method != "PUT":
            return json_reply({"error": "use GET or PUT"}, 405)
        agent = request.headers.get("x-pagerunner-proposal", "")
        world.put(path, request.json(), request.headers.get("if-match"), at=request.at, agent=agent)
        return _reply(world.document(path, request.at))
    except DocumentError as refused:
        return json_reply({"error": refused.message}, refused.status)


def _reply(document: Json) -> Outgoing:
    return json_reply(document, headers={"etag": f'"{document["version"]}"'}, elapsed_s=0.012)


class Admin:
    """Routes requests below ``/gateway/admin``."""

    def __init__(self, world: World) -> None:
        self.world = world

    def handle(self, request: Incoming) -> Outgoing:
        """``request.path`` is what follows ``/gateway/admin``."""
        path = request.path.strip("/")
        if request.method == "GET" and path == "deployments":
            return json_reply({"deployments": self.deployments(request.at)}, elapsed_s=0.015)
        if request.method == "GET" and path == "usage":
            return json_reply({"tenants": self.usage(request.at)}, elapsed_s=0.015)
        if request.method == "GET" and path == "inventory":
            return json_reply(inventory(self.world, request.at), elapsed_s=0.015)
        if request.method == "GET" and path == "keys":
            return json_reply({"window_s": 900, "keys": keys(self.world, request.at)}, elapsed_s=0.02)
        return document_reply(self.world, request, f"gateway/{path}")

    def deployments(self, at: float) -> list[dict[str, Any]]:
        """How each deployment did in the last minute."""
        world = self.world
        load = world.moment(at)
        rows = world.ledger.before(at, 12)
        errors, calls = world.ledger.deployments[0][rows].mean(axis=0)
        result = []
        for number, name in enumerate(DEPLOYMENTS):
            drained = world.documents.get(f"gateway/deployments/{name}").keys["drained"]
            provider = DEPLOYMENT_PROVIDER[number]
            model = ACME_LARGE if provider == 0 else BETA_SONNET
            used = float(load.util[MODEL_INDEX[model]])
            if provider == 0:
                used = max(used, float(load.util[MODEL_INDEX[ACME_SMALL]])) * self._part(number) / _ZONE_CAPACITY
            share = round(float(errors[number]), 4)
            result.append(
                {
                    "id": name, "provider": PROVIDERS[provider], "zone": ZONES[number], "region": _REGIONS[number],
                    "drained": drained, "state": "failing" if share > _FAILING_ABOVE else "healthy",
                    "requests_per_min": 0.0 if drained else round(float(calls[number]), 1), "error_share": share,
                    "headroom_percent": round(max(0.0, 1.0 - used) * 100.0, 1),
                }
            )  # fmt: skip
        return result

    def _part(self, number: int) -> float:
        """Share of the first provider's traffic that this zone carries now."""
        drained = self.world.controls.drained
        open_ = [zone for zone in (0, 1) if not drained[zone]]
        return 1.0 / len(open_) if number in open_ else 0.0

    def usage(self, at: float) -> list[dict[str, Any]]:
        """Tokens a minute of each tenant over the last minute."""
        self.world.advance(at)
        rows = self.world.ledger.before(at, 12)
        tokens = self.world.ledger.tenants[0][rows].mean(axis=0)
        total = max(float(tokens.sum()), 1e-9)
        found = [
            {"tenant": name, "tokens_per_min": round(float(tokens[n])), "share": round(float(tokens[n]) / total, 4)}
            for n, name in enumerate(TENANTS)
        ]
        return sorted(found, key=lambda entry: -float(str(entry["tokens_per_min"])))


def ingestion_reply(world: World, request: Incoming) -> Outgoing:
    """Below ``/ingestion``: an index's documents, what it holds, and where that came from."""
    path = request.path.strip("/")
    name, _, rest = path.partition("/")
    if request.method == "GET" and rest in ("documents", "vectors") and f"ingestion/{name}" in world.documents.by_path:
        return stored_reply(world, request, rest)
    return document_reply(world, request, f"ingestion/{path}")


def prompt_reply(world: World, request: Incoming) -> Outgoing:
    """Below ``/prompts``: a prompt's document, or the text of a version."""
    parts = request.path.strip("/").split("/")
    if len(parts) == 3 and parts[1] == "versions" and request.method == "GET":
        try:
            document = world.document(f"prompts/{parts[0]}", request.at)
        except DocumentError as refused:
            return json_reply({"error": refused.message}, refused.status)
        known = [entry["version"] for entry in document["versions"]]
        if not parts[2].isdigit() or int(parts[2]) not in known:
            return json_reply({"error": f"prompt {parts[0]} has versions {known}"}, 404)
        version = int(parts[2])
        placeholder = world.scenario.placeholder == (parts[0], version)
        text = version_text(parts[0], version, placeholder=placeholder)
        return json_reply({"version": version, "text": text})
    return document_reply(world, request, f"prompts/{parts[0]}" if len(parts) == 1 else "prompts/" + "/".join(parts))
