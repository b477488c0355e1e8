"""The retrieval service over HTTP: questions in, documents out; the vectors it keeps; and where documents came from."""

import math
from datetime import datetime
from typing import Any

from drills import search
from drills.corpus import INDEX, Paper, papers, poison
from drills.draws import generator, uniform
from drills.golden import by_input
from drills.model import OBEYED
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.stack import OBEYS, QUARANTINE, RETRIEVAL
from drills.when import iso
from drills.world import World

_TIMEOUT_S = 5.0
"""After this long the service gives its store up."""
ORDINARY_S = 0.035
LONG_AGO_S = 86_400.0 * 120


def handle(world: World, request: Incoming) -> Outgoing:
    """Below ``/search``: ``POST /support-kb/query`` and ``/embed``, ``GET /support-kb/ready``."""
    name, _, rest = request.path.strip("/").partition("/")
    if name != INDEX:
        return json_reply({"error": f"no such index; known: {INDEX}"}, 404)
    world.advance(request.at)
    if request.method == "GET" and rest == "ready":
        return _ready(world, request)
    body = request.json()
    if request.method != "POST" or rest not in ("query", "embed") or not isinstance(body, dict):
        return json_reply({"error": "POST a JSON object to query or embed"}, 404)
    return _query(world, request, body) if rest == "query" else _embed(world, request, body)


def settings_now(world: World, at: float) -> dict[str, Any]:
    """How the index is searched at that moment: as people have set it, or as it was before the last change."""
    if at < world.stack.since.get(RETRIEVAL, -math.inf):
        return dict(search.SETTINGS)
    return dict(world.controls.stack[RETRIEVAL])


def added(world: World, at: float) -> tuple[Paper, ...]:
    """Documents that a scenario has put into the index by then."""
    fault = world.stack.of("poison")
    if fault is None or at < fault.start:
        return ()
    return poison(fault.start, int(fault.values["count"]))


def settings_of(world: World, at: float, nonce: str) -> dict[str, Any]:
    """The same for one request: of several servers, each has its own embedder."""
    settings = settings_now(world, at)
    swapped = world.stack.of("embedder_swap")
    moved = settings["embedding_model"] != search.STORED_MODEL
    if moved and swapped is not None and uniform(world.seed, "embedder", nonce) >= swapped.values["share"]:
        settings["embedding_model"] = search.STORED_MODEL
    return settings


def lost_to_retrieval(world: World, question: str, at: float, nonce: str) -> bool:
    """Whether a question's document, found on an ordinary day, is not handed over now."""
    if _store_down(world, at, nonce) is not None:
        return True
    settings = settings_of(world, at, nonce)
    if settings == dict(search.SETTINGS):
        return False
    right = {hit.paper.answers for hit in search.find(question, search.SETTINGS)} - {""}
    item = by_input().get(question)
    if item is None or item.id not in right:
        return False
    return item.id not in {hit.paper.answers for hit in search.find(question, settings)}


def retrieved(world: World, question: str, at: float, nonce: str) -> frozenset[str]:
    """Ids of the documents that are handed over for a question."""
    if _store_down(world, at, nonce) is not None:
        return frozenset()
    held = world.controls.stack[QUARANTINE]["documents"]
    hits = search.find(question, settings_of(world, at, nonce), added=added(world, at), without=held)
    return frozenset(hit.paper.id for hit in hits)


def ordered(world: World, question: str, at: float, nonce: str) -> str:
    """What a poisoned document makes the assistant say to this question; empty: none was retrieved, or obeyed."""
    slipped_in = added(world, at)
    if not slipped_in or uniform(world.seed, "obeys", nonce) >= OBEYS:
        return ""
    held = world.controls.stack[QUARANTINE]["documents"]
    hits = search.find(question, settings_of(world, at, nonce), added=slipped_in, without=held)
    return OBEYED if any(hit.paper in slipped_in for hit in hits) else ""


def _store_down(world: World, at: float, nonce: str) -> Outgoing | None:
    """What the vector store answers instead, when it does not."""
    fault = world.stack.of("vector_store")
    if fault is None or not fault.start <= at < fault.end or settings_now(world, at)["mode"] != "vector":
        return None
    if uniform(world.seed, "store", nonce) >= fault.values["share"]:
        return None
    if uniform(world.seed, "store-how", nonce) < 0.4:
        return json_reply({"error": "vector store: deadline exceeded"}, 504, elapsed_s=_TIMEOUT_S)
    return json_reply({"error": "vector store: no shard available for collection"}, 503, elapsed_s=0.09)


