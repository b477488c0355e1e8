"""Scenarios of faults on the way between users and providers: gateway, requests, streams, caches, capacity."""

from collections.abc import Callable

from drills.company import ACME_LARGE, APPS, BY_NAME, DEAR_MODEL, SERVICES
from drills.documents import NEXT_RELEASE, RELEASE, Setting
from drills.faults import Fault
from drills.path import FULL_WORKERS, Cure
from drills.scenarios import ACME_MODELS, Change, Draw, Scenario
from drills.when import iso

RELEASED_BACK = (Cure(path="gateway/release", key="release", equals=RELEASE),
                 Cure(path="gateway/release", key="release", equals="gw-46"))  # fmt: skip
FOREVER = 1e9
ASSISTANTS = ("chat-assistant", "support-bot", "code-assistant")


def _released(draw: Draw, at: float, summary: str) -> tuple[dict[str, Setting], Change]:
    """A new release of the gateway, as its document and the change log tell it."""
    entry = {"release": NEXT_RELEASE, "at": iso(at)}
    change = Change(
        at=at, kind="gateway", service="*", summary=summary, before=RELEASE, after=NEXT_RELEASE,
        actor=draw.pick("tomas", "release-bot", "renovate"),
    )  # fmt: skip
    return {"gateway/release": Setting(keys={"release": NEXT_RELEASE}, entry=entry)}, change


def s05(draw: Draw) -> Scenario:
    """The provider lowers our limit and turns a part of the calls away, although we use little of it."""
    onset, limit, share = draw.before_page(180, 420), draw.between(0.4, 0.8, "limit"), draw.between(0.3, 0.6, "share")
    ends = onset + draw.between(40, 120, "minutes") * 60
    fault = Fault(
        kind="capacity_cut", start=onset, end=ends, models=ACME_MODELS, values={"limit": limit, "share": share}
    )
    return draw.make(
        truth=("provider-capacity",), service=draw.pick(*ASSISTANTS, name="service"), onset=onset, ends=ends,
        faults=(fault,),
        good=(("clamp_retries", {}), ("shed_traffic", {}), ("shift_traffic", {"to": "beta-anthropic"})),
        tempting=("throttle_tenant", "rollback_prompt"), sli=("errors",),
        status_lag_s=draw.between(5, 60, "status_lag_min") * 60,
        figures={"limit": limit, "share": share},
    )  # fmt: skip


def s09(draw: Draw) -> Scenario:
    """A new release of the gateway sends a parameter that the model does not take: 400 on some of its routes."""
    onset, share = draw.before_page(180, 540), draw.between(0.3, 1.0, "share")
    service = draw.pick(*ASSISTANTS, "order-agent", name="service")
    hit = tuple(app.name for app in APPS if app.name == service or draw.between(0.0, 1.0) < share)
    settings, change = _released(draw, onset - 30.0, "gateway: upgrade of the vendor SDK")
    fault = Fault(
        kind="contract_break", start=onset, end=onset + FOREVER, services=hit, values={"share": share},
        cures=RELEASED_BACK,
    )  # fmt: skip
    return draw.make(
        truth=("request-contract-break",), service=service, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("rollback_release", {}),), tempting=("shift_traffic", "rollback_prompt"), sli=("errors",),
        settings=settings, changes=(change,), figures={"share": share},
    )  # fmt: skip


def s11(draw: Draw) -> Scenario:
    """The gateway has lost most of its workers: calls wait for one, some for too long."""
    onset = draw.before_page(240, 480)
    queue, share = draw.between(1.0, 4.0, "queue_s"), draw.between(0.0, 0.15, "share")
    change = Change(
        at=onset - 20.0, kind="gateway", service="*", summary="gateway: smaller node pool", before="8 workers",
        after="2 workers", actor=draw.pick("tomas", "priya"),
    )  # fmt: skip
    fault = Fault(
        kind="worker_loss", start=onset, end=onset + FOREVER, values={"queue_s": queue, "share": share},
        cures=(Cure(path="gateway/workers", key="count", at_least=FULL_WORKERS - 2),),
    )  # fmt: skip
    return draw.make(
        truth=("gateway-overload",), service=draw.pick(*ASSISTANTS, name="service"), onset=onset,
        ends=onset + FOREVER, faults=(fault,),
        good=(("scale_gateway", {}),), tempting=("shift_traffic", "rollback_prompt"), sli=("errors", "ttft"),
        settings={"gateway/workers": Setting(keys={"count": 2})}, changes=(change,),
        figures={"queue_s": queue, "share": share},
    )  # fmt: skip


def s12(draw: Draw) -> Scenario:
    """The list of fallbacks is wrong: the small model answers although the large one is well."""
    onset, share = draw.before_page(900, 2700), draw.between(0.5, 1.0, "share")
    service = draw.pick("support-bot", "chat-assistant", name="service")
    settings, change = _released(draw, onset, "gateway: routing rules of the new region")
    fault = Fault(
        kind="misrouting", start=onset, end=onset + FOREVER, services=(service,), values={"share": share},
        cures=RELEASED_BACK,
    )  # fmt: skip
    return draw.make(
        truth=("gateway-misrouting",), service=service, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("rollback_release", {}),), tempting=("rollback_prompt", "rollback_model_config", "shift_traffic"),
        sli=("errors", "quality"), settings=settings, changes=(change,), figures={"share": share},
    )  # fmt: skip


