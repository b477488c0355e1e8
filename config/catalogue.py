"""The catalogue: what exists and who owns it. Read from YAML once, validated whole, frozen.

Everything that a probe or an action can touch has a name here; text from outside can pick nothing that is not.
"""

import difflib
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Literal, TypeVar

from pydantic import Field, model_validator

from config.incident_channel import IncidentChannel
from config.library import TeamLibrary
from config.policy import Approvers, BreakGlass, Declared, Name, Policy, Risk, Rule

__all__ = [
    "Approvers", "BreakGlass", "Catalogue", "Declared", "Engine", "Gateway", "Index", "Link", "Name", "Policy",
    "PromptStore", "Provider", "ProviderApi", "Risk", "Rule", "Service", "ServiceKind", "StatusPage", "Target", "Team",
    "Tool",
]  # fmt: skip
ServiceKind = Literal[
    "chat", "rag", "agent", "code", "moderation-text", "moderation-voice", "generation-image", "generation-material"
]
ProviderApi = Literal["openai", "anthropic"]


T = TypeVar(
    "T", "Target", "Provider", "Gateway", "PromptStore", "Index", "Tool", "Guardrail", "Engine", "Judge", "Team",
    "Service",
)  # fmt: skip


class Target(Declared):
    """A named HTTP endpoint: the only thing requests can be sent to."""

    name: Name
    base_url: str = Field(pattern=r"^https?://")
    allow_http: bool = False
    allow_private: tuple[str, ...] = ()
    """Networks (CIDR) that this target may resolve to although they are not public, such as 127.0.0.0/8."""
    canary_paths: tuple[str, ...] = ()
    """The paths that probes may POST to."""
    auth_header: str = "authorization"
    auth_prefix: str = ""
    auth_env: str = ""
    """Environment variable with the credential, sent as ``auth_header: auth_prefix + value``; empty: none is sent."""
    ca_file: str = ""


class StatusPage(Declared):
    """Where a vendor tells how it is. ``component`` and ``models`` are matched, never the page's overall indicator."""

    target: Name
    shape: Literal["atlassian", "incidentio"] = "atlassian"
    component: str


class Provider(Declared):
    """A model API, as one region and one key reach it."""

    name: Name
    api: ProviderApi
    target: Name
    region: str = "default"
    models: tuple[str, ...]
    status: StatusPage | None = None
    tokens_per_minute: int = 0
    """Configured limit; 0: unknown. A reported limit below it is a sign of reduced capacity."""
    usd_per_1k_input: float = 0.0
    usd_per_1k_output: float = 0.0


class Gateway(Declared):
    """The LLM gateway in front of the providers: data path and admin API."""

    name: Name
    kind: Literal["litellm", "mlflow", "generic"] = "litellm"
    api: ProviderApi = "openai"
    target: Name
    admin: Name
    metrics: Name | None = None


class PromptStore(Declared):
    """A registry of prompt versions with a movable alias."""

    name: Name
    kind: Literal["mlflow", "generic"] = "generic"
    admin: Name
    alias: str = "production"


class Index(Declared):
    """A retrieval index and the ingestion that feeds it."""

    name: Name
    admin: Name
    freshness_slo_s: int = 3600
    search: Name | None = None
    """Target of the retrieval service, asked the way production asks: ``POST /NAME/query`` and ``POST /NAME/embed``."""
    canaries: str = ""
    """Path of its known questions with the documents that must be found, relative to the catalogue file."""
    grounding: str = ""
    """Path of questions whose answers must name their document or be refused, relative to the catalogue file."""


class Tool(Declared):
    """A tool that an agent calls."""

    name: Name
    target: Name
    ping: str = Field(default="/health", pattern=r"^/")
    """Read to see whether it lives."""
    schema_path: str = Field(default="/schema", pattern=r"^/")
    """Read for its definition, as agents are given it."""
    schema_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """The definition's hash, keys sorted; empty: what was last recorded on a healthy day is compared with."""
    audit: str = Field(default="", pattern=r"^(/.*)?$")
    """Where the tool tells what agents have done with it and who had approved; empty: it keeps no audit."""
    needs_approval: tuple[str, ...] = ()
    """What agents may do with it only after a person's approval, besides what the audit itself calls destructive."""


