"""Scenarios in which two things are wrong at once, and those that look like something and are not."""

from collections.abc import Callable, Mapping

from drills import search
from drills.company import ACME_LARGE, BETA_HAIKU, BETA_SONNET, BY_NAME
from drills.documents import Setting
from drills.engine_state import SCALE, USUAL_REPLICAS
from drills.faults import Fault
from drills.path import Cure
from drills.scenarios import ACME_MODELS, Change, Draw, Scenario
from drills.stack import RETRIEVAL
from drills.when import iso

FOREVER = 1e9
ENGINE_USER = "code-assistant"
PEOPLE = ("mira", "jonas", "release-bot", "priya")


def c25(draw: Draw) -> Scenario:
    """The provider fails for a quarter of an hour, and the retries of everybody outlast it."""
    onset, share, factor = draw.before_page(120, 300), draw.between(0.5, 0.9), draw.between(3.0, 9.0)
    ends = onset + 55 * 60
    outage = Fault(kind="outage", start=onset, end=onset + 900, models=ACME_MODELS, values={"share": share})
    service = draw.pick("chat-assistant", "support-bot", "code-assistant")
    storm = Fault(
        kind="retry_storm", start=onset + 30, end=ends, values={"factor": factor},
        cures=(Cure(path="gateway/retries", key="max_retries", at_most=1),
               Cure(path=f"gateway/retries/{ACME_LARGE}", key="max_retries", at_most=1),
               Cure(path=f"gateway/classes/{BY_NAME[service].route}/interactive", key="admit_percent", at_most=20)),
    )  # fmt: skip
    return draw.make(
        truth=("provider-outage", "retry-storm"), service=service, onset=onset, ends=ends, faults=(outage, storm),
        good=(("clamp_retries", {}), ("shed_traffic", {}), ("shift_traffic", {"to": "beta-anthropic"})),
        tempting=("rollback_prompt", "scale_gateway"), sli=("errors",), status_lag_s=draw.between(5, 45) * 60,
        figures={"share": share, "factor": factor},
    )  # fmt: skip


def c26(draw: Draw) -> Scenario:
    """A few runs of the agent never end, and what they ask for takes the whole limit."""
    onset, share = draw.before_page(1200, 2400), draw.between(0.010, 0.013)
    ends = onset + 6 * 3600
    loop = Fault(kind="agent_loop", start=onset, end=ends, service="order-agent", values={"share": share})
    return draw.make(
        truth=("rate-limit-exceeded", "agent-runaway"), service="order-agent", onset=onset, ends=ends, faults=(loop,),
        good=(("cap_generation", {"route": "agent"}), ("shed_traffic", {}), ("clamp_retries", {})),
        tempting=("throttle_tenant", "rollback_prompt"), sli=("errors", "spend"), figures={"share": share},
    )  # fmt: skip


def c27(draw: Draw) -> Scenario:
    """One deploy brought a worse prompt and a search that fetches two documents instead of eight."""
    onset, loss = draw.before_page(900, 2700), draw.between(0.8, 1.5)
    actor = draw.pick(*PEOPLE)
    keys = {**search.SETTINGS, "revision": "s32", "top_k": 2}
    told = (
        Change(at=onset, kind="prompt", service="support-bot", summary="prompt support: shorter answers",
               before="v12", after="v13", actor=actor),
        Change(at=onset, kind="config", service="support-bot", summary="retrieval settings s32: top_k changed",
               before="s31", after="s32", actor=actor),
    )  # fmt: skip
    worse = Fault(kind="prompt", start=onset, end=onset + FOREVER, service="support-bot", values={"logits": loss})
    return draw.make(
        truth=("prompt-regression", "retrieval-regression"), service="support-bot", onset=onset, ends=onset + FOREVER,
        faults=(worse,), settings={RETRIEVAL: Setting(at=onset, keys=keys)}, changes=told,
        good=(("rollback_prompt", {"prompt": "support"}), ("rollback_retrieval", {}), ("degrade_retrieval", {})),
        tempting=("shift_traffic", "rollback_model_config", "resume_ingestion"), sli=("errors", "quality"),
        prompt_in_production={"support": 13}, prompt_deployed_at=onset,
        prompt_effects={"support": {13: (-loss, 0.5)}}, placeholder=("support", 13),
        figures={"logits": loss, "lost": search.lost(keys)},
    )  # fmt: skip


