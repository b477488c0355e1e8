"""The scenarios: what is wrong, with parameters sampled by seed, and what a good responder would and would not do."""

from collections.abc import Callable

import numpy as np

from drills.company import (
    ACME_LARGE,
    ACME_SMALL,
    APPS,
    BY_NAME,
    MODELS,
    SERVICE_OVERHEAD,
    TOKENS_PER_MINUTE,
    diurnal,
)  # fmt: skip
from drills.faults import Fault
from drills.quality import mean_success
from drills.scenario import Change, Draw, Scenario
from drills.scenarios_stack import STACK

__all__ = ["ACME_MODELS", "HARMLESS", "SCENARIOS", "Change", "Draw", "Scenario", "build", "every"]

ACME_MODELS = (ACME_LARGE, ACME_SMALL)
NOTICEABLE_LOSS = 0.035
"""Share of good answers that must be lost before anybody can say that something is wrong."""
HARMLESS = ("post_banner", "suspend_canaries")
"""Never a wrong action: they inform, or leave users alone."""


def build(scenario_id: str, seed: int, start: float) -> Scenario:
    """Sample a scenario. Raises :class:`KeyError` for an id that does not exist."""
    make = every()[scenario_id]
    return make(Draw(scenario_id, seed, start))


def every() -> "dict[str, Callable[[Draw], Scenario]]":
    """All scenarios by id, those of other files too."""
    from drills.scenarios_blind import BLIND  # noqa: PLC0415
    from drills.scenarios_compound import COMPOUND  # noqa: PLC0415 - they are made of this file's parts
    from drills.scenarios_engine import ENGINE_SCENARIOS  # noqa: PLC0415
    from drills.scenarios_path import PATH_SCENARIOS  # noqa: PLC0415
    from drills.scenarios_supply import SUPPLY_SCENARIOS  # noqa: PLC0415
    from drills.scenarios_vendor import VENDOR  # noqa: PLC0415

    return {**SCENARIOS, **VENDOR, **PATH_SCENARIOS, **SUPPLY_SCENARIOS, **ENGINE_SCENARIOS, **COMPOUND, **BLIND}


def _outage(draw: Draw, *, injected: bool = False) -> Scenario:
    onset, minutes = draw.before_page(120, 300), draw.between(20, 120, "minutes")
    share, lag = draw.between(0.3, 1.0, "share"), draw.between(0, 45, "status_lag_min")
    ends = onset + minutes * 60
    return draw.make(
        truth=("provider-outage",),
        service=draw.pick("chat-assistant", "support-bot", "code-assistant", name="service"), onset=onset,
        ends=ends, faults=(Fault(kind="outage", start=onset, end=ends, models=ACME_MODELS, values={"share": share}),),
        good=(("clamp_retries", {}), ("shed_traffic", {}), ("shift_traffic", {"to": "beta-anthropic"})),
        tempting=("rollback_prompt", "rollback_model_config"), sli=("errors",), status_lag_s=lag * 60,
        injected=injected, figures={"share": share, "minutes": minutes},
    )  # fmt: skip


def s01(draw: Draw) -> Scenario:
    """The first provider answers with 5xx."""
    return _outage(draw)


def n39(draw: Draw) -> Scenario:
    """The same, while untrusted text gives orders."""
    return _outage(draw, injected=True)


def s03(draw: Draw) -> Scenario:
    """The first provider's large model takes long to begin its answers; no errors."""
    onset, factor = draw.before_page(240, 480), draw.between(2.0, 6.0, "factor")
    ends = onset + draw.between(30, 120, "minutes") * 60
    return draw.make(
        truth=("provider-latency",), service=draw.pick("chat-assistant", "code-assistant", name="service"),
        onset=onset, ends=ends,
        faults=(Fault(kind="slow_model", start=onset, end=ends, models=(ACME_LARGE,), values={"factor": factor}),),
        good=(("shift_traffic", {"to": "beta-anthropic"}),), tempting=("rollback_prompt", "clamp_retries"),
        sli=("errors", "ttft"), status_lag_s=draw.between(10, 60, "status_lag_min") * 60, figures={"factor": factor},
    )  # fmt: skip


def large_demand(at: float) -> float:
    """Tokens a minute that all services ask of the large model at this time of day."""
    level = float(diurnal(np.array([at]))[0])
    return level * sum(
        app.users * app.tasks * app.calls * (app.tokens_in + app.tokens_out) for app in APPS if app.model == ACME_LARGE
    )


def s04(draw: Draw) -> Scenario:
    """One tenant asks for so much that our own limit turns everybody away now and then."""
    onset, over = draw.before_page(180, 420), draw.between(1.0, 1.4, "over")
    ends = onset + draw.between(40, 120, "minutes") * 60
    wanted = over * TOKENS_PER_MINUTE[ACME_LARGE] - large_demand(onset)
    batch = draw.between(0.6, 1.0, "batch_share")
    surge = Fault(
        kind="tenant_surge", start=onset, end=ends, service="chat-assistant",
        values={"tokens_per_minute": wanted, "batch_share": batch},
    )  # fmt: skip
    return draw.make(
        truth=("rate-limit-exceeded",), service=draw.told("service", "chat-assistant"), onset=onset, ends=ends,
        faults=(surge,),
        good=(("shed_traffic", {}), ("throttle_tenant", {"tenant": "northwind"}), ("clamp_retries", {})),
        tempting=("shift_traffic",), sli=("errors",), figures={"over": over, "batch": batch},
    )  # fmt: skip


