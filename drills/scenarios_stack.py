"""Scenarios of what stands around the model: retrieval, tools, guardrails, caches, and telemetry itself."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drills import search
from drills.company import BY_NAME
from drills.documents import Setting
from drills.faults import Fault
from drills.stack import CACHED, GUARDRAIL, RETRIEVAL
from drills.stack_documents import ORDINARY

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
    onset, share = draw.before_page(660, 1500), draw.between(0.5, 1.0, "share")
    wait = draw.between(0.4, 2.0, "wait_s")
    ends = onset + draw.between(60, 180, "minutes") * 60
    down = Fault(kind="vector_store", start=onset, end=ends, values={"share": share, "wait_s": wait})
    return draw.make(
        truth=("vector-store-outage",), service="support-bot", onset=onset, ends=ends, faults=(down,),
        good=(("degrade_retrieval", {}),), tempting=("rollback_prompt", "shift_traffic", "resume_ingestion"),
        sli=("errors", "quality"), figures={"share": share, "wait_s": wait},
    )  # fmt: skip


def f24(draw: "Draw") -> "Scenario":
    """How the index is searched was changed: fewer documents, a narrower search, or a filter."""
    onset = draw.before_page(900, 2700)
    what = draw.pick("top_k", "ef_search", "filter", name="what")
    top_k, ef_search = int(draw.between(1, 3, "top_k")), int(draw.between(8, 32, "ef_search"))
    value: Any = {"top_k": top_k, "ef_search": ef_search, "filter": "region:eu"}[what]
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
        settings={RETRIEVAL: Setting(at=onset, keys=keys)}, changes=told,
        good=(("rollback_retrieval", {}), ("degrade_retrieval", {})),
        tempting=("rollback_prompt", "resume_ingestion", "shift_traffic"), sli=("errors", "quality"),
        solvable=lost > NOTICEABLE, figures={"lost": lost},
    )  # fmt: skip


def s21(draw: "Draw") -> "Scenario":
    """Some or all servers embed questions with another model than the index was built with, of the same size."""
    onset, share = draw.before_page(900, 2700), draw.between(0.4, 1.0, "share")
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
        settings={RETRIEVAL: Setting(at=onset, keys=_search_settings(embedding_model="acme-embed-2"))},
        good=(("rollback_retrieval", {}), ("degrade_retrieval", {})), changes=told,
        tempting=("rollback_prompt", "rollback_model_config", "shift_traffic"), sli=("errors", "quality"),
        figures={"share": share},
    )  # fmt: skip


def s19(draw: "Draw") -> "Scenario":
    """The order tool's backend is down, and the agent makes a part of its answers up."""
    onset, share = draw.before_page(660, 1800), draw.between(0.7, 1.0, "share")
    fabricate, again = draw.between(0.15, 0.5, "fabricate"), draw.between(0.0, 0.6, "again")
    ends = onset + draw.between(60, 180, "minutes") * 60
    values = {"share": share, "fabricate": fabricate, "again": again}
    return draw.make(
        truth=("tool-backend-down",), service="order-agent", onset=onset, ends=ends,
        faults=(Fault(kind="tool_down", start=onset, end=ends, values=values),), good=(("disable_tool", {}),),
        tempting=("rollback_prompt", "rollback_model_config", "shift_traffic"), sli=("errors", "quality"),
        figures=values,
    )  # fmt: skip


def f19(draw: "Draw") -> "Scenario":
    """The order tool was released with another argument; the agent goes on calling it the old way."""
    onset, wrong, again = draw.before_page(900, 2700), draw.between(0.2, 0.6, "wrong"), draw.between(0.0, 0.6, "again")
    values = {"wrong": wrong, "again": again}
    told = (
        draw.change(
            at=onset, kind="tool", service="order-agent", summary="order tool v4.0: order_ref in place of order",
            before="v3.8", after="v4.0", actor=draw.pick(*PEOPLE),
        ),
    ) if draw.between(0, 1) < 0.6 else ()  # fmt: skip
    return draw.make(
        truth=("tool-contract-drift",), service="order-agent", onset=onset, ends=onset + LASTS_S,
        faults=(Fault(kind="tool_drift", start=onset, end=onset + LASTS_S, values=values),), changes=told,
        good=(("disable_tool", {}),), tempting=("rollback_prompt", "rollback_model_config", "shift_traffic"),
        sli=("errors", "quality"), figures=values,
    )  # fmt: skip


