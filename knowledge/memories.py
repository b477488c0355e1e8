"""Closed incidents, found again by meaning: exact, in memory, the newest ones. Only those whose cause a person
confirmed rank runbooks; all can be shown.

They stand outside of the index of runbooks, so that many of them cannot crowd a runbook out of an answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from knowledge.ingest import MAX_CHUNK
from knowledge.model import Embedder, PastIncident, Similar

MOST = 2_000
"""Incidents that are remembered: three megabytes of vectors."""
_NEAREST = 3
SHOWN = 3
SHOWN_FROM = 0.5
"""Similarity from which a person would say that two pages are about much the same."""


class Memories:
    """``incidents``: newest first, and those that may rank before those that may not."""

    def __init__(self, incidents: Iterable[PastIncident] = ()) -> None:
        self.incidents: Sequence[PastIncident] = tuple(incidents)[:MOST]
        self._vectors: Any = None

    def warm(self, embedder: Embedder, before: "Memories | None" = None) -> None:
        """Compute the vectors of those that ``before`` does not have."""
        import numpy as np  # noqa: PLC0415 - heavy, and not needed to receive a page

        known: dict[str, Any] = {}
        if before is not None and before.ready:
            known = {one.text: vector for one, vector in zip(before.incidents, before.rows(), strict=True)}
        missing = list(dict.fromkeys(one.text for one in self.incidents if one.text not in known))
        known.update(zip(missing, embedder.embed([text[:MAX_CHUNK] for text in missing]), strict=True))
        self._vectors = np.asarray([known[one.text] for one in self.incidents], dtype=np.float32)

    @property
    def ready(self) -> bool:
        return self._vectors is not None

    def rows(self) -> Any:
        """Their vectors, a row each."""
        return self._vectors

    def near(self, vectors: Sequence[Sequence[float]]) -> Mapping[str, tuple[float, str]]:
        """Runbook -> how close the incidents are that it was confirmed for (mostly the nearest, a little the nearest
        three), and the id of the nearest. ``vectors``: of the parts of a page."""
        if self._vectors is None or not self.incidents or not len(vectors):
            return {}
        import numpy as np  # noqa: PLC0415

        similar = (self._vectors @ np.asarray(vectors, dtype=np.float32).T).max(axis=1)
        by_runbook: dict[str, list[tuple[float, str]]] = {}
        for place in np.argsort(-similar, kind="stable"):
            for name in self.incidents[place].confirmed:
                by_runbook.setdefault(name, []).append((float(similar[place]), self.incidents[place].id))
        return {name: (_typical([score for score, _ in hits]), hits[0][1]) for name, hits in by_runbook.items()}

    def alike(self, vectors: Sequence[Sequence[float]]) -> tuple[Similar, ...]:
        """The few that read most like the page whose parts have these vectors, the nearest first."""
        if self._vectors is None or not self.incidents or not len(vectors):
            return ()
        import numpy as np  # noqa: PLC0415

        scores = (self._vectors @ np.asarray(vectors, dtype=np.float32).T).max(axis=1)
        near = [n for n in np.argsort(-scores, kind="stable") if self.incidents[n].title]
        return tuple(_shown(self.incidents[n], float(scores[n])) for n in near[:SHOWN] if scores[n] >= SHOWN_FROM)


def _shown(one: PastIncident, score: float) -> Similar:
    return Similar(id=one.id, title=one.title, score=round(score, 4), service=one.service, at=one.at,
                   cause=", ".join(one.confirmed), helped=one.helped, origin=one.origin, link=one.link)  # fmt: skip


def _typical(scores: Sequence[float]) -> float:
    nearest = scores[:_NEAREST]
    return 0.6 * nearest[0] + 0.4 * sum(nearest) / len(nearest)