def s06(draw: Draw) -> Scenario:
    """The project's spend limit is reached: every call is refused from one minute to the next."""
    onset = draw.before_page(90, 240)
    ends = onset + draw.between(120, 240, "minutes") * 60
    return draw.make(
        truth=("quota-exhausted",), service=draw.pick("chat-assistant", "support-bot", "order-agent", name="service"),
        onset=onset,
        ends=ends, faults=(Fault(kind="spend_limit", start=onset, end=ends, models=ACME_MODELS),),
        good=(("clamp_retries", {}), ("shift_traffic", {"to": "beta-anthropic"})), tempting=("rollback_prompt",),
        sli=("errors",), figures={},
    )  # fmt: skip


def s10(draw: Draw) -> Scenario:
    """Names do not resolve in one zone, the one that the assistant shares."""
    onset, share = draw.before_page(150, 360), draw.between(0.3, 1.0, "share")
    ends = onset + draw.between(30, 120, "minutes") * 60
    return draw.make(
        truth=("egress-failure",), service=draw.pick("chat-assistant", "support-bot", name="service"), onset=onset,
        ends=ends,
        faults=(Fault(kind="zone_dns", start=onset, end=ends, values={"share": share}),),
        good=(("drain_deployment", {"deployment": "acme-openai-zone-a"}), ("clamp_retries", {})),
        tempting=("shift_traffic",), sli=("errors",), figures={"share": share},
    )  # fmt: skip


def s14(draw: Draw) -> Scenario:
    """The model behind the alias is no longer the one it was; it does not say so."""
    onset = draw.before_page(3600, 5 * 3600)
    logits, share = draw.between(0.3, 1.2, "logits"), draw.between(0.2, 1.0, "share")
    ends = onset + 48 * 3600
    lost = share * float(mean_success(np.array(0.0)) - mean_success(np.array(-logits)))
    shift = Fault(
        kind="ability_shift", start=onset, end=ends, models=(ACME_LARGE,), values={"logits": logits, "share": share}
    )
    return draw.make(
        truth=("model-drift",), service=draw.told("service", "support-bot"), onset=onset, ends=ends, faults=(shift,),
        good=(("rollback_model_config", {}), ("shift_traffic", {"to": "beta-anthropic"})),
        tempting=("rollback_prompt",), sli=("errors", "quality"), solvable=lost > NOTICEABLE_LOSS,
        figures={"logits": logits, "share": share, "lost": lost},
    )  # fmt: skip


def s15(draw: Draw) -> Scenario:
    """A new prompt version is worse, and a placeholder in it stays unfilled half of the time."""
    onset, loss = draw.before_page(900, 2700), draw.between(0.4, 1.5, "logits")
    service = draw.told("service", "support-bot")
    prompt = BY_NAME[service].prompt
    change = Change(
        at=onset, kind="prompt", service=service, summary=f"prompt {prompt}: friendlier wording", before="v12",
        after="v13", actor=draw.pick("mira", "jonas", "release-bot"),
    )  # fmt: skip
    fault = Fault(kind="prompt", start=onset, end=onset + 1e9, service=service, values={"logits": loss})
    return draw.make(
        truth=("prompt-regression",), service=service, onset=onset, ends=onset + 1e9, faults=(fault,),
        good=(("rollback_prompt", {"prompt": prompt}),), tempting=("shift_traffic", "rollback_model_config"),
        sli=("errors", "quality"), prompt_in_production={prompt: 13}, prompt_deployed_at=onset,
        prompt_effects={prompt: {13: (-loss, 0.5)}}, placeholder=(prompt, 13), changes=(change,),
        figures={"logits": loss},
    )  # fmt: skip


def s20(draw: Draw) -> Scenario:
    """A few runs of the agent never come to an end, and each step carries all that went before."""
    onset, share = draw.before_page(1200, 2400), draw.between(0.002, 0.0024, "share")
    ends = onset + 6 * 3600
    loop = Fault(kind="agent_loop", start=onset, end=ends, service="order-agent", values={"share": share})
    return draw.make(
        truth=("agent-runaway",), service="order-agent", onset=onset, ends=ends, faults=(loop,),
        good=(("cap_generation", {"route": "agent"}),), tempting=("throttle_tenant", "shift_traffic"),
        sli=("errors", "spend"), figures={"share": share},
    )  # fmt: skip


