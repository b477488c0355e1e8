"""P04: does the provider still know our key and our model, by its own list of models. Costs nothing."""

import asyncio
import difflib
from typing import Any

from config.catalogue import Provider
from config.http import HttpError, Reply
from diagnostics.chat_api import Endpoint
from diagnostics.chat_replies import json_object, mapping
from diagnostics.model import Evidence, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.subjects import model_of, provider_of
from diagnostics.taxonomy import Failure, classify, classify_transport


class ListingParams(Params):
    """Which provider and model; None: the service's."""

    provider: str | None = None
    model: str | None = None


class ModelListing:
    """P04."""

    spec = ProbeSpec(
        id="P04",
        name="model_listing",
        title="Provider lists our model",
        outcomes={
            "ok": Verdict.NORMAL,
            "unauthorized": Verdict.ABNORMAL,
            "absent": Verdict.ABNORMAL,
            "error": Verdict.ABNORMAL,
        },
        params=ListingParams,
        tier=Tier.FREE,
        expected_s=1.0,
        timeout_s=12.0,
    )

    async def run(self, context: ProbeContext, params: ListingParams) -> Reading:
        """List the models, and retrieve the one we use: a list may be long and cut into pages."""
        provider = provider_of(context, params.provider)
        model = model_of(context, provider, params.model)
        listed, retrieved = await asyncio.gather(
            _get(context, provider, "/v1/models"), _get(context, provider, f"/v1/models/{model}")
        )
        names = _names(listed)
        outcome, why = _decide(model, listed, retrieved, names)
        details: dict[str, Any] = {"provider": provider.name, "model": model, "listed": names[:20]}
        if outcome == "absent":
            details["nearest"] = difflib.get_close_matches(model, names, n=3, cutoff=0.4)
        return Reading(
            outcome=outcome,
            summary=f"{provider.name}: {why}",
            n=2,
            evidence=(
                _evidence(provider, "/v1/models", listed),
                _evidence(provider, f"/v1/models/{model}", retrieved),
            ),
            details=details,
        )


async def _get(context: ProbeContext, provider: Provider, path: str) -> Reply | HttpError:
    headers = Endpoint.of_provider(provider).headers
    try:
        return await context.http.request(provider.target, "GET", path, headers=headers)
    except HttpError as error:
        classify_transport(error)  # raises what was refused by ourselves: that says nothing about the provider
        return error


def _decide(model: str, listed: Reply | HttpError, retrieved: Reply | HttpError, names: list[str]) -> tuple[str, str]:
    failures = [_failure(listed), _failure(retrieved)]
    unauthorized = next((f for f in failures if f and f.word == "unauthorized"), None)
    if unauthorized:
        return "unauthorized", f"our key is refused ({unauthorized.describe()})"
    if isinstance(retrieved, Reply) and retrieved.status == 404 and (names or _says_missing(retrieved)):
        return "absent", f"{model} is not among its {len(names)} models" if names else f"{model} is unknown to it"
    if isinstance(retrieved, Reply) and retrieved.status == 200 and json_object(retrieved.text) is not None:
        return "ok", f"{model} is known and our key is accepted"
    if model in names:
        return "ok", f"{model} is listed and our key is accepted"
    if names and not _more(listed):
        return "absent", f"{model} is not among its {len(names)} models"
    failure = next((f for f in failures if f), None)
    return "error", f"its model list cannot be read ({failure.describe() if failure else 'no list in the reply'})"


def _failure(got: Reply | HttpError) -> Failure | None:
    if isinstance(got, HttpError):
        return classify_transport(got)
    return classify(got.status, got.text, got.headers)


def _says_missing(reply: Reply) -> bool:
    failure = classify(reply.status, reply.text, reply.headers)
    return failure is not None and failure.word == "model_missing"


def _names(listed: Reply | HttpError) -> list[str]:
    if isinstance(listed, HttpError) or listed.status != 200:
        return []
    data = (json_object(listed.text) or {}).get("data")
    ids = [mapping(item).get("id") for item in data] if isinstance(data, list) else []
    return [name[:120] for name in ids if isinstance(name, str)]


def _more(listed: Reply | HttpError) -> bool:
    return isinstance(listed, Reply) and (json_object(listed.text) or {}).get("has_more") is True


def _evidence(provider: Provider, path: str, got: Reply | HttpError) -> Evidence:
    text = str(got) if isinstance(got, HttpError) else f"HTTP {got.status}\n{got.text}"
    return Evidence(source=f"GET {provider.target} {path}", excerpt=text[:2000])
