"""The catalogue: what exists and who owns it. Read from YAML once, validated whole, frozen.

Everything that a probe or an action can touch has a name here; text from outside can pick nothing that is not.
"""

import difflib
from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Risk = Literal["R0", "R1", "R2", "R3"]
"""R0 informs. R1 is reversible and quality-neutral. R2 is reversible, but changes behaviour, cost or quality.
R3 is hard to reverse, spends money, or touches safety or security."""

ServiceKind = Literal[
    "chat", "rag", "agent", "code", "moderation-text", "moderation-voice", "generation-image", "generation-material"
]
ProviderApi = Literal["openai", "anthropic"]


T = TypeVar("T", "Target", "Provider", "Gateway", "PromptStore", "Index", "Tool", "Guardrail", "Team", "Service")


class Declared(BaseModel):
    """Base of every declared thing: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class Guardrail(Declared):
    """What checks requests and answers, as the gateway applies it."""

    name: Name
    canaries: str = ""
    """Path of texts that must pass and test strings that must be blocked, relative to the catalogue file."""


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
    response_cache: bool = False
    """Whether its gateway may answer from a cache of earlier answers."""
    prometheus: Name | None = None
    selector: str = ""
    """Value of the ``service`` label on this service's metrics; empty: its name."""
    golden_set: str = ""
    """Path of its golden set, relative to the catalogue file."""
    dashboards: tuple[Link, ...] = ()
    error_slo: float = 0.01
    latency_slo_s: float = 5.0


class Approvers(Declared):
    """People who may approve. Slack user ids, Slack user-group ids, and whether a local person may (console, CLI)."""

    slack_users: tuple[str, ...] = ()
    slack_groups: tuple[str, ...] = ()
    local: bool = False


class Team(Declared):
    """Owners of services: where their incidents are shown and who answers."""

    name: Name
    title: str = ""
    slack_channel: str
    pagerduty_escalation_policy: str = ""
    runbooks: str = ""
    """Folder of the team's own runbooks, relative to the catalogue file; empty: the built-in library alone."""
    approvers: Approvers = Approvers()


class Rule(Declared):
    """For these services and this risk: ``count`` different approvers of ``team`` (empty: the service's own team)."""

    services: tuple[str, ...]
    """Service names, ``tag:NAME``, or ``*``."""
    risk: Risk
    count: int = Field(ge=1, le=5)
    team: Name | None = None


class Policy(Declared):
    """Who may approve what. No rule that matches means nobody may."""

    version: str = "1"
    rules: tuple[Rule, ...] = ()
    proposal_ttl_s: int = Field(default=900, ge=30, le=86_400)


class Catalogue(Declared):
    """All of it, with every reference checked."""

    targets: tuple[Target, ...] = ()
    providers: tuple[Provider, ...] = ()
    gateways: tuple[Gateway, ...] = ()
    prompt_stores: tuple[PromptStore, ...] = ()
    indexes: tuple[Index, ...] = ()
    tools: tuple[Tool, ...] = ()
    guardrails: tuple[Guardrail, ...] = ()
    teams: tuple[Team, ...]
    services: tuple[Service, ...]
    policy: Policy = Policy()
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

    def team(self, name: str) -> Team | None:
        return _named(self.teams, name)

    def service(self, name: str) -> Service | None:
        return _named(self.services, name)

    def service_of_pagerduty(self, service_id: str) -> Service | None:
        """The service that pages from this PagerDuty service are about."""
        return next((s for s in self.services if service_id in s.pagerduty_services), None)

    @model_validator(mode="after")
    def _references_resolve(self) -> "Catalogue":
        problems = [*_duplicates(self), *_dangling(self)]
        if problems:
            raise ValueError("\n".join(problems))
        return self


_KINDS = ("targets", "providers", "gateways", "prompt_stores", "indexes", "tools", "guardrails", "teams", "services")


def _named(things: Iterable[T], name: str) -> T | None:
    return next((thing for thing in things if thing.name == name), None)


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
            (f"{where}.prometheus", "targets", service.prometheus),
            *((f"{where}.tools", "tools", tool) for tool in service.tools),
        ]
    for number, rule in enumerate(catalogue.policy.rules):
        references.append((f"policy.rules.{number}.team", "teams", rule.team))
        references += [
            (f"policy.rules.{number}.services", "services", name)
            for name in rule.services
            if name != "*" and not name.startswith("tag:")
        ]
    return [
        f"{where}: no such name in {kind}: {name!r}{_nearest(name, known[kind])}"
        for where, kind, name in references
        if name is not None and name not in known[kind]
    ]


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else ""
