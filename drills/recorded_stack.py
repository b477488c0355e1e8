"""What an assistant would have recorded of the things around the model before the incident."""

from typing import Any

from diagnostics import series
from diagnostics.baseline import SENTENCES
from drills import search
from drills.company import ACME, App
from drills.corpus import INDEX, canaries
from drills.draws import generator
from drills.providers import embedding
from drills.search_http import ORDINARY_S
from drills.when import iso
from drills.world import World

Json = dict[str, Any]


def knowledge_baselines(healthy: World, app: App, until: float) -> list[Json]:
    """Vectors of fixed sentences, and how retrieval answered its known questions."""
    if not app.index:
        return []
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
