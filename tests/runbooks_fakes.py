"""A small closed world for runbook tests: two probes, two actions, three services, and texts to build files from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from config.catalogue import Catalogue, Gateway, Index, Provider, Service, Target, Team
from runbooks.model import ActionParams, ActionSpec, EffectClass


class CanaryParams(BaseModel):
    model_config = ConfigDict(extra="forbid")
    provider: str | None = None
    n: int = Field(default=5, ge=1, le=20)


class NoParams(BaseModel):
    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class Signature:
    name: str
    outcomes: Mapping[str, Any]
    params: type[BaseModel] = NoParams


class ShiftParams(ActionParams):
    from_provider: str = Field(alias="from")
    to: str
    percent: int = Field(ge=0, le=100)


class BannerParams(ActionParams):
    text_key: Literal["degraded", "slow"]


class ManualParams(ActionParams):
    title: str
    instructions: str


PROBES = {
    "provider_canary": Signature(
        name="provider_canary", outcomes={"ok": 1, "server_error": 2, "overloaded": 2}, params=CanaryParams
    ),
    "status_page": Signature(name="status_page", outcomes={"clear": 1, "incident": 2}),
}


def _action(name: str, risk: Literal["R0", "R1", "R2"], params: type[ActionParams], *, leasable: bool) -> ActionSpec:
    return ActionSpec(
        id=name, name=name, title=name, risk=risk, effect=EffectClass.CONVERGE, params=params,
        blast_radius="the users of one route", leasable=leasable,
    )  # fmt: skip


ACTIONS = {
    "shift_traffic": _action("shift_traffic", "R2", ShiftParams, leasable=True),
    "post_banner": _action("post_banner", "R0", BannerParams, leasable=False),
    "manual": _action("manual", "R1", ManualParams, leasable=False),
}


def catalogue() -> Catalogue:
    def service(name: str, **more: Any) -> Service:
        return Service.model_validate(
            {"name": name, "kind": "chat", "team": "assist", "provider": "acme", "model": "acme-large", **more}
        )

    return Catalogue(
        targets=(
            Target(name="acme", base_url="https://acme.example"),
            Target(name="admin", base_url="https://a.example"),
        ),
        providers=(
            Provider(name="acme", api="openai", target="acme", models=("acme-large",)),
            Provider(name="beta", api="anthropic", target="acme", models=("beta-large",)),
        ),
        gateways=(Gateway(name="gw", target="acme", admin="admin"),),
        indexes=(Index(name="kb", admin="admin"),),
        teams=(Team(name="assist", slack_channel="C1"),),
        services=(
            service("chat", fallback_provider="beta", fallback_model="beta-large", gateway="gw", tags=("public",)),
            service("support", kind="rag", index="kb", fallback_provider="beta"),
            service("lonely", kind="moderation-text"),
        ),
        fallback_channel="C0",
    )


FRONT = """\
---
id: provider-outage
title: Model provider is failing
owner: assist
severity: sev1
services: ["*"]
reviewed: 2026-11-20
review_every: 90d
pages:
  - "Chat completions failing with 529 overloaded_error"
  - "LLM error rate above 5 percent"
  - "Provider answers 503 to every request"
not_pages:
  - text: "429 Too Many Requests, remaining tokens 0"
    belongs_to: rate-limit-exceeded
evidence:
  provider_canary: {server_error: usual, ok: rules_out}
  status_page: {incident: weakly_for}
---
"""

BODY = """\
# Model provider is failing

Requests fail everywhere at once.

## Is it this?
Look at the canary.

```probe
provider_canary:
  provider: $service.provider
  n: 10
status_page:
```

## Stop the bleeding

### 1. Fail over to the second provider
Users get other wording.

```action
shift_traffic:
  from: $service.provider
  to: $service.fallback_provider
  percent: 100
lease: 60m                          # by itself
verify: provider_canary is ok within 5m
```

## Afterwards
Write it up.
"""

WHOLE = FRONT + BODY