def c28(draw: Draw) -> Scenario:
    """The first provider fails, and the second has reached its spend limit: there is nowhere to go."""
    onset, share = draw.before_page(120, 300), draw.between(0.4, 1.0)
    ends = onset + draw.between(30, 90) * 60
    down = Fault(kind="outage", start=onset, end=ends, models=ACME_MODELS, values={"share": share})
    broke = Fault(kind="spend_limit", start=onset - 3600.0, end=ends, models=(BETA_SONNET, BETA_HAIKU))
    return draw.make(
        truth=("provider-outage", "quota-exhausted"), service=draw.pick("chat-assistant", "support-bot"),
        onset=onset, ends=ends, faults=(down, broke), solvable=False,
        good=(("clamp_retries", {}), ("shed_traffic", {}), ("manual", {})),
        tempting=("shift_traffic", "rollback_prompt"), sli=("errors",), status_lag_s=draw.between(0, 45) * 60,
        figures={"share": share},
    )  # fmt: skip


def c29(draw: Draw) -> Scenario:
    """The vendor's model got worse, and so did the judge, which is the same vendor's."""
    onset, logits, share = draw.before_page(3600, 5 * 3600), draw.between(0.7, 1.2), draw.between(0.6, 1.0)
    values = {"score": draw.between(0.12, 0.25), "agreement": draw.between(0.10, 0.25)}
    faults = (
        Fault(kind="ability_shift", start=onset, end=onset + 48 * 3600, models=(ACME_LARGE,),
              values={"logits": logits, "share": share}),
        Fault(kind="judge_change", start=onset, end=onset + 48 * 3600, service="support-bot", values=values),
    )  # fmt: skip
    return draw.make(
        truth=("model-drift", "telemetry-failure"), service="support-bot", onset=onset, ends=onset + 48 * 3600,
        faults=faults,
        good=(("rollback_model_config", {}), ("shift_traffic", {"to": "beta-anthropic"}), ("manual", {})),
        tempting=("rollback_prompt",), sli=("errors", "quality"), figures={"logits": logits, "share": share},
    )  # fmt: skip


def c30(draw: Draw) -> Scenario:
    """The guardrail lets through what it cannot check in time, while documents in the index give orders."""
    from drills.scenarios_stack import f25, f27  # noqa: PLC0415 - they are made of the first file's parts

    slipped, open_rail = f25(draw), _on(f27, draw, "support-bot")
    return draw.make(
        truth=("guardrail-bypass", "prompt-injection"), service="support-bot", onset=open_rail.onset,
        ends=open_rail.ends, faults=(*slipped.faults, *open_rail.faults), settings=open_rail.settings,
        changes=open_rail.changes, good=(*slipped.good, *open_rail.good),
        tempting=("rollback_prompt", "shift_traffic", "resume_ingestion"), sli=("errors", "quality", "unguarded"),
        figures={**slipped.figures, **open_rail.figures},
    )  # fmt: skip


def _on(make: Callable[[Draw], Scenario], draw: Draw, service: str) -> Scenario:
    """The scenario, drawn until it is about this service."""
    for _ in range(100):
        made = make(draw)
        if made.service == service:
            return made
    raise ValueError(f"no draw of the scenario is about {service}")


def c31(draw: Draw) -> Scenario:
    """Names do not resolve in one zone, while the provider's status page tells of something else."""
    onset, share = draw.before_page(150, 360), draw.between(0.3, 1.0)
    ends = onset + draw.between(30, 120) * 60
    return draw.make(
        truth=("egress-failure",), service=draw.pick("chat-assistant", "support-bot"), onset=onset, ends=ends,
        faults=(Fault(kind="zone_dns", start=onset, end=ends, values={"share": share}),),
        good=(("drain_deployment", {"deployment": "acme-openai-zone-a"}), ("clamp_retries", {})),
        tempting=("shift_traffic",), sli=("errors",), status_elsewhere=True, figures={"share": share},
    )  # fmt: skip


