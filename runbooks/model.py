"""What a runbook is, and what an action is. No I/O here."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from config.catalogue import Catalogue, Risk, Service
from config.clock import Clock
from config.http import Http

# --- The document ------------------------------------------------------------------------------------------------


class RunbookError(Exception):
    """Base of everything that can be wrong with a runbook."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that lint found: where, what stands there, what was expected."""

    file: str
    line: int
    column: int
    rule: str
    """Short stable name, such as ``unknown-probe``."""
    message: str
    severity: Literal["error", "warning", "hint"] = "error"
    """``error``: this file is not used (its last good version is). ``hint``: what the file could earn next."""
    suggestion: str = ""

    def __str__(self) -> str:
        hint = f" ({self.suggestion})" if self.suggestion else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}{hint} [{self.rule}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A heading and the prose below it. Citable as ``runbook#anchor``."""

    anchor: str
    title: str
    level: int
    prose: str
    """Markdown without the probe and action blocks."""
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyStep:
    """``verify: gateway_canary is ok within 5m``."""

    probe: str
    outcome: str
    within_s: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeStep:
    """A probe block: its name and parameters as written (``$service.x`` not yet resolved)."""

    probe: str
    params: Mapping[str, Any]
    section: str
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionStep:
    """An action block: its name, parameters as written, and how its success is checked."""

    action: str
    params: Mapping[str, Any]
    section: str
    title: str
    """Title of the section it stands in, without its number."""
    prose: str
    """Why, what users will see, what it costs: quoted on the card with its reference."""
    verify: VerifyStep | None
    lease_s: int | None
    min_risk: Risk | None
    """A runbook can only make the risk stricter."""
    line: int
    unverified: str = ""
    """Why no probe can show that it helped; empty: ``verify`` says which does, or nobody has thought of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NotPage:
    """A page that looks alike and belongs to another runbook."""

    text: str
    belongs_to: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a runbook comes from: which library, which file of it, and of a repository which commit."""

    library: str
    """What the library is called; ``built-in`` for our own."""
    file: str
    """Path below the library's folder or, of a repository, below its top; with forward slashes."""
    commit: str = ""
    """Id of the commit that the text is from; empty for a folder, where the text's own hash tells."""
    source: str = ""
    """Address of the repository."""
    link: str = ""
    """Where people read the file as it was at that commit; empty if that is not known."""
    team: str = ""
    """The team whose own library it is; empty: it is for everybody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Runbook:
    """A parsed runbook. Without front matter it has an id from its file name, is quoted, and never executed."""

    id: str
    title: str
    owner: str
    path: str
    revision: str
    """SHA-256 of the file's bytes: which text an incident was answered with."""
    executable: bool
    sections: tuple[Section, ...]
    severity: str = ""
    services: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ()
    """Service kinds the failure can happen to; empty: all."""
    reviewed: date | None = None
    review_every_days: int | None = None
    drill: str = ""
    """The drill that exercises it; empty: the one that is called as it is, if there is one."""
    pages: tuple[str, ...] = ()
    not_pages: tuple[NotPage, ...] = ()
    reports: tuple[str, ...] = ()
    """How people tell of it at length: searched and learned from as pages are, too vague to be told apart alone."""
    evidence: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Probe name -> outcome -> evidence word."""
    probes: tuple[ProbeStep, ...] = ()
    actions: tuple[ActionStep, ...] = ()
    """In the order of the document: in order of risk."""
    origin: Origin | None = None
    """None for a file that is read by itself, outside of any library."""

    def section(self, anchor: str) -> Section | None:
        return next((s for s in self.sections if s.anchor == anchor), None)


class ProbeSignature(Protocol):
    """What lint must know of a probe; ``diagnostics.model.ProbeSpec`` satisfies it."""

    @property
    def name(self) -> str: ...
    @property
    def outcomes(self) -> Mapping[str, Any]: ...
    @property
    def params(self) -> type[BaseModel]: ...


# --- The action --------------------------------------------------------------------------------------------------


class EffectClass(enum.StrEnum):
    """What a crash between sending and recording means."""

    CONVERGE = "converge"
    """Set to X, expecting Y: running it again changes nothing."""
    KEYED = "keyed"
    """The target honours an idempotency key."""
    UNSAFE_ONCE = "unsafe_once"
    """Never sent twice: an unrecorded send becomes ``unknown``, for a human."""
    MANUAL = "manual"
    """A person does it and presses Done."""


class ActionParams(BaseModel):
    """Base of every action's parameters: typed, frozen, and nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AP = TypeVar("AP", bound=ActionParams, contravariant=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionSpec:
    """What an action is. What it does is elsewhere."""

    id: str
    """Number in the action table, such as ``A20``; ``http:NAME`` for a declared one."""
    name: str
    """Name in runbooks, such as ``shift_traffic``."""
    title: str
    risk: Risk
    effect: EffectClass
    params: type[ActionParams]
    blast_radius: str
    """Who notices, in one sentence."""
    reversible: bool = True
    leasable: bool = False
    """Whether it can be reverted by itself after a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Precondition:
    """Something that must hold, checked when drafting and again right before the effect."""

    text: str
    ok: bool
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DiffLine:
    """One value that will change, as a person reads it."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A dry run against the real target: what is there now, and exactly what would become of it."""

    action: str
    params: Mapping[str, Any]
    """Fully resolved: plain JSON, no ``previous`` or ``top`` left in it."""
    target: str
    """What it is done to, such as ``llm-gateway/routes/chat``: one change in flight for each."""
    pre_state: Mapping[str, Any]
    """What was observed there; the effect is refused if it is no longer so."""
    post_state: Mapping[str, Any]
    """What it will be set to; a revert expects this."""
    diff: tuple[DiffLine, ...]
    undo: str
    """How it is undone, in one sentence; for an irreversible action, that it is not."""
    preconditions: tuple[Precondition, ...] = ()
    instructions: str = ""
    """For a manual action: the exact command or link; for a declared one: the requests as they will be sent."""

    @property
    def changes_nothing(self) -> bool:
        """The target is already as wanted."""
        return self.pre_state == self.post_state

    @property
    def blocked_by(self) -> tuple[Precondition, ...]:
        return tuple(p for p in self.preconditions if not p.ok)


class EffectStatus(enum.StrEnum):
    """How an attempt to change the world ended."""

    DONE = "done"
    CONFLICT = "conflict"
    """The target is not as it was when the plan was approved; nothing was changed."""
    FAILED = "failed"
    """Surely nothing happened."""
    UNKNOWN = "unknown"
    """It may have happened; for a human."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EffectResult:
    """What came of an ``apply`` or a ``revert``."""

    status: EffectStatus
    detail: str
    observed: Mapping[str, Any] = field(default_factory=dict)
    """The target as read back afterwards."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Approval:
    """The value that ``apply`` and ``revert`` demand: only the policy issues it, and the store spends it once."""

    proposal_id: str
    plan_hash: str
    approved_by: tuple[str, ...]
    approved_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionContext:
    """All that an action may use."""

    service: Service
    catalogue: Catalogue
    http: Http
    clock: Clock


class Action(Protocol[AP]):
    """One typed mitigation."""

    spec: ActionSpec

    async def draft(self, context: ActionContext, params: AP) -> Draft:
        """Read the target and say exactly what would change. Raises :class:`ActionError` if it cannot be read."""
        ...

    async def apply(self, context: ActionContext, draft: Draft, approval: Approval) -> EffectResult:
        """Compare with ``draft.pre_state`` and set. At most one effect; never retries by itself."""
        ...

    async def revert(self, context: ActionContext, draft: Draft, approval: Approval) -> EffectResult:
        """Compare with ``draft.post_state`` and set back to ``draft.pre_state``."""
        ...

    async def observe(self, context: ActionContext, draft: Draft) -> Mapping[str, Any]:
        """Read the target again, in the shape of ``pre_state``: settles what a crash left open."""
        ...


class ActionError(Exception):
    """A draft cannot be made: what, where and what to do."""


AnyAction = Action[Any]
ActionRegistry = Mapping[str, AnyAction]
"""Action name -> action, in the order of the action table."""


class Library(Protocol):
    """The runbooks in use: the last good version of each."""

    def all(self) -> Sequence[Runbook]:
        """In order of id; several may share one, for different services."""
        ...

    def get(self, runbook_id: str) -> Runbook | None:
        """The runbook of this id; of several the one for everybody."""
        ...

    def for_service(self, service: Service) -> Mapping[str, Runbook]:
        """Id -> runbook, for all that apply to this service."""
        ...
