"""What a probe is, what it found, and what follows from it. No I/O here."""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from config.catalogue import Catalogue, Service
from config.clock import Clock
from config.http import Http


class Verdict(enum.StrEnum):
    """What an outcome says about health. Absence of data is never ``normal``."""

    NORMAL = "normal"
    ABNORMAL = "abnormal"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not_run"
    ERROR = "error"


class Weight(enum.StrEnum):
    """How an outcome speaks for a cause: the closed list of evidence words that runbooks use."""

    USUAL = "usual"
    WEAKLY_FOR = "weakly_for"
    NEUTRAL = "neutral"
    AGAINST = "against"
    RULES_OUT = "rules_out"


class Tier(enum.IntEnum):
    """The order of asking: what is free first, what costs most last and only with a reason."""

    FREE = 0
    CANARY = 1
    QUALITY = 2
    GOLDEN = 3


class Params(BaseModel):
    """Base of every probe's parameters: typed, frozen, and nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NoParams(Params):
    """A probe that needs only the service it looks at."""


P = TypeVar("P", bound=Params, contravariant=True)

INCONCLUSIVE = "inconclusive"
"""Every probe may answer this; it is in no probe's own list and speaks for no cause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeSpec:
    """What a probe is: its names, its closed list of outcomes, what it costs. What it does is elsewhere."""

    id: str
    """Number in the probe table, such as ``P01``."""
    name: str
    """Name in runbooks, such as ``provider_canary``."""
    title: str
    """One line for the card, such as ``Canary straight to the provider``."""
    outcomes: Mapping[str, Verdict]
    """Outcome word -> what it says about health. The first ``normal`` word is what a healthy service shows."""
    params: type[Params] = NoParams
    unit: str = ""
    """Unit of the number a reading carries, such as ``s`` or ``share``."""
    tier: Tier = Tier.FREE
    expected_s: float = 2.0
    timeout_s: float = 10.0
    expected_tokens: int = 0
    """Tokens it spends with its default parameters; what a call will spend the runner works out from this, its ``n``
    and what was recorded. Anything above 0 counts against the canary budget and is never repeated after a crash."""
    applies: tuple[str, ...] = ()
    """Fields of the service that must be set for it to make sense, such as ``gateway``; otherwise it is ``not_run``."""

    @property
    def normal(self) -> str:
        """The outcome of a healthy service."""
        return next(word for word, verdict in self.outcomes.items() if verdict is Verdict.NORMAL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Something that was really received: kept whole up to a limit, addressed by id, and quoted only from here."""

    source: str
    """What it was read from, such as ``GET acme-openai /v1/models`` or a PromQL query."""
    excerpt: str
    """At most 2,000 characters, secrets removed. Untrusted: shown as text, never interpreted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a probe hands back. ``outcome`` is a word of its spec, or ``inconclusive``."""

    outcome: str
    summary: str
    """One plain sentence with the number that decided it; no cause, no advice."""
    value: float | None = None
    baseline: float | None = None
    n: int = 0
    baseline_n: int = 0
    test: str = ""
    """Name of the statistical test or rule, such as ``Fisher exact, one-sided``; empty for a deterministic reading."""
    p_value: float | None = None
    interval: tuple[float, float] | None = None
    power: float | None = None
    """Chance that this test would have shown the smallest effect of interest, 0 to 1."""
    looks_back_s: float = 0.0
    """How far back what decided it reaches; 0 where it was measured when it was asked, or in the last moments."""
    tokens: int = 0
    usd: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further plain JSON facts, such as ``{"model": "gpt-4o", "change_id": "c12"}``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A reading as a fact of an incident: which probe, when, on what, and its evidence id."""

    id: str
    """Evidence id, unique in the installation, such as ``ev-3f9a2c41``: what every statement cites."""
    probe: str
    service: str
    params: Mapping[str, Any]
    outcome: str
    verdict: Verdict
    reading: Reading
    started_at: datetime
    elapsed_s: float
    round: int = 0
    """0 before a mitigation; n when read again to verify the n-th."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One recorded baseline value."""

    at: datetime
    value: float


class Baselines(Protocol):
    """Recorded normal behaviour, incidents excluded, frozen at the start of the incident."""

    def samples(self, service: str, series: str, *, before: datetime, limit: int = 500) -> Sequence[Sample]:
        """Newest last. Empty on a cold start. ``series`` is such as ``provider_canary.ttft_s`` or
        ``golden.pass:support-v12``."""
        ...

    def document(self, service: str, key: str, *, before: datetime) -> Any | None:
        """The newest recorded structure, such as the embeddings of fixed sentences; None if there is none."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Something somebody changed, as told to ``POST /changes``."""

    id: str
    at: datetime
    kind: str
    """deploy, prompt, model, config, index, tool, secret, guardrail, dependency, gateway, network or other."""
    service: str
    summary: str
    """Untrusted text."""
    before: str = ""
    after: str = ""
    actor: str = ""


class Changes(Protocol):
    """The change log."""

    def between(self, service: str, start: datetime, end: datetime) -> Sequence[Change]:
        """Changes of the service or of all services (``service == "*"``), oldest first."""
        ...


class TextEmbedder(Protocol):
    """Text to unit vectors on this machine. Slow on first use; safe to call from another thread."""

    @property
    def name(self) -> str:
        """Equal names mean comparable vectors."""
        ...

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One vector for each text."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeContext:
    """All that a probe may use."""

    service: Service
    catalogue: Catalogue
    http: Http
    clock: Clock
    baselines: Baselines
    changes: Changes
    started_at: datetime
    """When the incident began, as well as known; baselines end here."""
    golden_root: str = ""
    """Folder that relative golden set paths are resolved against."""
    embedder: TextEmbedder | None = None
    """None: golden checks by similarity are not judged."""
    more_tokens: Callable[[int], bool] | None = None
    """Sets further tokens of the incident's budget aside for this call; False if they are not there. None: nothing
    beyond what the call was expected to spend."""


class Probe(Protocol[P]):
    """One diagnostic read. It may raise; the runner turns that into an ``error`` finding."""

    spec: ProbeSpec

    async def run(self, context: ProbeContext, params: P) -> Reading:
        """Look, and report. Never changes anything; POSTs only canaries."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeCall:
    """A probe to run, with parameters resolved and checked."""

    probe: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mode:
    """A failure mode as the differential sees it: what each probe shows if this is the cause."""

    id: str
    title: str
    evidence: Mapping[str, Mapping[str, Weight]]
    """Probe name -> outcome word -> weight."""
    kinds: tuple[str, ...] = ()
    """Service kinds it can happen to; empty: all."""


NO_FAULT = "no-fault"
OTHER = "other"
"""A cause that no mode describes: it keeps the posterior honest, and wins when nothing explains the findings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """Why a finding moved a hypothesis: one line of its explanation."""

    finding_id: str
    probe: str
    outcome: str
    weight: Weight
    bits: float
    """Base-2 log likelihood ratio against the average of the others; negative speaks against."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """A cause with its posterior probability and the arguments for and against, strongest first."""

    mode: str
    title: str
    probability: float
    arguments: tuple[Argument, ...] = ()


Conclusion = Literal["cause", "no_fault", "inconclusive"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NextProbe:
    """What would change the answer most: expected information of one more probe."""

    probe: str
    bits: float
    bits_per_cost: float
    changes: float = 0.0
    """Chance, 0 to 1, that its reading changes which cause is called, or whether one can be called at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """What the findings say together."""

    conclusion: Conclusion
    ranked: tuple[Hypothesis, ...]
    """All hypotheses, most probable first."""
    causes: tuple[str, ...] = ()
    """Smallest set of modes that explains every abnormal finding; empty unless the conclusion is ``cause``."""
    residual: tuple[str, ...] = ()
    """Ids of abnormal findings that the leader does not explain."""
    next_probes: tuple[NextProbe, ...] = ()
    reason: str = ""
    """Why it stopped here: ``sure``, ``nothing informative left``, ``deadline``, or why it cannot tell."""

    @property
    def leader(self) -> Hypothesis:
        return self.ranked[0]


AnyProbe = Probe[Any]
ProbeRegistry = Mapping[str, AnyProbe]
"""Probe name -> probe, in the order of the probe table."""


class Runner(Protocol):
    """Runs probes in parallel, each under its own deadline and the incident's budget."""

    async def run(self, calls: Sequence[ProbeCall], context: ProbeContext, *, round: int = 0) -> Sequence[Finding]:  # noqa: A002
        """One finding for each call, in order; never raises for a probe that failed."""
        ...
