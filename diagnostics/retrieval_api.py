"""Asking a retrieval service the way production asks it: a question in, documents out; a text in, its vector out.

``POST /INDEX/query`` with ``{"query": text}`` answers ``{"hits": [{"id", "score"}]}``, best first; ``exact: true`` asks
for an exact search, ``filters: false`` for one without metadata filters, ``exclude: [id]`` leaves documents out.
``POST /INDEX/embed`` with ``{"input": [text]}`` answers ``{"vectors": [[...]]}`` as the query side makes them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from config.catalogue import Index
from config.http import Http, HttpError, Reply
from diagnostics.chat_api import CANARY_HEADERS
from diagnostics.model import Evidence

TIMEOUT_S: Final = 6.0
LONGEST_VECTOR: Final = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What came of one search."""

    hits: tuple[Mapping[str, Any], ...] = ()
    error: str = ""
    """Why there are no hits: an HTTP status or how far the request came; empty: it was answered."""
    elapsed_s: float = 0.0
    evidence: Evidence = field(default_factory=lambda: Evidence(source="", excerpt=""))

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(str(hit.get("id")) for hit in self.hits)


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievalApi:
    """The client of one index."""

    http: Http
    target: str
    index: str

    @classmethod
    def of(cls, http: Http, index: Index) -> "RetrievalApi | None":
        """None for an index whose retrieval service is not declared."""
        return cls(http=http, target=index.search, index=index.name) if index.search else None

    async def search(self, question: str, **how: Any) -> Found:
        """Ask once. Never raises for a service that fails; raises ``HttpError`` where nothing may be sent."""
        path = f"/{self.index}/query"
        source = f"POST {self.target} {path}"
        try:
            reply = await self._post(path, {"query": question, **how})
        except HttpError as error:
            if error.stage == "refused":
                raise
            return Found(error=error.stage, elapsed_s=TIMEOUT_S, evidence=Evidence(source=source, excerpt=str(error)))
        evidence = Evidence(source=source, excerpt=f"HTTP {reply.status}\n{reply.text}"[:2000])
        document = _object(reply)
        hits = document.get("hits")
        if reply.status != 200 or not isinstance(hits, list):
            why = f"HTTP {reply.status}" if reply.status != 200 else "no hits in the answer"
            return Found(error=why, elapsed_s=reply.elapsed_s, evidence=evidence)
        kept = tuple(hit for hit in hits if isinstance(hit, dict))
        return Found(hits=kept, elapsed_s=reply.elapsed_s, evidence=evidence)

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Evidence]:
        """Vectors of these texts, as the query side makes them; none if the answer is not what was asked for."""
        path = f"/{self.index}/embed"
        source = f"POST {self.target} {path}"
        try:
            reply = await self._post(path, {"input": list(texts)})
        except HttpError as error:
            if error.stage == "refused":
                raise
            return [], Evidence(source=source, excerpt=str(error))
        evidence = Evidence(source=source, excerpt=f"HTTP {reply.status}\n{reply.text}"[:600])
        return vectors_of(_object(reply).get("vectors"), len(texts)), evidence

    async def _post(self, path: str, body: Mapping[str, Any]) -> Reply:
        return await self.http.request(
            self.target, "POST", path, purpose="canary", body=body, headers=CANARY_HEADERS, timeout_s=TIMEOUT_S
        )


def vectors_of(value: object, count: int) -> list[list[float]]:
    """``count`` finite vectors of one length; none of anything else."""
    try:
        found = [[float(x) for x in row] for row in value] if isinstance(value, list) else []
    except (TypeError, ValueError):
        return []
    sizes = {len(row) for row in found}
    fine = len(found) == count and len(sizes) == 1 and 0 < sizes.pop() <= LONGEST_VECTOR
    return found if fine and all(math.isfinite(x) for row in found for x in row) else []


def _object(reply: Reply) -> Mapping[str, Any]:
    try:
        value = json.loads(reply.text) if reply.status == 200 else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