class Guardrail(Declared):
    """What checks requests and answers, as the gateway applies it."""

    name: Name
    canaries: str = ""
    """Path of texts that must pass and test strings that must be blocked, relative to the catalogue file."""


class Engine(Declared):
    """An inference engine that the company runs itself: replicas of one model, with vLLM's metrics."""

    name: Name
    model: str
    metrics: Name
    """Target of the Prometheus that scrapes its replicas."""
    job: str = Field(pattern=r"^[A-Za-z0-9_.:/-]{1,80}$")
    """The ``job`` label on everything that is scraped from them."""
    replica_label: str = Field(default="instance", pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,60}$")
    """The label that tells one replica from another, such as ``pod``."""
    admin: Name | None = None
    """Target of the API by which replicas are drained and added; None: people do that by hand."""


class Judge(Declared):
    """A model that judges answers by a rubric, and the labels of people that show whether it can."""

    name: Name
    provider: Name
    model: str
    labels: str
    """Path of its frozen labels, relative to the catalogue file."""


class Link(Declared):
    """A page for people: a dashboard, a console, an owner's document."""

    title: str
    url: str = Field(pattern=r"^https?://")


class Service(Declared):
    """One LLM application in one environment."""

    name: Name
    title: str = ""
    kind: ServiceKind
    environment: str = "production"
    team: Name
    mode: Literal["observe", "act"] = "observe"
    tags: tuple[Name, ...] = ()
    pagerduty_services: tuple[str, ...] = ()
    """PagerDuty service ids whose pages are about this service."""
    provider: Name
    model: str
    fallback_provider: Name | None = None
    fallback_model: str | None = None
    residency: str = "any"
    gateway: Name | None = None
    route: str = "default"
    prompts: Name | None = None
    prompt: str = ""
    index: Name | None = None
    tools: tuple[Name, ...] = ()
    guardrail: Name | None = None
    engine: Name | None = None
    """The self-hosted engine that its calls pass, behind the gateway."""
    response_cache: bool = False
    """Whether its gateway may answer from a cache of earlier answers."""
    prometheus: Name | None = None
    selector: str = ""
    """Value of the ``service`` label on this service's metrics; empty: its name."""
    golden_set: str = ""
    """Path of its golden set, relative to the catalogue file."""
    judge: Name | None = None
    """Judges the rubric checks of the golden set; none: they are not judged."""
    dashboards: tuple[Link, ...] = ()
    error_slo: float = 0.01
    latency_slo_s: float = 5.0
    incident_channel: IncidentChannel | None = None
    """Instead of its team's."""


class Updates(Declared):
    """How stakeholders of a team's incidents are kept up to date: Pagerunner reminds and drafts, people send."""

    every_min: int = Field(ge=5, le=1_440)
    """Minutes after which the next update is due."""
    channel: str = ""
    """Slack channel that gets each update; empty: none does."""
    to_pagerduty: bool = True
    """Whether each update is also published as PagerDuty's status update."""
    priorities: tuple[str, ...] = ()
    """Only incidents with one of these PagerDuty priorities; empty: every incident."""
    readers: Literal["company", "public"] = "company"
    """How much a draft may tell: for ``company`` services and causes by name, for ``public`` neither."""

    @model_validator(mode="after")
    def _goes_somewhere(self) -> "Updates":
        if not self.channel and not self.to_pagerduty:
            raise ValueError("updates go nowhere: name a channel, or leave to_pagerduty on")
        return self


