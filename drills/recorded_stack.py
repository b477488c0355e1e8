"""What an assistant would have recorded of the things around the model before the incident."""

from typing import Any

from diagnostics import series
from diagnostics.baseline import SENTENCES
from diagnostics.probes.tools import fields_of
from drills import search
from drills.company import ACME, App
from drills.corpus import INDEX, canaries
from drills.draws import generator, uniform
from drills.grounding import SLIPS
from drills.providers import embedding
from drills.search_http import ORDINARY_S
from drills.stack import GUARDED
from drills.supply import last_inventory, usual_sources
from drills.tools import schema
from drills.when import iso
from drills.world import World

Json = dict[str, Any]


def knowledge_baselines(healthy: World, app: App, until: float) -> list[Json]:
    """Vectors of fixed sentences, how retrieval answered its known questions, and what tools published."""
    found = [*(_guardrail(app, until) if app.name in GUARDED else []), *_supply(app, until)]
    if app.kind == "agent":
        return [*found, _document(app, until, "tool.schema:{tool}", fields_of(schema(drifted=False)), tool="orders")]
    return [*found, *_retrieval(healthy, app, until), _grounded(app, until)] if app.index else found


def _supply(app: App, until: float) -> list[Json]:
    return [
        _document(app, until, "dependency.inventory:{gateway}", last_inventory(), gateway="llm-gateway"),
        _document(app, until, "key.sources:{gateway}", usual_sources(), gateway="llm-gateway"),
    ]


def _guardrail(app: App, until: float) -> list[Json]:
    name = series.name("guardrail.benign_passed:{guardrail}", guardrail="content-rail")
    samples = [[iso(until - 86_400.0 * (240 - number) / 240), 1.0] for number in range(240)]
    return [{"service": app.name, "series": name, "samples": samples}]


def _grounded(app: App, until: float) -> Json:
    """Canaries of earlier days: now and then it makes something up."""
    name = series.name("grounding.grounded:{index}", index=INDEX)
    samples = [
        [iso(until - 86_400.0 * (240 - number) / 240), float(uniform(7, "grounded", number) >= 0.6 * SLIPS)]
        for number in range(240)
    ]
    return {"service": app.name, "series": name, "samples": samples}


def _retrieval(healthy: World, app: App, until: float) -> list[Json]:
    vectors = [embedding(text, f"recorded/{number}") for number, text in enumerate(SENTENCES)]
    sentences = {"dimension": len(vectors[0]), "vectors": vectors}
    found = {
        str(canary["id"]): any(
            hit.paper.id in canary["expects"] for hit in search.find(str(canary["question"]), search.SETTINGS)
        )
        for canary in canaries()
    }
    random = generator(healthy.seed, "recorded", app.name, "search")
    times = [round(ORDINARY_S * float(value), 5) for value in random.lognormal(0.0, 0.3, 200)]
    moments = [until - 86_400.0 * (200 - number) / 200 for number in range(200)]
    samples = [[iso(at), value] for at, value in zip(moments, times, strict=True)]
    return [
        _document(app, until, "embedding.sentences:{provider}/{model}", sentences, provider=ACME, model="acme-embed"),
        _document(app, until, "retrieval.items:{index}", found, index=INDEX),
        {"service": app.name, "series": series.name("retrieval.elapsed_s:{index}", index=INDEX), "samples": samples},
    ]


def _document(app: App, at: float, template: str, value: Any, **subject: str) -> Json:
    return {"service": app.name, "document": series.name(template, **subject), "at": iso(at), "value": value}
