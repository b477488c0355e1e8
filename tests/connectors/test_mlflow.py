"""The MLflow connector against a real MLflow server: prompt aliases, and traffic of a gateway endpoint."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web

from bot.edges.http import SafeHttp
from config.catalogue import Catalogue
from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.model import ActionContext, ActionError, EffectStatus
from tests.actions_fakes import APPROVAL, StoppedClock

pytestmark = pytest.mark.connectors

MLFLOW = os.environ.get("PAGERUNNER_TEST_MLFLOW", "")
ACTIONS = {action.spec.name: action for action in BUILT_IN}
GATEWAY = "/api/3.0/mlflow/gateway"
REGISTRY = "/api/2.0/mlflow"


class Upstream:
    """An OpenAI-shaped provider on loopback that says who it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.up = True
        self.port = 0

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        return runner

    async def _complete(self, request: web.Request) -> web.Response:
        await request.read()
        message = {"role": "assistant", "content": self.name}
        return web.json_response({
            "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        })  # fmt: skip

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []}, status=200 if self.up else 503)


@pytest.fixture
async def upstreams() -> AsyncIterator[tuple[Upstream, Upstream]]:
    first, second = Upstream("acme-openai"), Upstream("beta-anthropic")
    runners = [await first.start(), await second.start()]
    yield first, second
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def api() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=MLFLOW, timeout=30) as client:
        yield client