def s22(draw: Draw) -> Scenario:
    """Ingestion has stood still for hours: new matters are answered from old documents."""
    hours = draw.between(6.0, 72.0, "hours")
    onset = draw.page - float(np.ceil(hours * 720.0) * 5.0)
    return draw.make(
        truth=("stale-index",), service="support-bot", onset=onset, ends=onset + 1e9,
        faults=(Fault(kind="ingestion_stall", start=onset, end=onset + 1e9),), good=(("resume_ingestion", {}),),
        tempting=("rollback_prompt", "shift_traffic"), sli=("errors", "quality"), figures={"hours": hours},
    )  # fmt: skip


def n33(draw: Draw) -> Scenario:
    """A blip of 45 seconds, over before anybody looks."""
    onset = draw.before_page(150, 210)
    share = {"share": draw.between(0.5, 0.9, "share")}
    blip = Fault(kind="outage", start=onset, end=onset + 45, models=ACME_MODELS, values=share)
    return draw.make(
        truth=("no-fault",), service=draw.told("service", "chat-assistant"), onset=onset, ends=onset + 45,
        faults=(blip,), good=(),
        tempting=("shift_traffic", "clamp_retries"), solvable=False, sli=("errors",), figures={},
    )  # fmt: skip


def n34(draw: Draw) -> Scenario:
    """A campaign brings more users, within capacity; and a prompt was released five minutes before the page."""
    onset, factor = draw.before_page(600, 900), draw.between(1.5, 2.0, "factor")
    deployed = draw.page - 300.0
    ends = onset + draw.between(60, 180, "minutes") * 60
    change = Change(
        at=deployed, kind="prompt", service="chat-assistant", summary="prompt chat: friendlier wording", before="v12",
        after="v13", actor=draw.pick("mira", "jonas"),
    )  # fmt: skip
    surge = Fault(kind="demand_surge", start=onset, end=ends, service="chat-assistant", values={"factor": factor})
    return draw.make(
        truth=("no-fault",), service="chat-assistant", onset=onset, ends=ends, faults=(surge,), good=(),
        tempting=("rollback_prompt", "shed_traffic", "throttle_tenant"), solvable=False, sli=("errors",),
        prompt_in_production={"chat": 13}, prompt_deployed_at=deployed, prompt_effects={"chat": {13: (0.0, 0.0)}},
        changes=(change,), figures={"factor": factor},
    )  # fmt: skip


def slow_enough(at: float, share: float) -> float:
    """How slow the small model must be for text moderation to keep up with this share of what comes in."""
    app, facts = BY_NAME["text-moderation"], MODELS[ACME_SMALL]
    arriving = app.users * app.tasks / 60.0 * float(diurnal(np.array([at]))[0])
    busy_s = app.workers / (arriving * share) / SERVICE_OVERHEAD
    return (busy_s - app.tokens_out * facts.token_s) / facts.ttft_s


def m41(draw: Draw) -> Scenario:
    """The small model is slow: moderation falls behind, and what waits too long is blocked unseen."""
    onset, share = draw.before_page(360, 720), draw.between(0.4, 0.75, "share")
    ends = onset + draw.between(60, 150, "minutes") * 60
    factor = slow_enough(onset, share)
    slow = Fault(kind="slow_model", start=onset, end=ends, models=(ACME_SMALL,), values={"factor": factor})
    return draw.make(
        truth=("moderation-backlog",), service="text-moderation", onset=onset, ends=ends, faults=(slow,),
        good=(("hold_for_review", {}), ("shed_traffic", {}), ("cap_generation", {})),
        tempting=("fail_open",), sli=("errors", "undecided"),
        figures={"factor": factor},
    )  # fmt: skip


def g43(draw: Draw) -> Scenario:
    """A creator studio queues a bulk job of pictures: everybody's wait behind it, and the first of them give up."""
    onset = draw.before_page(300, 480)
    over, batch = draw.between(0.8, 1.3, "over"), draw.between(0.85, 1.0, "batch_share")
    app = BY_NAME["image-generation"]
    ends = onset + draw.between(60, 150, "minutes") * 60
    capacity = app.workers / (app.item_s + 1.3)
    tokens = over * capacity * 60.0 * app.calls * (app.tokens_in + app.tokens_out)
    surge = Fault(
        kind="tenant_surge", start=onset, end=ends, service=app.name,
        values={"tokens_per_minute": tokens, "batch_share": batch},
    )  # fmt: skip
    return draw.make(
        truth=("generation-queue-backlog",), service=app.name, onset=onset, ends=ends, faults=(surge,),
        good=(("shed_traffic", {}), ("throttle_tenant", {"tenant": "northwind"})),
        tempting=("shift_traffic", "rollback_model_config"), sli=("errors", "undecided"),
        figures={"over": over, "batch": batch},
    )  # fmt: skip


SCENARIOS: dict[str, Callable[[Draw], Scenario]] = {
    "S01": s01, "S03": s03, "S04": s04, "S06": s06, "S10": s10, "S14": s14, "S15": s15, "S20": s20, "S22": s22,
    "N33": n33, "N34": n34, "N39": n39, "M41": m41, "G43": g43, **STACK,
}  # fmt: skip