def s13(draw: Draw) -> Scenario:
    """A blip at the provider is over, but everybody still asks again, and that alone keeps it full."""
    onset, factor = draw.before_page(420, 720), draw.between(3.0, 9.0, "factor")
    blip = Fault(kind="outage", start=onset, end=onset + 90, models=ACME_MODELS, values={"share": 0.6})
    ends = onset + draw.between(60, 150, "minutes") * 60
    service = draw.pick(*ASSISTANTS, name="service")
    storm = Fault(
        kind="retry_storm", start=onset + 30, end=ends, values={"factor": factor},
        cures=(Cure(path="gateway/retries", key="max_retries", at_most=1),
               Cure(path=f"gateway/retries/{ACME_LARGE}", key="max_retries", at_most=1),
               Cure(path=f"gateway/classes/{BY_NAME[service].route}/interactive", key="admit_percent", at_most=20)),
    )  # fmt: skip
    return draw.make(
        truth=("retry-storm",), service=service, onset=onset, ends=ends, faults=(blip, storm),
        good=(("clamp_retries", {}), ("shed_traffic", {})), tempting=("scale_gateway", "throttle_tenant"),
        sli=("errors",), figures={"factor": factor},
    )  # fmt: skip


def t33(draw: Draw) -> Scenario:
    """A proxy of the new release ends long streams in the middle; short answers come through."""
    onset, share, after = draw.before_page(300, 900), draw.between(0.4, 1.0, "share"), draw.between(20.0, 80.0, "after")
    service = draw.pick(*ASSISTANTS, name="service")
    settings, change = _released(draw, onset - 10.0, "gateway: response buffering at the edge proxy")
    fault = Fault(
        kind="stream_cut", start=onset, end=onset + FOREVER, services=tuple(s for s in SERVICES if BY_NAME[s].fallback),
        values={"share": share, "after": float(int(after))}, cures=RELEASED_BACK,
    )  # fmt: skip
    return draw.make(
        truth=("streaming-break",), service=service, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("rollback_release", {}),), tempting=("shift_traffic", "clamp_retries", "rollback_prompt"),
        sli=("errors",), settings=settings, changes=(change,), figures={"share": share, "after": after},
    )  # fmt: skip


def t29(draw: Draw) -> Scenario:
    """A new prompt version begins with the date and time, so that no two prompts share their head any more."""
    onset, factor = draw.before_page(900, 2700), draw.between(1.7, 2.6, "factor")
    service = draw.pick("chat-assistant", "support-bot", name="service")
    prompt = BY_NAME[service].prompt
    change = Change(
        at=onset, kind="prompt", service=service, summary=f"prompt {prompt}: the assistant knows what time it is",
        before="v12", after="v13", actor=draw.pick("mira", "jonas", "release-bot"),
    )  # fmt: skip
    old = [Cure(path=f"prompts/{prompt}", key="aliases", equals={"production": version}) for version in (10, 11, 12)]
    fault = Fault(
        kind="cold_prefix", start=onset, end=onset + FOREVER, services=(service,),
        values={"left": draw.between(0.0, 0.2, "left"), "factor": factor}, cures=tuple(old),
    )  # fmt: skip
    return draw.make(
        truth=("prompt-cache-loss",), service=service, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("rollback_prompt", {"prompt": prompt}),), tempting=("shift_traffic", "scale_gateway"),
        sli=("errors", "ttft"), prompt_in_production={prompt: 13}, prompt_deployed_at=onset,
        prompt_effects={prompt: {13: (0.0, 0.0)}}, changes=(change,), figures={"factor": factor},
    )  # fmt: skip


def s17(draw: Draw) -> Scenario:
    """Every request carries a longer history; what does not fit is cut off, or refused."""
    onset = draw.before_page(1200, 2700)
    factor, lost = draw.between(2.5, 4.5, "factor"), draw.between(0.12, 0.35, "lost")
    service = draw.pick("chat-assistant", "support-bot", "order-agent", name="service")
    change = Change(
        at=onset - 60.0, kind="deploy", service=service, summary=f"{service}: keeps the whole conversation",
        before="3.8.1", after="3.9.0", actor=draw.pick("jonas", "priya"),
    )  # fmt: skip
    fault = Fault(
        kind="context_growth", start=onset, end=onset + FOREVER, services=(service,),
        values={"factor": factor, "lost": lost, "share": draw.between(0.0, 0.05, "share")},
        cures=(Cure(path=f"gateway/caps/{BY_NAME[service].route}", key="max_context", at_most=16_000),),
    )  # fmt: skip
    return draw.make(
        truth=("context-overflow",), service=service, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("cap_generation", {"route": BY_NAME[service].route}),),
        tempting=("rollback_prompt", "shift_traffic", "rollback_model_config"), sli=("errors", "quality"),
        changes=(change,), figures={"factor": factor, "lost": lost},
    )  # fmt: skip