def _ready(world: World, request: Incoming) -> Outgoing:
    down = _store_down(world, request.at, world.nonce("ready"))
    state = "unavailable" if down is not None else "ready"
    return json_reply({"status": state, "index": INDEX}, 503 if down is not None else 200, elapsed_s=0.02)


def _query(world: World, request: Incoming, body: dict[str, Any]) -> Outgoing:
    question = body.get("query")
    if not isinstance(question, str) or not question:
        return json_reply({"error": "query must be a text"}, 422)
    nonce = world.nonce("search", request.body)
    down = _store_down(world, request.at, nonce)
    if down is not None:
        return down
    settings = settings_of(world, request.at, nonce)
    without = [*world.controls.stack[QUARANTINE]["documents"], *_texts(body.get("exclude"))]
    hits = search.find(
        question, settings, added=added(world, request.at), without=without, exact=body.get("exact") is True,
        unfiltered=body.get("filters") is False,
    )  # fmt: skip
    found = [
        {"id": hit.paper.id, "score": hit.score, "title": hit.paper.title, "text": hit.paper.text,
         "source": hit.paper.source}
        for hit in hits
    ]  # fmt: skip
    fault = world.stack.of("vector_store")
    hit = fault is not None and fault.start <= request.at < fault.end and settings["mode"] == "vector"
    took = ORDINARY_S * float(generator(world.seed, "search", nonce).lognormal(0.0, 0.3))
    took += fault.values["wait_s"] if fault is not None and hit else 0.0
    document = {"hits": found, "mode": settings["mode"], "embedding_model": settings["embedding_model"]}
    return json_reply(document, elapsed_s=took)


def _embed(world: World, request: Incoming, body: dict[str, Any]) -> Outgoing:
    """Vectors as the query side makes them."""
    texts = _texts(body.get("input"))
    if not texts or len(texts) > 64:
        return json_reply({"error": "input must be 1 to 64 texts"}, 422)
    nonce = world.nonce("embed", request.body)
    settings = settings_of(world, request.at, nonce)
    model = str(settings["embedding_model"])
    vectors = [rounded(search.vector(text, model), world.seed, f"{nonce}/{n}") for n, text in enumerate(texts)]
    used = sum(len(text) // 4 + 1 for text in texts)
    return json_reply({"model": model, "vectors": vectors, "usage": {"total_tokens": used}}, elapsed_s=0.12)


def rounded(vector: Any, seed: int, nonce: str) -> list[float]:
    """A vector as it goes over the wire, with the jitter of one call in the fourth decimal."""
    jittered = vector + generator(seed, "embedding-jitter", nonce).normal(0.0, 1e-4, len(vector))
    return [round(float(value), 5) for value in jittered]


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def stored_reply(world: World, request: Incoming, rest: str) -> Outgoing:
    """Below the ingestion's ``/support-kb/``: ``documents`` (where they came from) and ``vectors`` (as stored)."""
    world.advance(request.at)
    everything = (*added(world, request.at), *papers())
    if rest == "documents":
        since = _moment(request.query.get("since"))
        kept = [paper for paper in everything if _added_at(world, paper) >= since][:200]
        held = set(world.controls.stack[QUARANTINE]["documents"])
        return json_reply({"documents": [_provenance(world, paper, held) for paper in kept]}, elapsed_s=0.03)
    limit = min(int(request.query.get("limit", "20")) if request.query.get("limit", "20").isdigit() else 20, 50)
    step = max(1, len(papers()) // limit)
    chosen = papers()[::step][:limit]
    rows = [
        {"id": paper.id, "text": paper.text,
         "vector": [round(float(x), 5) for x in search.vector(paper.text, search.STORED_MODEL)]}
        for paper in chosen
    ]  # fmt: skip
    return json_reply({"embedding_model": search.STORED_MODEL, "items": rows}, elapsed_s=0.05)


def _added_at(world: World, paper: Paper) -> float:
    """When a document came in: two of a hundred ordinary ones in the last three days."""
    if paper.added_at:
        return paper.added_at
    drawn = uniform(world.seed, "added", paper.id)
    return world.scenario.page_at - (drawn / 0.02 * 259_200.0 if drawn < 0.02 else LONG_AGO_S)


def _provenance(world: World, paper: Paper, held: set[str]) -> dict[str, Any]:
    return {
        "id": paper.id, "title": paper.title, "source": paper.source, "author": paper.author,
        "reviewed": paper.reviewed, "added_at": iso(_added_at(world, paper)), "quarantined": paper.id in held,
        "text": paper.text,
    }  # fmt: skip


def _moment(text: str | None) -> float:
    try:
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    except ValueError:
        return 0.0