async def call(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    reply = await api.post(path, json=body)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def target(name: str, url: str) -> dict[str, Any]:
    return {"name": name, "base_url": url, "allow_http": True, "allow_private": ["127.0.0.0/8"]}


def catalogue(name: str, first: Upstream, second: Upstream) -> Catalogue:
    return Catalogue.model_validate({
        "fallback_channel": "C0",
        "targets": [
            target("mlflow", MLFLOW),
            target("acme-openai", f"http://127.0.0.1:{first.port}"),
            target("beta-anthropic", f"http://127.0.0.1:{second.port}"),
        ],
        "providers": [
            {"name": "acme-openai", "api": "openai", "target": "acme-openai", "models": ["m"]},
            {"name": "beta-anthropic", "api": "anthropic", "target": "beta-anthropic", "models": ["m"]},
        ],
        "gateways": [{"name": "ai-gateway", "kind": "mlflow", "target": "mlflow", "admin": "mlflow"}],
        "prompt_stores": [{"name": "registry", "kind": "mlflow", "admin": "mlflow"}],
        "teams": [{"name": "assist", "slack_channel": "C1"}],
        "services": [{
            "name": "chat", "kind": "chat", "team": "assist", "provider": "acme-openai", "model": "m",
            "gateway": "ai-gateway", "route": name, "prompts": "registry", "prompt": name,
        }],
    })  # fmt: skip


@pytest.fixture
async def context(upstreams: tuple[Upstream, Upstream]) -> AsyncIterator[ActionContext]:
    declared = catalogue(f"it-s-{uuid.uuid4().hex[:8]}", *upstreams)
    async with SafeHttp(declared, {}) as http:
        yield ActionContext(service=declared.services[0], catalogue=declared, http=http, clock=StoppedClock())


# --- A prompt's alias -------------------------------------------------------------------------------------------------


async def registered(api: httpx.AsyncClient, name: str, versions: int) -> None:
    """A prompt as MLflow's own client registers it: a model and versions that carry the prompt's tags."""
    mark = {"key": "mlflow.prompt.is_prompt", "value": "true"}
    await call(api, f"{REGISTRY}/registered-models/create", {"name": name, "tags": [mark]})
    for number in range(1, versions + 1):
        tags = [mark, {"key": "mlflow.prompt.text", "value": f"text {number}"}]
        body = {"name": name, "source": "prompt-template", "description": f"note {number}", "tags": tags}
        await call(api, f"{REGISTRY}/model-versions/create", body)
    await point(api, name, "production", versions)


async def point(api: httpx.AsyncClient, name: str, alias: str, version: int) -> None:
    body = {"name": name, "alias": alias, "version": str(version)}
    await call(api, f"{REGISTRY}/registered-models/alias", body)


async def pointed(api: httpx.AsyncClient, name: str, alias: str = "production") -> str:
    reply = await api.get(f"{REGISTRY}/registered-models/alias", params={"name": name, "alias": alias})
    return str(reply.json()["model_version"]["version"])


async def test_a_prompt_is_rolled_back_and_forth(api: httpx.AsyncClient, context: ActionContext) -> None:
    name = context.service.prompt
    await registered(api, name, 3)
    await point(api, name, "staging", 3)
    action = ACTIONS["rollback_prompt"]

    draft = await action.draft(context, action.spec.params.model_validate({}))
    assert await pointed(api, name) == "3"
    assert draft.params == {"store": "registry", "prompt": name, "to": 2}
    assert draft.diff[0].before == "version 3 (note 3)"
    assert draft.blocked_by == ()
    assert "no conditional write" in draft.undo

    result = await action.apply(context, draft, APPROVAL)
    assert result.status is EffectStatus.DONE
    assert "follow within a minute" in result.detail
    assert await pointed(api, name) == "2"
    assert await pointed(api, name, "staging") == "3"
    again = await action.apply(context, draft, APPROVAL)
    assert "nothing was sent" in again.detail

    back = await action.revert(context, draft, APPROVAL)
    assert back.status is EffectStatus.DONE
    assert await pointed(api, name) == "3"


async def test_a_prompt_that_somebody_moved_is_a_conflict(api: httpx.AsyncClient, context: ActionContext) -> None:
    name = context.service.prompt
    await registered(api, name, 3)
    action = ACTIONS["rollback_prompt"]
    draft = await action.draft(context, action.spec.params.model_validate({}))
    await point(api, name, "production", 1)

    result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.CONFLICT
    assert await pointed(api, name) == "1"


async def test_a_version_taken_away_after_the_approval_is_not_pointed_at(
    api: httpx.AsyncClient, context: ActionContext
) -> None:
    name = context.service.prompt
    await registered(api, name, 2)
    action = ACTIONS["rollback_prompt"]
    draft = await action.draft(context, action.spec.params.model_validate({}))
    reply = await api.request("DELETE", f"{REGISTRY}/model-versions/delete", json={"name": name, "version": "1"})
    assert reply.status_code == 200

    result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.FAILED
    assert await pointed(api, name) == "2"


async def test_an_unknown_prompt_is_told(context: ActionContext) -> None:
    action = ACTIONS["rollback_prompt"]

    with pytest.raises(ActionError, match="HTTP 404"):
        await action.draft(context, action.spec.params.model_validate({}))


# --- A gateway endpoint's traffic -------------------------------------------------------------------------------------


async def endpoint(
    api: httpx.AsyncClient, name: str, upstreams: tuple[Upstream, Upstream], *, split: bool = False
) -> None:
    """An endpoint with the first upstream as primary and the second as fallback, or as the other part of a split."""
    linkages = []
    suffix = uuid.uuid4().hex[:6]
    for number, upstream in enumerate(upstreams):
        secret = await call(api, f"{GATEWAY}/secrets/create", {
            "secret_name": f"{upstream.name}-{suffix}", "secret_value": {"api_key": "not-a-key"}, "provider": "openai",
            "auth_config": {"api_base": f"http://127.0.0.1:{upstream.port}/v1"},
        })  # fmt: skip
        model = await call(api, f"{GATEWAY}/model-definitions/create", {
            "name": upstream.name, "secret_id": secret["secret"]["secret_id"], "provider": "openai", "model_name": "m",
        })  # fmt: skip
        linkage: dict[str, Any] = {"model_definition_id": model["model_definition"]["model_definition_id"]}
        if split or number == 0:
            linkage |= {"linkage_type": "PRIMARY", "weight": 1.0 if number == 0 else 0.0}
        else:
            linkage |= {"linkage_type": "FALLBACK", "weight": 1.0, "fallback_order": 0}
        linkages.append(linkage)
    body: dict[str, Any] = {"name": name, "model_configs": linkages}
    if split:
        body["routing_strategy"] = "REQUEST_BASED_TRAFFIC_SPLIT"
    else:
        body["fallback_config"] = {"strategy": "SEQUENTIAL", "max_attempts": 1}
    await call(api, f"{GATEWAY}/endpoints/create", body)


@pytest.fixture(autouse=True)
async def no_leftovers(api: httpx.AsyncClient) -> AsyncIterator[None]:
    """Model definitions carry fixed names, so each test removes its own."""
    yield
    for kind, many, key in (
        ("endpoints", "endpoints", "endpoint_id"),
        ("model-definitions", "model_definitions", "model_definition_id"),
    ):
        listed = (await api.get(f"{GATEWAY}/{kind}/list")).json()
        for entry in listed.get(many, []):
            await api.request("DELETE", f"{GATEWAY}/{kind}/delete", json={key: entry[key]})


async def linked(api: httpx.AsyncClient, name: str) -> list[tuple[str, str, float, int | None]]:
    reply = await api.get(f"{GATEWAY}/endpoints/get", params={"name": name})
    mappings = reply.json()["endpoint"]["model_mappings"]
    return sorted(
        (m["model_definition"]["name"], m["linkage_type"], m.get("weight", 1.0), m.get("fallback_order"))
        for m in mappings
    )


async def served_by(api: httpx.AsyncClient, name: str) -> str:
    body = {"model": name, "messages": [{"role": "user", "content": "who?"}]}
    answer = await call(api, "/gateway/mlflow/v1/chat/completions", body)
    return str(answer["choices"][0]["message"]["content"])


async def until_served_by(api: httpx.AsyncClient, name: str, upstream: str) -> None:
    """Wait for the traffic, which follows the admin API's word by up to the time that MLflow caches."""
    while await served_by(api, name) != upstream:  # noqa: ASYNC110 - another process moves it; there is no event
        await asyncio.sleep(0.5)


@pytest.mark.timeout(300)
async def test_traffic_is_shifted_and_follows_later(
    api: httpx.AsyncClient, context: ActionContext, upstreams: tuple[Upstream, Upstream]
) -> None:
    name = context.service.route
    await endpoint(api, name, upstreams)
    before = await linked(api, name)
    assert await served_by(api, name) == "acme-openai"
    action = ACTIONS["shift_traffic"]
    params = action.spec.params.model_validate({"from": "acme-openai", "to": "beta-anthropic"})

    draft = await action.draft(context, params)
    assert draft.blocked_by == ()
    assert draft.post_state == {"weights": {"acme-openai": 0, "beta-anthropic": 100}, "fallbacks": ["acme-openai"]}
    assert await linked(api, name) == before

    result = await action.apply(context, draft, APPROVAL)
    assert result.status is EffectStatus.DONE
    assert "traffic follows when its cache runs out" in result.detail
    assert await linked(api, name) == [("acme-openai", "FALLBACK", 1, 0), ("beta-anthropic", "PRIMARY", 1, None)]
    config = (await api.get(f"{GATEWAY}/endpoints/get", params={"name": name})).json()["endpoint"]["fallback_config"]
    assert config == {"strategy": "SEQUENTIAL", "max_attempts": 1}
    await until_served_by(api, name, "beta-anthropic")

    back = await action.revert(context, draft, APPROVAL)
    assert back.status is EffectStatus.DONE
    assert await linked(api, name) == before


async def test_a_split_is_shifted_in_part(
    api: httpx.AsyncClient, context: ActionContext, upstreams: tuple[Upstream, Upstream]
) -> None:
    name = context.service.route
    await endpoint(api, name, upstreams, split=True)
    before = await linked(api, name)
    action = ACTIONS["shift_traffic"]
    params = action.spec.params.model_validate({"from": "acme-openai", "to": "beta-anthropic", "percent": 25})
    draft = await action.draft(context, params)

    result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.DONE
    assert [(n, kind, round(weight, 2)) for n, kind, weight, _ in await linked(api, name)] == [
        ("acme-openai", "PRIMARY", 0.75),
        ("beta-anthropic", "PRIMARY", 0.25),
    ]
    assert (await action.revert(context, draft, APPROVAL)).status is EffectStatus.DONE
    assert await linked(api, name) == before


async def test_an_endpoint_without_a_split_is_shifted_as_a_whole_or_not_at_all(
    api: httpx.AsyncClient, context: ActionContext, upstreams: tuple[Upstream, Upstream]
) -> None:
    await endpoint(api, context.service.route, upstreams)
    action = ACTIONS["shift_traffic"]

    with pytest.raises(ActionError, match="has no traffic split"):
        await action.draft(
            context, action.spec.params.model_validate({"from": "acme-openai", "to": "beta-anthropic", "percent": 50})
        )


async def test_traffic_is_not_shifted_to_a_provider_that_does_not_answer(
    api: httpx.AsyncClient, context: ActionContext, upstreams: tuple[Upstream, Upstream]
) -> None:
    await endpoint(api, context.service.route, upstreams)
    upstreams[1].up = False
    action = ACTIONS["shift_traffic"]
    params = action.spec.params.model_validate({"from": "acme-openai", "to": "beta-anthropic"})

    draft = await action.draft(context, params)
    result = await action.apply(context, draft, APPROVAL)

    assert [p.detail for p in draft.blocked_by] == ["its models listing answers HTTP 503"]
    assert result.status is EffectStatus.FAILED


async def test_models_changed_by_somebody_else_are_a_conflict(
    api: httpx.AsyncClient, context: ActionContext, upstreams: tuple[Upstream, Upstream]
) -> None:
    name = context.service.route
    await endpoint(api, name, upstreams)
    action = ACTIONS["shift_traffic"]
    params = action.spec.params.model_validate({"from": "acme-openai", "to": "beta-anthropic"})
    draft = await action.draft(context, params)
    await swap(api, name)
    swapped = await linked(api, name)

    result = await action.apply(context, draft, APPROVAL)
    back = await action.revert(context, draft, APPROVAL)

    assert result.status is EffectStatus.CONFLICT
    assert "somebody else has already set" in result.detail
    assert back.status is EffectStatus.DONE
    await swap(api, name, keep_fallback=False)
    alone = await linked(api, name)
    assert alone != swapped
    assert (await action.apply(context, draft, APPROVAL)).status is EffectStatus.CONFLICT
    assert (await action.revert(context, draft, APPROVAL)).status is EffectStatus.CONFLICT
    assert await linked(api, name) == alone


async def swap(api: httpx.AsyncClient, name: str, *, keep_fallback: bool = True) -> None:
    """Somebody else makes the fallback the primary, and drops the other one or keeps it as fallback."""
    found = (await api.get(f"{GATEWAY}/endpoints/get", params={"name": name})).json()["endpoint"]
    ids = {m["model_definition"]["name"]: m["model_definition_id"] for m in found["model_mappings"]}
    models = [{"model_definition_id": ids["beta-anthropic"], "linkage_type": "PRIMARY"}]
    if keep_fallback:
        fallback = {"model_definition_id": ids["acme-openai"], "linkage_type": "FALLBACK", "fallback_order": 0}
        models.append(fallback)
    await call(api, f"{GATEWAY}/endpoints/update", {"endpoint_id": found["endpoint_id"], "model_configs": models})


async def test_other_admin_documents_are_not_pretended(context: ActionContext) -> None:
    action = ACTIONS["clamp_retries"]

    with pytest.raises(ActionError, match="is an MLflow gateway, whose API has no retries"):
        await action.draft(context, action.spec.params.model_validate({}))
