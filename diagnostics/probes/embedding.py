"""P13: does a text still become the vector it used to? Two looks: chunks of the index embedded again by the query side
and compared with what is stored, and fixed sentences embedded by the provider and compared with what was recorded.

The first tells whether questions and documents live in one space, which is all that search needs; the second whether
it was the provider that moved. Vectors of one model vary in the fourth decimal; another model of the same size gives
vectors that have nothing to do with the stored ones.
"""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from config.catalogue import Index
from config.http import HttpError
from diagnostics import statistics
from diagnostics.baseline import embed_sentences
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.retrieval_api import RetrievalApi, vectors_of
from diagnostics.series import name as series_name

SAME: Final = 0.999
"""Median cosine from which two vectors are of one model."""
CHANGED: Final = 0.99
"""Median cosine below which they are not."""
MOVED_SHARE: Final = 0.10
"""Share of vectors that lie elsewhere from which it is called changed: not every server need have the new model."""
CHUNKS: Final = 20
ROUNDS: Final = 10
"""So many requests: of several servers behind one address each should be met."""


class EmbeddingParams(Params):
    """Which index; None: the service's."""

    index: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Compared:
    """Vectors against those of before."""

    what: str
    cosines: tuple[float, ...] = ()
    sizes: tuple[int, int] = (0, 0)
    """Now, and before."""
    error: str = ""

    @property
    def mismatch(self) -> bool:
        return not self.error and self.sizes[0] != self.sizes[1]

    @property
    def moved(self) -> int:
        return sum(cosine < CHANGED for cosine in self.cosines)

    @property
    def changed(self) -> bool:
        return self.moved >= max(2.0, MOVED_SHARE * len(self.cosines))


class EmbeddingCanary:
    """P13."""

    spec = ProbeSpec(
        id="P13",
        name="embedding_canary",
        title="Texts become the vectors they used to",
        outcomes={
            "same": Verdict.NORMAL,
            "changed": Verdict.ABNORMAL,
            "dimension": Verdict.ABNORMAL,
            "error": Verdict.ABNORMAL,
        },
        params=EmbeddingParams,
        unit="median cosine",
        tier=Tier.CANARY,
        expected_s=3.0,
        timeout_s=30.0,
        expected_tokens=2600,
        applies=("index",),
    )

    async def run(self, context: ProbeContext, params: EmbeddingParams) -> Reading:
        """Both looks at once."""
        name = params.index or context.service.index or ""
        index = context.catalogue.index(name)
        if index is None:
            return Reading(outcome=INCONCLUSIVE, summary=f"There is no index named {name!r} in the catalogue.")
        (stored, evidence), (provider, tokens) = await asyncio.gather(_stored(context, index), _provider(context))
        seen = [one for one in (stored, provider) if one is not None]
        used = tokens + sum(len(one.cosines) * 30 for one in seen if one.what == _CHUNKS)
        return _reading(seen, evidence, used)


_CHUNKS, _SENTENCES = "stored chunks", "fixed sentences"