def _rail(draw: "Draw", at: float, service: str, **changed: Any) -> dict[str, Any]:
    """A new revision of the guardrail, and in most cases an entry about it in the change log."""
    keys = {**ORDINARY[GUARDRAIL], "revision": "g8", **changed}
    what = ", ".join(f"{name} {value}" for name, value in changed.items())
    told = (
        draw.change(
            at=at, kind="guardrail", service=service, summary=f"content-rail g8: {what}", before="g7", after="g8",
            actor=draw.pick(*PEOPLE),
        ),
    ) if draw.between(0, 1) < 0.7 else ()  # fmt: skip
    return {"settings": {GUARDRAIL: Setting(at=at, keys=keys)}, "changes": told}


def s23(draw: "Draw") -> "Scenario":
    """The guardrail's threshold was lowered: it blocks harmless requests."""
    onset, share = draw.before_page(900, 2700), draw.between(0.10, 0.40, "share")
    service = draw.pick("chat-assistant", "support-bot", name="service")
    strict = Fault(kind="guard_strict", start=onset, end=onset + LASTS_S, values={"share": share})
    return draw.make(
        truth=("guardrail-overblocking",), service=service, onset=onset, ends=onset + LASTS_S, faults=(strict,),
        **_rail(draw, onset, service, threshold=0.4), good=(("rollback_guardrail", {}),),
        tempting=("rollback_prompt", "shift_traffic", "rollback_model_config"), sli=("errors", "quality", "unguarded"),
        figures={"share": share},
    )  # fmt: skip


def f27(draw: "Draw") -> "Scenario":
    """The guardrail got too little time and lets through what it could not check in it."""
    onset, share = draw.before_page(1200, 3000), draw.between(0.3, 1.0, "share")
    service = draw.pick("chat-assistant", "support-bot", name="service")
    slow = Fault(kind="guard_slow", start=onset, end=onset + LASTS_S, values={"share": share, "takes_ms": 900.0})
    return draw.make(
        truth=("guardrail-bypass",), service=service, onset=onset, ends=onset + LASTS_S, faults=(slow,),
        **_rail(draw, onset, service, timeout_ms=150, on_error="open"),
        good=(("rollback_guardrail", {}), ("close_guardrail", {})), tempting=("rollback_prompt", "shift_traffic"),
        sli=("errors", "quality", "unguarded"), figures={"share": share},
    )  # fmt: skip


def s16(draw: "Draw") -> "Scenario":
    """The limit on the length of answers was lowered: they are cut in the middle."""
    onset, limit = draw.before_page(900, 2700), round(draw.between(64, 256, "limit"))
    app = BY_NAME[draw.pick("chat-assistant", "support-bot", "code-assistant", name="service")]
    params = {"temperature": 0.2, "max_tokens": limit}
    keys = {"revision": "r18", "model": app.model, "params": params}
    told = (
        draw.change(
            at=onset, kind="config", service=app.name, summary=f"route {app.route}: parameters r18", before="r17",
            after="r18", actor=draw.pick(*PEOPLE),
        ),
    ) if draw.between(0, 1) < 0.7 else ()  # fmt: skip
    return draw.make(
        truth=("generation-config-regression",), service=app.name, onset=onset, ends=onset + LASTS_S, faults=(),
        settings={f"gateway/params/{app.route}": Setting(at=onset, keys=keys)}, changes=told,
        good=(("rollback_model_config", {}),), tempting=("rollback_prompt", "shift_traffic"),
        sli=("errors", "quality"), figures={"limit": float(limit)},
    )  # fmt: skip


def u43(draw: "Draw") -> "Scenario":
    """A release of the agent no longer asks before it cancels or refunds, and does so of its own accord."""
    onset, share, more = draw.before_page(900, 2700), draw.between(0.4, 1.0, "share"), draw.between(0.5, 2.5, "more")
    values = {"share": share, "more": more}
    told = (
        draw.change(
            at=onset, kind=draw.pick("deploy", "tool", "prompt"), service="order-agent",
            summary="order agent 5.2: fewer questions back", before="5.1", after="5.2", actor=draw.pick(*PEOPLE),
        ),
    ) if draw.between(0, 1) < 0.7 else ()  # fmt: skip
    return draw.make(
        truth=("agent-destructive-action",), service="order-agent", onset=onset, ends=onset + LASTS_S,
        faults=(Fault(kind="unapproved", start=onset, end=onset + LASTS_S, values=values),), changes=told,
        good=(("disable_tool", {}),), tempting=("rollback_prompt", "rollback_model_config", "shift_traffic"),
        sli=("errors", "destroyed"), figures=values,
    )  # fmt: skip