def s18(draw: Draw) -> Scenario:
    """The strict mode for structured answers was switched off: a part of them does not fit the schema any more."""
    onset, share = draw.before_page(900, 2700), draw.between(0.05, 0.3, "share")
    service = draw.pick("order-agent", "support-bot", name="service")
    route = BY_NAME[service].route
    loose = {"temperature": 0.2, "max_tokens": 1024, "strict": False}
    entry = {"revision": "r18", "model": ACME_LARGE, "params": loose, "at": iso(onset)}
    change = Change(
        at=onset, kind="config", service=service, summary=f"route {route}: parameters for the new SDK", before="r17",
        after="r18", actor=draw.pick("mira", "tomas"),
    )  # fmt: skip
    path = f"gateway/params/{route}"
    fault = Fault(
        kind="loose_schema", start=onset, end=onset + FOREVER, services=(service,), values={"share": share},
        cures=tuple(Cure(path=path, key="revision", equals=revision) for revision in ("r16", "r17")),
    )  # fmt: skip
    return draw.make(
        truth=("structured-output-break",), service=service, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("rollback_model_config", {}),), tempting=("shift_traffic", "rollback_prompt"), sli=("errors", "quality"),
        settings={path: Setting(keys={"revision": "r18", "params": loose}, entry=entry)}, changes=(change,),
        solvable=share > LEAST_MISSHAPEN, figures={"share": share},
    )  # fmt: skip


def u44(draw: Draw) -> Scenario:
    """The route's configuration gives one feature to a model of many times the price; its answers are as good."""
    onset, factor = draw.before_page(1200, 2700), draw.between(5.0, 12.0, "factor")
    service = draw.pick("chat-assistant", "support-bot", "code-assistant", name="service")
    app = BY_NAME[service]
    path, params = f"gateway/params/{app.route}", {"temperature": 0.2, "max_tokens": 1024, "titles_model": DEAR_MODEL}
    entry = {"revision": "r18", "model": app.model, "params": params, "at": iso(onset)}
    told = Change(
        at=onset, kind="config", service=service, summary=f"route {app.route}: parameters r18", before="r17",
        after="r18", actor=draw.pick("mira", "jonas"),
    )  # fmt: skip
    fault = Fault(
        kind="dear_model", start=onset, end=onset + FOREVER, services=(service,), values={"factor": factor},
        cures=tuple(Cure(path=path, key="revision", equals=revision) for revision in ("r16", "r17")),
    )  # fmt: skip
    return draw.make(
        truth=("cost-spike",), service=service, onset=onset, ends=onset + FOREVER, faults=(fault,),
        good=(("rollback_model_config", {}),), tempting=("throttle_tenant", "cap_generation", "shift_traffic"),
        sli=("errors", "spend"), settings={path: Setting(keys={"revision": "r18", "params": params}, entry=entry)},
        changes=(told,) if draw.between(0.0, 1.0) < 0.7 else (), figures={"factor": factor},
    )  # fmt: skip


def f32(draw: Draw) -> Scenario:
    """More users than the gateway's workers can serve: everybody waits for one, although nothing is broken."""
    onset, factor = draw.before_page(360, 900), draw.between(2.2, 3.0, "factor")
    ends = onset + draw.between(120, 240, "minutes") * 60
    queue, share = draw.between(1.5, 4.0, "queue_s"), draw.between(0.02, 0.15, "share")
    service = draw.pick("code-assistant", "support-bot", name="service")
    surge = Fault(kind="demand_surge", start=onset, end=ends, service=service, values={"factor": factor})
    full = Fault(
        kind="worker_loss", start=onset, end=ends, values={"queue_s": queue, "share": share},
        cures=(Cure(path="gateway/workers", key="count", at_least=FULL_WORKERS + 4),
               Cure(path=f"gateway/classes/{BY_NAME[service].route}/batch", key="admit_percent", at_most=20)),
    )  # fmt: skip
    return draw.make(
        truth=("traffic-surge",), service=service, onset=onset, ends=ends, faults=(surge, full),
        good=(("shed_traffic", {}), ("scale_gateway", {})),
        tempting=("shift_traffic", "rollback_prompt", "clamp_retries", "throttle_tenant"), sli=("errors", "ttft"),
        figures={"factor": factor, "queue_s": queue, "share": share},
    )  # fmt: skip


LEAST_MISSHAPEN = 0.10
"""Below this share of misshapen answers a wave of the probe is too small to be sure."""
PATH_SCENARIOS: dict[str, Callable[[Draw], Scenario]] = {
    "S05": s05, "S09": s09, "S11": s11, "S12": s12, "S13": s13, "S17": s17, "S18": s18, "T29": t29, "T33": t33,
    "U44": u44, "F32": f32,
}  # fmt: skip
