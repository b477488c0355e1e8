"""The fault injectors that a scenario file may use: what each does, its parameters, their units and hard bounds.

An injector is the part of a scenario that makes its fault: the same function, with parameters given. What a file does
not give is drawn as the scenario draws it. ``docs/drills.md`` has the table that :func:`table` makes of this.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from drills import scenarios_background as background
from drills.company import BY_NAME, SERVICES
from drills.engine_state import USUAL_REPLICAS
from drills.scenario import Draw, Scenario
from drills.scenarios import HARMLESS, every
from drills.scenarios_supply import BROKEN
from drills.supply_documents import LOCKED

_DRAWS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A number between two bounds (both allowed), or one of some words."""

    unit: str
    low: float = 0.0
    high: float = 0.0
    options: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The bounds in words."""
        return ", ".join(self.options) if self.options else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Injector:
    """One kind of fault."""

    make: Callable[[Draw], Scenario]
    page_of: str
    """The scenario whose pages tell of it; empty: it cannot stand alone, since nobody would be paged for it."""
    does: str
    services: tuple[str, ...]
    """Services that can be paged for it."""
    parameters: Mapping[str, Parameter]
    fixed: Mapping[str, str | float]
    """What is given by the injector itself."""

    def usual(self, name: str) -> str:
        """What a parameter is drawn from when a file does not give it."""
        drawn = _usual(self)[name]
        numbers = [value for value in drawn if isinstance(value, float | int)]
        return f"{numbers[0]:g} to {numbers[1]:g}" if numbers else ", ".join(map(str, drawn))


@lru_cache(maxsize=64)
def _recorded(
    make: Callable[[Draw], Scenario], fixed: tuple[tuple[str, str | float], ...]
) -> Mapping[str, tuple[float, float] | tuple[str, ...]]:
    found: dict[str, tuple[float, float] | tuple[str, ...]] = {}
    for seed in range(_DRAWS):  # some numbers are asked for in a part of the draws only
        draw = Draw("recorded", seed, 0.0, dict(fixed))
        make(draw)
        found |= draw.usual
    return found


def _usual(one: Injector) -> Mapping[str, tuple[float, float] | tuple[str, ...]]:
    return _recorded(one.make, tuple(one.fixed.items()))


def names_of(one: Injector) -> frozenset[str]:
    """The names under which its function asks for numbers and words."""
    return frozenset(_usual(one)) - frozenset(one.fixed) - {"service"}


def has_service(one: Injector) -> bool:
    """Whether its function asks which service is paged; otherwise there is only one."""
    return "service" in _usual(one)


def _share(low: float = 0.02, high: float = 1.0, of: str = "requests") -> Parameter:
    return Parameter(unit=f"share of {of}", low=low, high=high)


_MINUTES = Parameter(unit="minutes that it lasts", low=20, high=720)
_LAG = Parameter(unit="minutes until the status page tells", low=0, high=240)
_SOON = Parameter(unit="seconds before the page", low=90, high=3600)
_LATER = Parameter(unit="seconds before the page", low=300, high=21_600)
_FACTOR = "times the usual"
_WITH_FALLBACK = ("chat-assistant", "support-bot", "order-agent", "code-assistant")
_WITH_GOLDEN = ("chat-assistant", "support-bot", "order-agent")


def _of(scenario: str, does: str, services: tuple[str, ...], **parameters: Parameter) -> Injector:
    return Injector(make=every()[scenario], page_of=scenario, does=does, services=services, parameters=parameters,
                    fixed={})  # fmt: skip


def _behind(make: Callable[[Draw], Scenario], does: str, **parameters: Parameter) -> Injector:
    return Injector(make=make, page_of="", does=does, services=SERVICES, parameters=parameters, fixed={})


def _part_of(scenario: str, fixed: Mapping[str, str | float], does: str, services: tuple[str, ...],
             **parameters: Parameter) -> Injector:  # fmt: skip
    return Injector(make=every()[scenario], page_of=scenario, does=does, services=services, parameters=parameters,
                    fixed=fixed)  # fmt: skip


def _providers() -> dict[str, Injector]:
    return {
        "outage": _of("S01", "The first provider answers with 5xx.", _WITH_FALLBACK,
                      onset_s=_SOON, minutes=_MINUTES, share=_share(0.05), status_lag_min=_LAG),
        "slow_model": _of("S03", "The first provider's large model takes long to begin its answers.", _WITH_FALLBACK,
                          onset_s=_SOON, minutes=_MINUTES, status_lag_min=_LAG,
                          factor=Parameter(unit=_FACTOR + " time to the first token", low=1.6, high=20)),
        "overload": _of("S02", "The first provider's large model is overloaded.", _WITH_FALLBACK, onset_s=_SOON,
                        minutes=_MINUTES, share=_share(0.1), status_lag_min=_LAG),
        "key_revoked": _of("S07", "The first provider refuses our key.", _WITH_FALLBACK, onset_s=_SOON,
                           minutes=_MINUTES, share=_share(0.15)),
        "model_gone": _of("S08", "The first provider has retired its large model's alias.", _WITH_FALLBACK,
                          onset_s=_SOON),
        "spend_limit": _of("S06", "The spend limit at the first provider is reached.", _WITH_FALLBACK, onset_s=_SOON,
                           minutes=_MINUTES),
        "capacity_cut": _of("S05", "The first provider lowers our limit and turns calls away.", _WITH_FALLBACK,
                            onset_s=_SOON, minutes=_MINUTES, share=_share(0.05, 0.95),
                            limit=Parameter(unit=_FACTOR + " limit", low=0.1, high=0.95), status_lag_min=_LAG),
        "ability_shift": _of("S14", "The model behind the alias got worse and does not say so.", _WITH_GOLDEN,
                             onset_s=Parameter(unit="seconds before the page", low=1800, high=43_200),
                             logits=Parameter(unit="logits of ability", low=0.2, high=3.0), share=_share(0.1)),
        "second_provider_outage": _behind(background.second_down, "The second provider answers with 5xx.",
                                          onset_s=_SOON, minutes=_MINUTES, share=_share(0.2)),
        "second_provider_spend_limit": _behind(background.second_broke, "The second provider refuses: spend limit.",
                                               onset_s=_LATER, minutes=_MINUTES),
    }  # fmt: skip


def _demand() -> dict[str, Injector]:
    return {
        "blip": _of("N33", "An outage of 45 seconds, over before anybody looks. Nothing to mend.", _WITH_FALLBACK,
                    onset_s=Parameter(unit="seconds before the page", low=100, high=900), share=_share(0.2)),
        "harmless_prompt": _behind(background.harmless_prompt, "A prompt was released; it is as good as before.",
                                   onset_s=_SOON),
        "campaign": _of("N34", "More users within capacity, and a harmless prompt was released.", ("chat-assistant",),
                        onset_s=_SOON, minutes=_MINUTES, factor=Parameter(unit=_FACTOR + " users", low=1.2, high=2.0)),
        "demand_surge": _of("N37", "A launch brings users; all are served.", ("code-assistant", "support-bot"),
                            onset_s=_SOON, minutes=Parameter(unit="minutes that it lasts", low=60, high=720),
                            factor=Parameter(unit=_FACTOR + " users", low=1.2, high=3.5)),
        "topic_mix": _of("N38", "More of the questions are hard, each answered as well as ever; a harmless prompt was "
                         "released.", ("chat-assistant", "support-bot"), onset_s=_SOON, minutes=_MINUTES,
                         hard=_share(0.25, 0.95, "the questions that are on the hard topic, usually 0.2"),
                         gap=Parameter(unit="how much more rarely its answers are good than others", low=0.05,
                                       high=0.3)),
        "overload_by_users": _of("F32", "More users than the gateway's workers can serve.",
                                 ("code-assistant", "support-bot"), onset_s=_SOON, minutes=_MINUTES,
                                 factor=Parameter(unit=_FACTOR + " users", low=1.8, high=3.5),
                                 queue_s=Parameter(unit="seconds of waiting", low=0.5, high=20),
                                 share=_share(0.0, 0.6)),
        "tenant_surge": _of("S04", "One tenant takes the token limit.", _WITH_FALLBACK, onset_s=_SOON,
                            minutes=_MINUTES, over=Parameter(unit="tokens against the limit", low=0.95, high=2.5),
                            batch_share=_share(0.0, 1.0, "its tokens that are batch work")),
        "job_surge": _of("G43", "A bulk job fills the queue of the picture generator.", ("image-generation",),
                         onset_s=_SOON, minutes=_MINUTES,
                         over=Parameter(unit="jobs against what the workers can do", low=0.5, high=3.0),
                         batch_share=_share(0.5, 1.0, "its jobs that are batch work")),
        "slow_moderation": _of("M41", "The small model is slow and moderation falls behind.", ("text-moderation",),
                               onset_s=_SOON, minutes=_MINUTES,
                               share=_share(0.2, 0.85, "the work that the workers still do")),
        "agent_loop": _of("S20", "A few runs of the agent never end.", ("order-agent",), onset_s=_LATER,
                          share=_share(0.0015, 0.004, "tasks")),
    }  # fmt: skip


def _gateway() -> dict[str, Injector]:
    return {
        "zone_dns": _of("S10", "Names do not resolve in one of two zones.", _WITH_FALLBACK, onset_s=_SOON,
                        minutes=_MINUTES, share=_share(0.1, 1.0, "the zone's requests")),
        "contract_break": _of("S09", "The gateway's new release sends a parameter that is refused.", _WITH_FALLBACK,
                              onset_s=_SOON, share=_share(0.05)),
        "worker_loss": _of("S11", "The gateway has two of its eight workers.", _WITH_FALLBACK, onset_s=_SOON,
                           queue_s=Parameter(unit="seconds of waiting", low=0.5, high=20), share=_share(0.0, 0.6)),
        "misrouting": _of("S12", "A new release lets the small model answer.", ("support-bot", "chat-assistant"),
                          onset_s=_LATER, share=_share(0.2)),
        "retry_storm": _of("S13", "An outage of 90 s is over, but the attempts go on.", _WITH_FALLBACK,
                           onset_s=Parameter(unit="seconds before the page", low=300, high=3000), minutes=_MINUTES,
                           factor=Parameter(unit=_FACTOR + " attempts", low=2.5, high=20)),
        "stream_cut": _of("T33", "A proxy of the new release ends long streams in the middle.", _WITH_FALLBACK,
                          onset_s=_SOON, share=_share(0.1),
                          after=Parameter(unit="tokens after which it cuts", low=10, high=150)),
        "dependency_crash": _of("D43", "An image without its lock file: calls end in an exception of ours.",
                                _WITH_GOLDEN, onset_s=_SOON, share=_share(0.05),
                                package=Parameter(unit="", options=tuple(sorted(BROKEN)))),
        "bad_package": _part_of("F35", {"what": "package"}, "A package of the gateway reads its secrets.",
                                _WITH_GOLDEN, onset_s=_LATER,
                                version=Parameter(unit="", options=("1.82.7", "1.82.8", LOCKED["litellm"]))),
        "stolen_key": _part_of("F35", {"what": "key"}, "A key of ours is used by somebody else.", _WITH_GOLDEN,
                               onset_s=_LATER, per_minute=Parameter(unit="requests a minute", low=60, high=5000)),
        "cache_loose": _of("S24", "The answer cache takes unlike questions for alike.",
                           ("chat-assistant", "support-bot"), onset_s=_LATER, share=_share(0.08, 0.8, "answers")),
    }  # fmt: skip


def _answers() -> dict[str, Injector]:
    return {
        "prompt": _of("S15", "A new prompt version is worse; {{tone}} stays unfilled in half.", _WITH_GOLDEN,
                      onset_s=_LATER, logits=Parameter(unit="logits of ability", low=0.3, high=3.0)),
        "answer_limit": _of("S16", "The limit on answers was lowered.",
                            ("chat-assistant", "support-bot", "code-assistant"), onset_s=_LATER,
                            limit=Parameter(unit="tokens", low=32, high=320)),
        "context_growth": _of("S17", "Every request carries a longer history.", _WITH_GOLDEN, onset_s=_LATER,
                              factor=Parameter(unit=_FACTOR + " prompt tokens", low=2.0, high=8.0),
                              lost=_share(0.08, 0.7, "answers that lack what was cut"), share=_share(0.0, 0.3)),
        "loose_schema": _of("S18", "Strict mode for structured answers is off.", ("order-agent", "support-bot"),
                            onset_s=_LATER, share=_share(0.05, 0.8, "structured answers")),
        "cold_prefix": _of("T29", "A prompt begins with the time: nothing of it is cached.",
                           ("chat-assistant", "support-bot"), onset_s=_LATER,
                           factor=Parameter(unit=_FACTOR + " time to the first token", low=1.6, high=4.0),
                           left=_share(0.0, 0.5, "cached tokens that are left")),
        "dear_model": _of("U44", "One feature goes to a model of another price; answers are as good.",
                          ("chat-assistant", "support-bot", "code-assistant"), onset_s=_LATER,
                          factor=Parameter(unit=_FACTOR + " price", low=4, high=30)),
        "ungrounded": _of("U42", "The route answers when it has found no source.", ("support-bot",), onset_s=_LATER,
                          share=_share(0.3, 1.0, "such questions")),
        "guard_strict": _of("S23", "The guardrail blocks harmless requests.", ("chat-assistant", "support-bot"),
                            onset_s=_LATER, share=_share(0.05, 0.9)),
        "guard_slow": _of("F27", "The guardrail times out and fails open.", ("chat-assistant", "support-bot"),
                          onset_s=_LATER, share=_share(0.1)),
        "judge_change": _of("N35", "The judge was changed; users notice nothing.",
                            ("chat-assistant", "support-bot", "code-assistant"), onset_s=_LATER,
                            score=Parameter(unit="lower score", low=0.08, high=0.5),
                            agreement=Parameter(unit="lower agreement with people", low=0.06, high=0.6)),
        "metrics_gap": _of("N36", "The service's metrics no longer arrive.", _WITH_GOLDEN,
                           onset_s=Parameter(unit="seconds before the page", low=360, high=7200)),
    }  # fmt: skip


def _knowledge() -> dict[str, Injector]:
    rag, agent, code = ("support-bot",), ("order-agent",), ("code-assistant",)
    return {
        "ingestion_stall": _of("S22", "Ingestion has stood still.", rag,
                               hours=Parameter(unit="hours before the page", low=4, high=240)),
        "vector_store": _of("F22", "The vector store fails or crawls.", rag, onset_s=_LATER, minutes=_MINUTES,
                            share=_share(0.2, 1.0, "searches"),
                            wait_s=Parameter(unit="seconds of waiting", low=0.1, high=10)),
        "search_settings": _of("F24", "The search was set wrongly.", rag, onset_s=_LATER,
                               what=Parameter(unit="", options=("top_k", "ef_search", "filter")),
                               top_k=Parameter(unit="documents", low=1, high=4),
                               ef_search=Parameter(unit="candidates", low=4, high=40)),
        "embedder_swap": _of("S21", "Questions are embedded by another model.", rag, onset_s=_LATER,
                             share=_share(0.2, 1.0, "servers")),
        "poison": _of("F25", "Documents in the index give the model orders.", rag, onset_s=_LATER,
                      count=Parameter(unit="documents", low=2, high=40)),
        "tool_down": _of("S19", "The order tool is down and the agent makes answers up.", agent, onset_s=_LATER,
                         minutes=_MINUTES, share=_share(0.4, 1.0, "calls"),
                         fabricate=_share(0.1, 1.0, "answers made up"), again=_share(0.0, 2.0, "calls made again")),
        "tool_drift": _of("F19", "The order tool's arguments changed.", agent, onset_s=_LATER,
                          wrong=_share(0.1, 1.0, "answers that are wrong"),
                          again=_share(0.0, 2.0, "calls made again")),
        "unapproved": _of("U43", "The agent cancels and refunds without asking.", agent, onset_s=_LATER,
                          share=_share(0.2, 1.0, "such changes"),
                          more=Parameter(unit="further such changes against the usual", low=0.1, high=10)),
        "engine_full": _of("F30", "The company's own engine is full.", code, onset_s=_SOON,
                           how=Parameter(unit="", options=("longer", "taken")),
                           wait_s=Parameter(unit="seconds of waiting", low=0.8, high=30), share=_share(0.0, 0.5)),
        "engine_replica": _of("F31", "One replica of the engine is sick.", code, onset_s=_SOON,
                              how=Parameter(unit="", options=("fails", "garbage", "crashes")),
                              replica=Parameter(unit="number", low=0, high=USUAL_REPLICAS - 0.01),
                              share=_share(0.3, 1.0, "its requests")),
    }  # fmt: skip


@lru_cache(maxsize=1)
def injectors() -> Mapping[str, Injector]:
    """All of them by name."""
    return {**_providers(), **_demand(), **_gateway(), **_answers(), **_knowledge()}


def table() -> str:
    """All injectors as a Markdown table, a line for each parameter."""
    lines = ["| Injector | What it does | Services | Parameter | Unit | Allowed | Drawn from, when not given |",
             "|---|---|---|---|---|---|---|"]  # fmt: skip
    for name, one in injectors().items():
        services = "any" if one.services == SERVICES else ", ".join(one.services)
        head = f"`{name}` | {one.does} | {services}"
        for parameter, what in one.parameters.items():
            lines.append(f"| {head} | `{parameter}` | {what.unit} | {what.allowed} | {one.usual(parameter)} |")
            head = " | | "
    return "\n".join(lines) + "\n"


def listed() -> list[dict[str, object]]:
    """The same as data."""
    return [
        {"injector": name, "does": one.does, "services": list(one.services), "alone": bool(one.page_of),
         "parameters": [{"name": key, "unit": what.unit, "allowed": what.allowed, "usual": one.usual(key)}
                        for key, what in one.parameters.items()]}
        for name, one in injectors().items()
    ]  # fmt: skip


def serves(one: Injector, service: str) -> bool:
    """Whether a service can be paged for it. A harmless prompt needs a service that has one."""
    return service in one.services and (one.make is not background.harmless_prompt or bool(BY_NAME[service].prompt))


@lru_cache(maxsize=1)
def _known() -> tuple[tuple[str, ...], tuple[str, ...]]:
    modes: set[str] = set()
    acts: set[str] = set(HARMLESS)
    for make in every().values():
        one = make(Draw("known", 1, 0.0))
        modes |= set(one.truth)
        acts |= {action for action, _ in one.good} | set(one.tempting)
    return tuple(sorted(modes)), tuple(sorted(acts))


def known_modes() -> tuple[str, ...]:
    """Failure modes that some scenario has."""
    return _known()[0]


def known_actions() -> tuple[str, ...]:
    """Actions that are good or tempting in some scenario."""
    return _known()[1]