def c32(draw: Draw) -> Scenario:
    """Prompts are no longer cached, and what the company's own engine has to read again fills it."""
    onset, factor = draw.before_page(900, 2700), draw.between(1.7, 2.6)
    wait, share = draw.between(1.5, 6.0), draw.between(0.0, 0.06)
    route = BY_NAME[ENGINE_USER].route
    path, params = f"gateway/params/{route}", {"temperature": 0.2, "max_tokens": 1024, "prompt_cache": False}
    entry = {"revision": "r18", "model": ACME_LARGE, "params": params, "at": iso(onset)}
    change = Change(
        at=onset, kind="config", service=ENGINE_USER, summary=f"route {route}: nothing is kept at the vendor",
        before="r17", after="r18", actor=draw.pick("mira", "tomas"),
    )  # fmt: skip
    back = tuple(Cure(path=path, key="revision", equals=revision) for revision in ("r16", "r17"))
    cold = Fault(
        kind="cold_prefix", start=onset, end=onset + FOREVER, services=(ENGINE_USER,),
        values={"left": draw.between(0.0, 0.2), "factor": factor}, cures=back,
    )  # fmt: skip
    full = Fault(
        kind="engine_full", start=onset + 120, end=onset + FOREVER, values={"wait_s": wait, "share": share},
        cures=(*back, Cure(path=SCALE, key="replicas", at_least=USUAL_REPLICAS + 1),
               Cure(path=f"gateway/classes/{route}/batch", key="admit_percent", at_most=20)),
    )  # fmt: skip
    return draw.make(
        truth=("prompt-cache-loss", "inference-saturation"), service=ENGINE_USER, onset=onset, ends=onset + FOREVER,
        faults=(cold, full), good=(("rollback_model_config", {}), ("shed_traffic", {}), ("scale_engine", {})),
        tempting=("shift_traffic", "scale_gateway", "drain_replica"), sli=("errors", "ttft"),
        settings={path: Setting(at=onset, keys={"revision": "r18", "params": params}, entry=entry)}, changes=(change,),
        figures={"factor": factor, "wait_s": wait, "share": share},
    )  # fmt: skip


def n37(draw: Draw) -> Scenario:
    """A launch triples the users; all of them are served as ever."""
    onset, factor = draw.before_page(600, 1200), draw.between(2.6, 3.2, "factor")
    ends = onset + draw.between(120, 240, "minutes") * 60
    service = draw.pick("code-assistant", "support-bot", name="service")
    surge = Fault(kind="demand_surge", start=onset, end=ends, service=service, values={"factor": factor})
    return draw.make(
        truth=("no-fault",), service=service, onset=onset, ends=ends, faults=(surge,), good=(),
        tempting=("shed_traffic", "throttle_tenant", "shift_traffic"), solvable=False, sli=("errors",),
        figures={"factor": factor},
    )  # fmt: skip


def n38(draw: Draw) -> Scenario:
    """Users ask more of the hard questions, each answered as well as ever; and a prompt was released at that time."""
    onset = draw.before_page(1200, 2700)
    hard, gap = draw.between(0.55, 0.8, "hard"), draw.between(0.22, 0.3, "gap")
    ends = onset + draw.between(180, 360, "minutes") * 60
    service = draw.pick("chat-assistant", "support-bot", name="service")
    prompt, deployed = BY_NAME[service].prompt, onset - 5.0 * float(round(draw.between(0, 60)))
    change = Change(
        at=deployed, kind="prompt", service=service, summary=f"prompt {prompt}: friendlier wording", before="v12",
        after="v13", actor=draw.pick("mira", "jonas"),
    )  # fmt: skip
    mix = Fault(kind="topic_mix", start=onset, end=ends, service=service, values={"hard": hard, "gap": gap})
    return draw.make(
        truth=("no-fault",), service=service, onset=onset, ends=ends, faults=(mix,), good=(),
        tempting=("rollback_prompt", "rollback_model_config", "shift_traffic"), solvable=False, sli=("errors",),
        prompt_in_production={prompt: 13}, prompt_deployed_at=deployed, prompt_effects={prompt: {13: (0.0, 0.0)}},
        changes=(change,), figures={"hard": hard, "gap": gap},
    )  # fmt: skip


COMPOUND: Mapping[str, Callable[[Draw], Scenario]] = {
    "C25": c25, "C26": c26, "C27": c27, "C28": c28, "C29": c29, "C30": c30, "C31": c31, "C32": c32,
    "N37": n37, "N38": n38,
}  # fmt: skip
