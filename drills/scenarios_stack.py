"""Scenarios of what stands around the model: retrieval, tools, guardrails, caches, and telemetry itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drills import search
from drills.faults import Fault
from drills.stack import RETRIEVAL, Setting

if TYPE_CHECKING:
    from drills.scenarios import Draw, Scenario

NOTICEABLE = 0.035
"""Share of good answers that must be lost before anybody can say that something is wrong."""
LASTS_S = 1e9
PEOPLE = ("mira", "jonas", "release-bot", "priya")


def _search_settings(**changed: Any) -> dict[str, Any]:
    return {**search.SETTINGS, "revision": "s32", **changed}


def f22(draw: "Draw") -> "Scenario":
    """The vector store fails for a part of the searches, and lets others wait."""
    onset, share = draw.before_page(660, 1500), draw.between(0.5, 1.0)
    wait, slow = draw.between(0.4, 2.0), draw.between(3.0, 12.0)
    ends = onset + draw.between(60, 180) * 60
    down = Fault(kind="vector_store", start=onset, end=ends, values={"share": share, "wait_s": wait, "slow": slow})
    return draw.make(
        truth=("vector-store-outage",), service="support-bot", onset=onset, ends=ends, faults=(down,),
        good=(("degrade_retrieval", {}),), tempting=("rollback_prompt", "shift_traffic", "resume_ingestion"),
        sli=("errors", "quality"), figures={"share": share, "wait_s": wait},
    )  # fmt: skip


def f24(draw: "Draw") -> "Scenario":
    """How the index is searched was changed: fewer documents, a narrower search, or a filter."""
    onset = draw.before_page(900, 2700)
    what = draw.pick("top_k", "ef_search", "filter")
    value: Any = {"top_k": int(draw.between(1, 3)), "ef_search": int(draw.between(8, 32)), "filter": "region:eu"}[what]
    keys = _search_settings(**{what: value})
    lost = search.lost(keys)
    told = (
        draw.change(
            at=onset, kind=draw.pick("config", "index"), service="support-bot",
            summary=f"retrieval settings s32: {what} changed", before="s31", after="s32", actor=draw.pick(*PEOPLE),
        ),
    ) if draw.between(0, 1) < 0.7 else ()  # fmt: skip
    return draw.make(
        truth=("retrieval-regression",), service="support-bot", onset=onset, ends=onset + LASTS_S, faults=(),
        settings=(Setting(path=RETRIEVAL, at=onset, keys=keys),), changes=told,
        good=(("rollback_retrieval", {}), ("degrade_retrieval", {})),
        tempting=("rollback_prompt", "resume_ingestion", "shift_traffic"), sli=("errors", "quality"),
        solvable=lost > NOTICEABLE, figures={"lost": lost},
    )  # fmt: skip


def s21(draw: "Draw") -> "Scenario":
    """Some or all servers embed questions with another model than the index was built with, of the same size."""
    onset, share = draw.before_page(900, 2700), draw.between(0.4, 1.0)
    swap = Fault(kind="embedder_swap", start=onset, end=onset + LASTS_S, values={"share": share})
    told = (
        draw.change(
            at=onset, kind=draw.pick("index", "model"), service="support-bot",
            summary="query service: embedding model acme-embed-2", before="acme-embed", after="acme-embed-2",
            actor=draw.pick(*PEOPLE),
        ),
    ) if draw.between(0, 1) < 0.7 else ()  # fmt: skip
    return draw.make(
        truth=("embedding-mismatch",), service="support-bot", onset=onset, ends=onset + LASTS_S, faults=(swap,),
        settings=(Setting(path=RETRIEVAL, at=onset, keys=_search_settings(embedding_model="acme-embed-2")),),
        good=(("rollback_retrieval", {}), ("degrade_retrieval", {})), changes=told,
        tempting=("rollback_prompt", "rollback_model_config", "shift_traffic"), sli=("errors", "quality"),
        figures={"share": share},
    )  # fmt: skip


STACK: "dict[str, Callable[[Draw], Scenario]]" = {"F22": f22, "F24": f24, "S21": s21}