class Team(Declared):
    """Owners of services: where their incidents are shown and who answers."""

    name: Name
    title: str = ""
    slack_channel: str
    slack_team: str = Field(default="", pattern=r"^(T[A-Z0-9]{2,20})?$")
    """Workspace of its channel and its people, where there are several; empty: that of the settings."""
    pagerduty_escalation_policy: str = ""
    incident_channel: IncidentChannel | None = None
    """A channel for each incident; None: a thread in ``slack_channel``."""
    github_repository: str = Field(default="", pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$")
    """Repository in which follow-ups of the team's incidents become issues, as ``owner/name``; empty: they do not."""
    runbooks: TeamLibrary = ""
    """The team's own runbooks: a folder, relative to the catalogue file, or a Git repository; empty: none."""
    tell_authors: bool = True
    """Whether those who keep the team's runbooks hear in Slack how they fared."""
    approvers: Approvers = Approvers()
    updates: Updates | None = None
    """How stakeholders are kept up to date; none: nobody is reminded, and updates go to PagerDuty alone."""


class ModelPrice(Declared):
    """What a model costs, in US dollars for a thousand tokens."""

    usd_per_1k_input: float = Field(ge=0.0)
    usd_per_1k_output: float = Field(ge=0.0)


class Prices(Declared):
    """A price list: by the names that the metrics call models by. Prices change, so it says of what day it is."""

    as_of: date
    models: Mapping[str, ModelPrice] = Field(min_length=1)


class Catalogue(Declared):
    """All of it, with every reference checked."""

    targets: tuple[Target, ...] = ()
    providers: tuple[Provider, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    prompt_stores: tuple[PromptStore, ...] = ()
    indexes: tuple[Index, ...] = ()
    tools: tuple[Tool, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    engines: tuple[Engine, ...] = ()
    judges: tuple[Judge, ...] = ()
    teams: tuple[Team, ...]
    services: tuple[Service, ...]
    policy: Policy = Policy()
    prices: Prices | None = None
    """Needed only where the gateway does not count money itself."""
    fallback_channel: str
    """Slack channel for pages about a service that is not in the catalogue."""

    def target(self, name: str) -> Target | None:
        return _named(self.targets, name)

    def provider(self, name: str) -> Provider | None:
        return _named(self.providers, name)

    def gateway(self, name: str) -> Gateway | None:
        return _named(self.gateways, name)

    def prompt_store(self, name: str) -> PromptStore | None:
        return _named(self.prompt_stores, name)

    def index(self, name: str) -> Index | None:
        return _named(self.indexes, name)

    def tool(self, name: str) -> Tool | None:
        return _named(self.tools, name)

    def guardrail(self, name: str) -> Guardrail | None:
        return _named(self.guardrails, name)

    def engine(self, name: str) -> Engine | None:
        return _named(self.engines, name)

    def judge(self, name: str) -> Judge | None:
        return _named(self.judges, name)

    def team(self, name: str) -> Team | None:
        return _named(self.teams, name)

    def service(self, name: str) -> Service | None:
        return _named(self.services, name)

    def service_of_pagerduty(self, service_id: str) -> Service | None:
        """The service that pages from this PagerDuty service are about."""
        return next((s for s in self.services if service_id in s.pagerduty_services), None)

    def incident_channel(self, service: Service) -> IncidentChannel | None:
        """How an incident of this service gets a channel of its own; None: it does not."""
        team = self.team(service.team)
        chosen = service.incident_channel or (team.incident_channel if team else None)
        return chosen if chosen is not None and chosen.enabled else None

    @model_validator(mode="after")
    def _references_resolve(self) -> "Catalogue":
        problems = [*_duplicates(self), *_dangling(self), *_without_policy(self)]
        if problems:
            raise ValueError("\n".join(problems))
        return self


def _named(things: Iterable[T], name: str) -> T | None:
    return next((thing for thing in things if thing.name == name), None)


_KINDS = (
    "targets", "providers", "gateways", "prompt_stores", "indexes", "tools", "guardrails", "engines", "judges",
    "teams", "services",
)  # fmt: skip


def _duplicates(catalogue: Catalogue) -> list[str]:
    problems = []
    for kind in _KINDS:
        names = [thing.name for thing in getattr(catalogue, kind)]
        problems += [f"{kind}: {name!r} is declared twice" for name in sorted({n for n in names if names.count(n) > 1})]
    claimed: dict[str, str] = {}
    for service in catalogue.services:
        for pagerduty_id in service.pagerduty_services:
            other = claimed.setdefault(pagerduty_id, service.name)
            if other != service.name:
                problems.append(
                    f"services: PagerDuty service {pagerduty_id} is claimed by {other!r} and {service.name!r}"
                )
    return problems


def _dangling(catalogue: Catalogue) -> list[str]:
    """Every reference that names nothing, with the nearest name that exists."""
    known = {kind: [thing.name for thing in getattr(catalogue, kind)] for kind in _KINDS}
    references: list[tuple[str, str, str | None]] = []
    for provider in catalogue.providers:
        references.append((f"providers.{provider.name}.target", "targets", provider.target))
        if provider.status:
            references.append((f"providers.{provider.name}.status.target", "targets", provider.status.target))
    for gateway in catalogue.gateways:
        for key in ("target", "admin", "metrics"):
            references.append((f"gateways.{gateway.name}.{key}", "targets", getattr(gateway, key)))
    for store in catalogue.prompt_stores:
        references.append((f"prompt_stores.{store.name}.admin", "targets", store.admin))
    for index in catalogue.indexes:
        references.append((f"indexes.{index.name}.admin", "targets", index.admin))
        references.append((f"indexes.{index.name}.search", "targets", index.search))
    for tool in catalogue.tools:
        references.append((f"tools.{tool.name}.target", "targets", tool.target))
    for engine in catalogue.engines:
        for key in ("metrics", "admin"):
            references.append((f"engines.{engine.name}.{key}", "targets", getattr(engine, key)))
    references += [(f"judges.{judge.name}.provider", "providers", judge.provider) for judge in catalogue.judges]
    for service in catalogue.services:
        where = f"services.{service.name}"
        references += [
            (f"{where}.team", "teams", service.team),
            (f"{where}.provider", "providers", service.provider),
            (f"{where}.fallback_provider", "providers", service.fallback_provider),
            (f"{where}.gateway", "gateways", service.gateway),
            (f"{where}.prompts", "prompt_stores", service.prompts),
            (f"{where}.index", "indexes", service.index),
            (f"{where}.guardrail", "guardrails", service.guardrail),
            (f"{where}.engine", "engines", service.engine),
            (f"{where}.prometheus", "targets", service.prometheus),
            (f"{where}.judge", "judges", service.judge),
            *((f"{where}.tools", "tools", tool) for tool in service.tools),
        ]
    for number, rule in enumerate(catalogue.policy.rules):
        references.append((f"policy.rules.{number}.team", "teams", rule.team))
    covered = [(f"rules.{number}", rule.services) for number, rule in enumerate(catalogue.policy.rules)]
    covered += [(f"break_glass.{number}", rule.services) for number, rule in enumerate(catalogue.policy.break_glass)]
    references += [
        (f"policy.{where}.services", "services", name)
        for where, names in covered
        for name in names
        if name != "*" and not name.startswith("tag:")
    ]
    return [
        f"{where}: no such name in {kind}: {name!r}{_nearest(name, known[kind])}"
        for where, kind, name in references
        if name is not None and name not in known[kind]
    ]


def _without_policy(catalogue: Catalogue) -> list[str]:
    """Who is on call can only be asked of an escalation policy."""
    return [
        f"teams.{team.name}.approvers.on_call: needs pagerduty_escalation_policy, the id (P...) of who is on call"
        for team in catalogue.teams
        if team.approvers.on_call and not team.pagerduty_escalation_policy
    ]


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else ""
