"""Who answered behind the gateway: the deployment that the route is meant for, its declared fallback, or a stray."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from config.catalogue import Catalogue, Gateway, Service
from config.http import HttpError
from diagnostics.chat_api import Answer
from diagnostics.chat_replies import json_object, mapping
from diagnostics.model import Evidence, ProbeContext, Reading
from diagnostics.probes.canary_verdict import retries
from diagnostics.rate_limits import number

LEAST_STRAYS: Final = 2
_SNAPSHOT = re.compile(r"[-@:](\d{4}-?\d{2}-?\d{2}|latest)")
"""What follows a model's name when a dated snapshot of it answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answerer:
    """What a reply says about who wrote it."""

    deployment: str
    model: str
    fallbacks: int

    @classmethod
    def of(cls, answer: Answer) -> "_Answerer":
        fallbacks = number(answer.headers.get("x-litellm-attempted-fallbacks", "")) or 0
        model = answer.completion.model if answer.completion else ""
        return cls(
            deployment=answer.headers.get("x-litellm-model-id", "")[:80],
            model=model.rsplit("/", 1)[-1][:80],
            fallbacks=int(fallbacks),
        )

    def label(self) -> str:
        return " ".join(part for part in (self.model, self.deployment and f"on {self.deployment}") if part) or "unnamed"


async def strays(context: ProbeContext, gateway: Gateway, answers: Sequence[Answer], reading: Reading) -> Reading:
    """The reading, with who answered; ``wrong_model`` when that is neither declared nor configured."""
    seen = [_Answerer.of(answer) for answer in answers if answer.completion]
    repeated = sum(retries(answer) > 0 for answer in answers if answer.completion)
    told = f"; {repeated} of the answers needed a retry in the gateway" if repeated else ""
    reading = replace(reading, summary=reading.summary + told)
    details = {
        **reading.details,
        "deployments": dict(Counter(who.label() for who in seen).most_common(6)),
        "fallbacks": sum(who.fallbacks > 0 for who in seen),
        "repeated_by_gateway": repeated,
    }
    suspects = [who for who in seen if not _declared(who, context.service, context.catalogue)]
    if len(suspects) < LEAST_STRAYS:
        return replace(reading, details=details)
    configured, evidence = await _configured(context, gateway)
    wrong = [who for who in suspects if not _by_configuration(who, configured, context)]
    details |= {"configured": configured}
    if len(wrong) < LEAST_STRAYS:
        return replace(reading, details=details)
    who, _ = Counter(stray.label() for stray in wrong).most_common(1)[0]
    return replace(
        reading,
        outcome="wrong_model",
        summary=f"{len(wrong)} of {len(seen)} answers through {gateway.name} came from {who},"
        f" not from {context.service.model} of {context.service.provider}",
        value=len(wrong) / len(seen),
        baseline=0.0,
        test="answering deployment against the declared and the configured one",
        p_value=None,
        interval=None,
        evidence=(*_headers_of(gateway, answers, wrong[0]), *evidence),
        details={**details, "strays": len(wrong)},
    )


def _declared(who: _Answerer, service: Service, catalogue: Catalogue) -> bool:
    """The declared deployment, or the declared fallback when the gateway says that it fell back."""
    provider = _provider_of(who.deployment, catalogue)
    if _is_model(who.model, service.model, service.route) and provider in (None, service.provider):
        return True
    if not who.fallbacks or not service.fallback_provider:
        return False
    fallback_model = service.fallback_model or ""
    return _is_model(who.model, fallback_model, service.route) and provider in (None, service.fallback_provider)


def _is_model(model: str, expected: str, route: str) -> bool:
    """Also true when the reply names no model, or only the route it came in by."""
    if model in ("", expected, route):
        return True
    return model.startswith(expected) and _SNAPSHOT.fullmatch(model[len(expected) :]) is not None


def _provider_of(deployment: str, catalogue: Catalogue) -> str | None:
    """The declared provider that a deployment is named after; None for an opaque id."""
    names = [p.name for p in catalogue.providers if deployment == p.name or deployment.startswith(f"{p.name}-")]
    return max(names, key=len, default=None)


async def _configured(context: ProbeContext, gateway: Gateway) -> tuple[dict[str, Any], tuple[Evidence, ...]]:
    """What the gateway's own configuration says about the route now: an approved shift is not a stray."""
    found: dict[str, Any] = {}
    evidence = []
    for kind, key in (("routes", "weights"), ("params", "model")):
        path = f"/{kind}/{context.service.route}"
        try:
            reply = await context.http.request(gateway.admin, "GET", path)
        except HttpError:
            continue
        value = (json_object(reply.text) or {}).get(key) if reply.status == 200 else None
        if value is not None:
            found[key] = value
            evidence.append(Evidence(source=f"GET {gateway.admin} {path}", excerpt=reply.text[:2000]))
    return found, tuple(evidence)


def _by_configuration(who: _Answerer, configured: Mapping[str, Any], context: ProbeContext) -> bool:
    if configured.get("model") and who.model == configured["model"]:
        return True
    service, weights = context.service, mapping(configured.get("weights"))
    expected = {service.provider: service.model, service.fallback_provider: service.fallback_model}
    for name, percent in weights.items():
        provider = context.catalogue.provider(name)
        if provider is None or not isinstance(percent, (int, float)) or percent <= 0:
            continue
        if _provider_of(who.deployment, context.catalogue) not in (None, name):
            continue
        # A route's weights choose a provider, and not one of its smaller models.
        model = expected.get(name)
        if _is_model(who.model, model, service.route) if model else who.model in provider.models:
            return True
    return False


def _headers_of(gateway: Gateway, answers: Sequence[Answer], stray: _Answerer) -> tuple[Evidence, ...]:
    answer = next(a for a in answers if a.completion and _Answerer.of(a) == stray)
    lines = [f"{name}: {value}" for name, value in sorted(answer.headers.items()) if name.startswith("x-litellm-")]
    text = "\n".join([*lines, f"model: {stray.model}"])[:2000]
    return (Evidence(source=f"reply headers of {gateway.target}", excerpt=text),)