async def _stored(context: ProbeContext, index: Index) -> tuple[_Compared | None, tuple[Evidence, ...]]:
    """Chunks as stored, and as the query side embeds them now."""
    api = RetrievalApi.of(context.http, index)
    source = f"GET {index.admin} /{index.name}/vectors"
    if api is None:
        return None, ()
    try:
        reply = await context.http.request(
            index.admin, "GET", f"/{index.name}/vectors", query={"limit": str(CHUNKS)}, timeout_s=10.0
        )
        items = json.loads(reply.text).get("items", []) if reply.status == 200 else []
        texts = [str(item["text"]) for item in items]
        before = vectors_of([item["vector"] for item in items], len(texts))
    except (HttpError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return None, (Evidence(source=source, excerpt=f"{type(error).__name__}: {error}"[:600]),)
    if not before:
        return None, (Evidence(source=source, excerpt=f"HTTP {reply.status}, no usable vectors"),)
    cosines: list[float] = []
    parts = [part for part in range(ROUNDS) if texts[part::ROUNDS]]
    for part, (now, evidence) in zip(
        parts, await asyncio.gather(*(api.embed(texts[part::ROUNDS]) for part in parts)), strict=True
    ):
        if not now:
            return _Compared(what=_CHUNKS, error=evidence.excerpt.split("\n", 1)[0][:80]), (evidence,)
        if len(now[0]) != len(before[0]):
            return _Compared(what=_CHUNKS, sizes=(len(now[0]), len(before[0]))), (evidence,)
        cosines += [cosine(a, b) for a, b in zip(now, before[part::ROUNDS], strict=True)]
    return _Compared(what=_CHUNKS, cosines=tuple(cosines), sizes=(len(before[0]), len(before[0]))), (evidence,)


async def _provider(context: ProbeContext) -> tuple[_Compared | None, int]:
    """The recorder's fixed sentences, embedded by the provider directly; None without an embedding model or record."""
    provider = context.catalogue.provider(context.service.provider)
    model = next((name for name in provider.models if "embed" in name), None) if provider else None
    if provider is None or model is None or provider.api != "openai":
        return None, 0
    key = series_name("embedding.sentences:{provider}/{model}", provider=provider.name, model=model)
    kept = context.baselines.document(context.service.name, key, before=context.started_at)
    recorded = kept.get("vectors") if isinstance(kept, Mapping) else None
    if not isinstance(recorded, list):
        return None, 0
    before = vectors_of(recorded, len(recorded))
    now, tokens = await embed_sentences(context, provider, model)
    if not now or len(now) != len(before):
        return (_Compared(what=_SENTENCES, error="no vectors from the provider") if not now else None), tokens
    sizes = (len(now[0]), len(before[0]))
    cosines = tuple(cosine(a, b) for a, b in zip(now, before, strict=True)) if sizes[0] == sizes[1] else ()
    return _Compared(what=_SENTENCES, cosines=cosines, sizes=sizes), tokens


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Cosine of the angle between two vectors; 0 for one without length."""
    length = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / length if length else 0.0


def _reading(seen: Sequence[_Compared], evidence: tuple[Evidence, ...], tokens: int) -> Reading:
    details: dict[str, Any] = {
        one.what.replace(" ", "_"): {
            "median_cosine": round(statistics.median(one.cosines), 6) if one.cosines else None,
            "elsewhere": one.moved, "of": len(one.cosines), "size": one.sizes[0], "size_before": one.sizes[1],
            "error": one.error,
        }
        for one in seen
    }  # fmt: skip
    common: dict[str, Any] = {"tokens": tokens, "evidence": evidence, "details": details}
    wrong = next((one for one in seen if one.mismatch), None)
    if wrong is not None:
        now, before = wrong.sizes
        said = f"Vectors of the {wrong.what} have {now} dimensions now; {before} are stored."
        return Reading(outcome="dimension", summary=said, value=float(now), baseline=float(before), **common)
    moved = next((one for one in seen if one.changed), None)
    judged = moved or next((one for one in seen if one.cosines), None)
    if judged is None:
        failed = next((one for one in seen if one.error), None)
        if failed is not None:
            return Reading(outcome="error", summary=f"No vectors for the {failed.what}: {failed.error}.", **common)
        return Reading(
            outcome=INCONCLUSIVE, summary="Neither stored vectors nor recorded ones to compare with.", **common
        )
    middle = statistics.median(judged.cosines)
    measured: dict[str, Any] = {"value": round(middle, 6), "baseline": SAME, "n": len(judged.cosines)}
    rule = f"cosine below {CHANGED:g} for a tenth of the vectors"
    if moved is not None:
        whole = f"{moved.moved} of {len(moved.cosines)} {moved.what}"
        said = f"{whole} become other vectors than before (median cosine {middle:.3f})."
        return Reading(outcome="changed", summary=said, test=rule, **measured, **common)
    said = f"{len(judged.cosines)} {judged.what} become the vectors they were (median cosine {middle:.4f})."
    return Reading(outcome="same", summary=said, test=rule, **measured, **common)
