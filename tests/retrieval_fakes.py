"""A retrieval service and the index behind it, on the local server of the provider fakes."""

import json
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from config.catalogue import Catalogue
from diagnostics.model import AnyProbe, ProbeContext, Reading
from tests.provider_fakes import (
    CATALOGUE,
    NOW,
    Asked,
    KeptBaselines,
    LocalHttp,
    NoChanges,
    Served,
    StillClock,
    company_open,
)

KNOWN = [f"q{number}" for number in range(50)]


def write_known(folder: Path, *, lines: Sequence[str] = ()) -> None:
    """The file of known questions: ``question qN`` is answered by ``d-qN``."""
    plain = [json.dumps({"id": one, "question": f"question {one}", "expects": [f"d-{one}"]}) for one in KNOWN]
    (folder / "known.jsonl").write_text("\n".join(lines or plain) + "\n", encoding="utf-8")


class Library:
    """What the service does: which questions fail, find nothing, or find something else, and by which vectors."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.empty: set[str] = set()
        self.missed: set[str] = set()
        self.exact_helps = False
        self.open_helps = False
        self.took = 0.04
        self.embed: Callable[[str], list[float]] = vector
        self.stored: Callable[[str], list[float]] = vector

    def query(self, asked: Asked) -> Served:
        name = asked.body["query"].removeprefix("question ")
        if name in self.failing:
            return Served(status=503, body='{"error": "no shard"}', elapsed_s=0.1)
        helped = (asked.body.get("exact") and self.exact_helps) or (
            asked.body.get("filters") is False and self.open_helps
        )
        right = [] if name in self.missed and not helped else [f"d-{name}"]
        hits = [] if name in self.empty else [{"id": one, "score": 0.8} for one in ("other", *right)]
        return Served(body=json.dumps({"hits": hits}), elapsed_s=self.took)

    def embedded(self, asked: Asked) -> Served:
        return Served(body=json.dumps({"vectors": [self.embed(text) for text in asked.body["input"]]}))

    def vectors(self, _: Asked) -> Served:
        items = [{"id": f"d-{n}", "text": f"chunk {n}", "vector": self.stored(f"chunk {n}")} for n in range(20)]
        return Served(body=json.dumps({"items": items}))


def vector(text: str, *, turn: float = 0.0, size: int = 4) -> list[float]:
    """A made-up vector; ``turn`` makes it another model's."""
    seed = sum(ord(letter) * (place + 1) for place, letter in enumerate(text))
    return [round(math.sin(seed * (part + 1) + turn * (part + 3)), 6) for part in range(size)]


class Stage:
    """A service on a socket, and a context whose service is a RAG application."""

    def __init__(self, http: LocalHttp, library: Library, root: Path) -> None:
        self.http = http
        self.library = library
        self.root = root
        self.baselines = KeptBaselines()

    def context(self, **index: Any) -> ProbeContext:
        targets = [*CATALOGUE["targets"], {"name": "search", "base_url": "http://127.0.0.1:1"},
                   {"name": "ingestion", "base_url": "http://127.0.0.1:1"}]  # fmt: skip
        own: Mapping[str, Any] = {"name": "kb", "admin": "ingestion", "search": "search", "canaries": "known.jsonl"}
        service = {**CATALOGUE["services"][0], "kind": "rag", "index": "kb"}
        providers = [{**CATALOGUE["providers"][0], "models": ("acme-large", "acme-embed")}, CATALOGUE["providers"][1]]
        catalogue = Catalogue.model_validate(
            {**CATALOGUE, "targets": targets, "providers": providers, "indexes": [{**own, **index}],
             "services": [service]}
        )  # fmt: skip
        return ProbeContext(
            service=catalogue.services[0], catalogue=catalogue, http=self.http, clock=StillClock(),
            baselines=self.baselines, changes=NoChanges(), started_at=NOW, golden_root=str(self.root),
        )  # fmt: skip

    async def ask(self, probe: AnyProbe, *, params: Mapping[str, Any] | None = None, **index: Any) -> Reading:
        reading = await probe.run(self.context(**index), probe.spec.params.model_validate(params or {}))
        assert reading.outcome == "inconclusive" or reading.outcome in probe.spec.outcomes
        json.dumps(dict(reading.details))
        return reading


@asynccontextmanager
async def retrieval_open(root: Path) -> AsyncIterator[Stage]:
    """A running service."""
    async with company_open() as (company, http):
        library = Library()
        write_known(root)
        company.play("search", "/kb/query", library.query)
        company.play("search", "/kb/embed", library.embedded)
        company.play("ingestion", "/kb/vectors", library.vectors)
        yield Stage(http, library, root)
