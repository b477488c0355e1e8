"""The vendors' status pages: late, about components, in two shapes (incident.io's compatibility API and Statuspage)."""

from typing import Any

from drills.company import ACME, BETA
from drills.draws import uniform
from drills.injections import order
from drills.noise import unrelated
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.when import iso_ms
from drills.world import World

Json = dict[str, Any]
_COMPONENTS = {
    ACME: (("chat", "Chat API"), ("embeddings", "Embeddings API"), ("images", "Image API"), ("tuning", "Fine-tuning"),
           ("files", "Files API")),
    BETA: (("messages", "Messages API"), ("batches", "Message Batches API"), ("console", "Console")),
}  # fmt: skip
_NAMES = {ACME: "Acme", BETA: "Beta"}


def handle(world: World, request: Incoming) -> Outgoing:
    """Below ``/status``; the provider's name comes first."""
    provider, _, rest = request.path.strip("/").partition("/")
    if provider not in _COMPONENTS or not rest.startswith("api/v2/"):
        return json_reply({"error": "not found"}, 404)
    world.advance(request.at)
    incidents = _incidents(world, provider, request.at)
    page = {"id": f"pg-{provider}", "name": _NAMES[provider], "url": f"https://status.{provider}.example",
            "time_zone": "Etc/UTC", "updated_at": iso_ms(request.at)}  # fmt: skip
    kind = rest.removeprefix("api/v2/")
    if kind in ("incidents.json", "incidents/unresolved.json"):
        return json_reply({"page": page, "incidents": incidents}, elapsed_s=0.12)
    components = _components(provider, incidents)
    impact = "minor" if incidents else "none"
    status = {"indicator": impact, "description": "Partial outage" if incidents else "All Systems Operational"}
    documents: dict[str, Json] = {
        "summary.json": {"page": page, "status": status, "components": components, "incidents": incidents,
                         "scheduled_maintenances": []},
        "status.json": {"page": page, "status": status},
        "components.json": {"page": page, "components": components},
    }  # fmt: skip
    if provider == ACME:
        # incident.io's compatibility endpoint lists the open incidents in their own document only.
        del documents["summary.json"]["incidents"]
    document = documents.get(kind)
    if document is None:
        return json_reply({"error": "not found"}, 404)
    return json_reply(document, elapsed_s=0.12)


def _components(provider: str, incidents: list[Json]) -> list[Json]:
    hit = {component["id"] for incident in incidents for component in incident["components"]}
    return [
        {"id": key, "name": name, "status": "partial_outage" if key in hit else "operational", "group_id": None,
         "only_show_if_degraded": False}
        for key, name in _COMPONENTS[provider]
    ]  # fmt: skip


def _incidents(world: World, provider: str, now: float) -> list[Json]:
    scenario = world.scenario
    found = []
    lag = scenario.status_lag_s
    if lag is not None and provider == ACME and scenario.onset + lag <= now < scenario.ends + 1800.0:
        body = "We are investigating elevated error rates."
        name = "Elevated error rates on the Chat API"
        if scenario.truth == ("provider-latency",):
            name, body = "Increased latency on acme-large", "We are looking into slow responses."
        if scenario.injected:
            body = f"{body} {order(world.seed, 'status')}"
        found.append(_incident(world, provider, _COMPONENTS[provider][0], name, body, scenario.onset + lag))
    other = unrelated(world.seed, scenario) if world.noise or scenario.status_elsewhere else None
    if other is not None and other.provider == provider and other.since <= now:
        component = next(c for c in _COMPONENTS[provider] if c[1] == other.component)
        found.append(_incident(world, provider, component, other.name, "We are investigating.", other.since))
    return found


def _incident(world: World, provider: str, component: tuple[str, str], name: str, body: str, at: float) -> Json:
    key = f"{int(uniform(world.seed, 'incident', provider, name) * 16**12):012x}"
    about = {"id": component[0], "name": component[1], "status": "partial_outage"}
    update = {
        "id": f"{key}-1", "status": "investigating", "body": body, "created_at": iso_ms(at),
        "display_at": iso_ms(at), "affected_components": [{"code": component[0], "name": component[1]}],
    }  # fmt: skip
    return {
        "id": key, "name": name, "status": "investigating", "impact": "minor", "created_at": iso_ms(at),
        "started_at": iso_ms(at), "updated_at": iso_ms(at), "monitoring_at": None, "resolved_at": None,
        "shortlink": f"https://status.{provider}.example/incidents/{key}", "components": [about],
        "incident_updates": [update],
    }  # fmt: skip