def u42(draw: "Draw") -> "Scenario":
    """The support bot's route was set to answer when it has found no source."""
    onset, share = draw.before_page(900, 2700), draw.between(0.5, 1.0, "share")
    app = BY_NAME["support-bot"]
    params = {"temperature": 0.2, "max_tokens": 1024, "on_no_source": "answer"}
    keys = {"revision": "r18", "model": app.model, "params": params}
    loose = Fault(kind="ungrounded", start=onset, end=onset + LASTS_S, values={"share": share})
    told = (
        draw.change(
            at=onset, kind="config", service=app.name, summary="route support: fewer dead ends, parameters r18",
            before="r17", after="r18", actor=draw.pick(*PEOPLE),
        ),
    ) if draw.between(0, 1) < 0.6 else ()  # fmt: skip
    return draw.make(
        truth=("ungrounded-answers",), service=app.name, onset=onset, ends=onset + LASTS_S, faults=(loose,),
        settings={f"gateway/params/{app.route}": Setting(at=onset, keys=keys)}, changes=told,
        good=(("rollback_model_config", {}),),
        tempting=("rollback_prompt", "shift_traffic", "rollback_retrieval", "resume_ingestion"),
        sli=("errors", "quality"), figures={"share": share},
    )  # fmt: skip


def s24(draw: "Draw") -> "Scenario":
    """The answer cache takes questions for alike that are not, and in some cases across tenants."""
    onset, share = draw.before_page(900, 2700), draw.between(0.12, 0.35, "share")
    crossing = draw.between(0, 1) < 0.4
    service = draw.pick("chat-assistant", "support-bot", name="service")
    keys = {"revision": "c5", "threshold": 0.80, "namespace": "none" if crossing else "tenant"}
    loose = Fault(kind="cache_loose", start=onset, end=onset + LASTS_S, values={"share": share})
    told = (
        draw.change(
            at=onset, kind=draw.pick("config", "gateway"), service=service,
            summary="answer cache c5: threshold 0.80 for a better hit rate", before="c4", after="c5",
            actor=draw.pick(*PEOPLE),
        ),
    ) if draw.between(0, 1) < 0.6 else ()  # fmt: skip
    return draw.make(
        truth=("response-cache-crosstalk",), service=service, onset=onset, ends=onset + LASTS_S, faults=(loose,),
        settings={CACHED[service]: Setting(at=onset, keys=keys)}, changes=told, good=(("bypass_cache", {}),),
        tempting=("rollback_prompt", "rollback_model_config", "shift_traffic"), sli=("errors", "quality"),
        figures={"share": share, "crossing": float(crossing)},
    )  # fmt: skip


def f25(draw: "Draw") -> "Scenario":
    """Somebody wrote documents into a wiki that order the assistant what to tell its users."""
    onset, count = draw.before_page(900, 3000), round(draw.between(3, 14, "count"))
    slipped = Fault(kind="poison", start=onset, end=onset + LASTS_S, values={"count": float(count)})
    return draw.make(
        truth=("prompt-injection",), service="support-bot", onset=onset, ends=onset + LASTS_S, faults=(slipped,),
        good=(("quarantine_documents", {}),),
        tempting=("rollback_prompt", "rollback_model_config", "shift_traffic", "resume_ingestion"),
        sli=("errors", "quality"), figures={"count": float(count)},
    )  # fmt: skip


def n35(draw: "Draw") -> "Scenario":
    """The judge was changed: it scores the same answers lower, and users notice nothing."""
    onset = draw.before_page(1200, 3000)
    service = draw.pick("chat-assistant", "support-bot", "code-assistant", name="service")
    values = {"score": draw.between(0.12, 0.25, "score"), "agreement": draw.between(0.10, 0.25, "agreement")}
    judged = Fault(kind="judge_change", start=onset, end=onset + LASTS_S, service=service, values=values)
    return draw.make(
        truth=("telemetry-failure",), service=service, onset=onset, ends=onset + LASTS_S, faults=(judged,),
        good=(("manual", {}),), tempting=("rollback_prompt", "rollback_model_config", "shift_traffic"),
        sli=("errors", "quality"), figures=values,
    )  # fmt: skip


def n36(draw: "Draw") -> "Scenario":
    """The service's metrics no longer arrive; the service itself is well."""
    onset = draw.before_page(420, 1500)
    service = draw.pick("chat-assistant", "support-bot", "order-agent", name="service")
    gap = Fault(kind="metrics_gap", start=onset, end=onset + LASTS_S, service=service)
    return draw.make(
        truth=("telemetry-failure",), service=service, onset=onset, ends=onset + LASTS_S, faults=(gap,),
        good=(("manual", {}),), tempting=("shift_traffic", "rollback_prompt", "clamp_retries"),
        sli=("errors", "quality"), figures={},
    )  # fmt: skip


STACK: "dict[str, Callable[[Draw], Scenario]]" = {
    "S16": s16, "S19": s19, "S21": s21, "S23": s23, "S24": s24, "F19": f19, "F22": f22, "F24": f24, "F25": f25,
    "F27": f27, "N35": n35, "N36": n36, "U42": u42, "U43": u43,
}  # fmt: skip
