"""Whether everything that the catalogue names is there: targets on the network, credentials, models, golden sets."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bot.edges.checks import Check, listed, not_checked, ok, problem
from bot.edges.checks_clock import Reading, reading
from bot.edges.clock import SystemClock
from bot.edges.history import FrozenBaselines, FrozenChanges
from bot.edges.http import ReadingHttp, SafeHttp
from config.catalogue import Catalogue, Provider, Service, Target
from config.http import HttpError
from diagnostics import golden, judge
from diagnostics.model import ProbeContext
from diagnostics.probes.listing import ListingParams, ModelListing

AT_ONCE = 8
_LOOK = {
    "dns": "correct the host in base_url, or ask who runs your resolver",
    "tcp": "open the way from this machine to that port, or correct base_url",
    "tls": "trust its certificate with ca_file on this target, or have it renewed",
    "http": "look at the service itself: it accepts connections and answers nothing",
}


async def targets(catalogue: Catalogue, secrets: Mapping[str, str]) -> tuple[list[Check], list[Reading]]:
    """Reach every target, step by step, and ask every provider for its models with our key."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with SafeHttp(catalogue, secrets) as http:

        async def one(target: Target) -> tuple[Check, Reading | None]:
            async with slots:
                return await _reached(http, target)

        async def models(provider: Provider) -> Check:
            async with slots:
                return await _models(http, catalogue, provider, secrets)

        reached = await asyncio.gather(*(one(target) for target in catalogue.targets))
        listings = await asyncio.gather(*(models(provider) for provider in catalogue.providers))
    return [*(check for check, _ in reached), *listings], [told for _, told in reached if told is not None]


def credentials(catalogue: Catalogue, environ: Mapping[str, str]) -> Check:
    """Whether every credential that a target names is in the environment. Their values are not looked at further."""
    name = "credentials"
    wanted: dict[str, list[str]] = {}
    for target in catalogue.targets:
        if target.auth_env:
            wanted.setdefault(target.auth_env, []).append(target.name)
    missing = [variable for variable in wanted if not environ.get(variable, "").strip()]
    if missing:
        told = "; ".join(f"{variable} for {listed(wanted[variable])}" for variable in missing)
        return problem(name, f"not in the environment: {told}", "set these variables where `pagerunner serve` starts")
    return ok(name, f"{len(wanted)} of {len(wanted)} are in the environment" if wanted else "no target needs one")


def golden_sets(catalogue: Catalogue, root: Path) -> Check:
    """Whether the golden sets that services name, and the labels of their judges, can be read."""
    name = "golden sets"
    named = [service for service in catalogue.services if service.golden_set]
    if not named:
        return not_checked(name, "no service names one: quality is then judged by metrics alone")
    wrong = []
    for service in named:
        try:
            golden.load(root / service.golden_set)
            declared = catalogue.judge(service.judge) if service.judge else None
            if declared is not None:
                judge.load_labels(root / declared.labels)
        except (golden.GoldenError, OSError) as error:
            wrong.append(f"{service.name}: {error}")
    if wrong:
        return problem(name, "; ".join(wrong)[:600], "correct the file, or its path in the catalogue")
    return ok(name, f"{listed([service.golden_set for service in named])}")


async def _reached(http: SafeHttp, target: Target) -> tuple[Check, Reading | None]:
    name = f"target {target.name}"
    try:
        steps, reply = await http.reach_reply(target.name)
    except HttpError as error:
        return problem(name, f"{target.base_url}: {error.detail}", "correct this target in the catalogue"), None
    now = datetime.now(UTC)
    told = reading(target.name, reply.headers, now) if reply is not None else None
    last = steps[-1]
    if not last.ok:
        return problem(name, f"{target.base_url}: {last.step}: {last.detail}", _LOOK[last.step]), told
    return ok(name, f"{last.detail} in {sum(step.elapsed_s for step in steps):.2f} s"), told


async def _models(http: SafeHttp, catalogue: Catalogue, provider: Provider, secrets: Mapping[str, str]) -> Check:
    """The free probe P04, for every model that the provider declares."""
    name = f"provider {provider.name}"
    target = catalogue.target(provider.target)
    if target is not None and target.auth_env and not secrets.get(target.auth_env, "").strip():
        return not_checked(name, f"its key {target.auth_env} is not in the environment")
    service = next((s for s in catalogue.services if provider.name in (s.provider, s.fallback_provider)), None)
    if service is None or not provider.models:
        return not_checked(name, "no service uses it" if service is None else "it declares no models")
    wrong = [told for told in await asyncio.gather(
        *(_listed(http, catalogue, service, provider.name, model) for model in provider.models)) if told]  # fmt: skip
    if wrong:
        return problem(name, "; ".join(dict.fromkeys(wrong))[:600], "correct the key, or the models in the catalogue")
    return ok(name, f"our key is accepted; knows {listed(provider.models)}")


async def _listed(http: SafeHttp, catalogue: Catalogue, service: Service, provider: str, model: str) -> str:
    """What is wrong with this model; empty if nothing is."""
    clock = SystemClock()
    context = ProbeContext(
        service=service, catalogue=catalogue, http=ReadingHttp(http), clock=clock, baselines=FrozenBaselines({}, {}),
        changes=FrozenChanges(()), started_at=clock.now(),
    )  # fmt: skip
    try:
        read = await ModelListing().run(context, ListingParams(provider=provider, model=model))
    except HttpError as error:
        return error.detail
    return "" if read.outcome == "ok" else f"{model}: {read.summary}"


def secrets_of(catalogue: Catalogue, environ: Mapping[str, str]) -> dict[str, str]:
    """The credentials that targets name, by environment variable."""
    names: Sequence[str] = [target.auth_env for target in catalogue.targets if target.auth_env]
    return {name: environ[name] for name in names if environ.get(name)}
