"""What the MLflow connector makes of MLflow's answers, without a server; ``tests/connectors`` has the real one."""

from dataclasses import replace
from typing import Any

import pytest

from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.actions.mlflow import fallbacks_after
from runbooks.actions.resource import Document
from runbooks.model import ActionContext, ActionError, EffectStatus
from tests.actions_fakes import APPROVAL, World, serving

ACTIONS = {action.spec.name: action for action in BUILT_IN}
ADMIN = "/gateway/admin/api/3.0/mlflow/gateway/endpoints"
SHIFT = {"from": "acme-openai", "to": "beta-anthropic"}


def mapping(name: str, linkage: str, **more: Any) -> dict[str, Any]:
    return {
        "model_definition_id": f"d-{name}", "model_definition": {"name": name}, "linkage_type": linkage, **more,
    }  # fmt: skip


def world_with(*mappings: dict[str, Any], **more: Any) -> World:
    endpoint = {"endpoint_id": "e-1", "name": "support", "last_updated_at": 5, "model_mappings": list(mappings), **more}
    world = World()
    world.facts[f"{ADMIN}/get"] = {"endpoint": endpoint}
    world.facts["/providers/beta-anthropic/v1/models"] = {"data": []}
    return world


def on_mlflow(context: ActionContext) -> ActionContext:
    gateway = context.catalogue.gateways[0].model_copy(update={"kind": "mlflow"})
    store = context.catalogue.prompt_stores[0].model_copy(update={"kind": "mlflow"})
    catalogue = context.catalogue.model_copy(update={"gateways": (gateway,), "prompt_stores": (store,)})
    return replace(context, catalogue=catalogue)


async def draft(context: ActionContext, name: str, **params: Any) -> Any:
    action = ACTIONS[name]
    return await action.draft(on_mlflow(context), action.spec.params.model_validate(params))


async def test_who_begins_to_carry_traffic_leaves_its_place_to_who_stops() -> None:
    world = world_with(
        mapping("acme-openai", "PRIMARY", weight=1),
        mapping("third", "FALLBACK", fallback_order=1),
        mapping("beta-anthropic", "FALLBACK"),
    )
    async with serving(world) as context:
        made = await draft(context, "shift_traffic", **SHIFT)

    assert made.pre_state["fallbacks"] == ["beta-anthropic", "third"]
    assert made.post_state == {
        "weights": {"acme-openai": 0, "third": 0, "beta-anthropic": 100},
        "fallbacks": ["acme-openai", "third"],
    }
    assert made.blocked_by == ()


@pytest.mark.parametrize(
    "mappings",
    [
        (mapping("acme-openai", "PRIMARY"), mapping("beta-anthropic", "PRIMARY")),
        (mapping("acme-openai", "PRIMARY"), mapping("acme-openai", "FALLBACK")),
        (mapping("beta-anthropic", "FALLBACK"),),
    ],
)
async def test_an_endpoint_that_cannot_be_told_apart_is_left_alone(mappings: tuple[dict[str, Any], ...]) -> None:
    async with serving(world_with(*mappings)) as context:
        with pytest.raises(ActionError, match="every name once, one primary, or a traffic split"):
            await draft(context, "shift_traffic", **SHIFT)


async def test_a_provider_without_a_model_definition_of_its_name_is_told() -> None:
    async with serving(world_with(mapping("acme-openai", "PRIMARY"), mapping("other", "FALLBACK"))) as context:
        with pytest.raises(ActionError, match="no model definition named 'beta-anthropic'; it has acme-openai, other"):
            await draft(context, "shift_traffic", **SHIFT)


async def test_an_answer_of_another_shape_is_told() -> None:
    async with serving(world_with({"linkage_type": "PRIMARY"})) as context:
        with pytest.raises(ActionError, match="a model mapping without a usable 'model_definition'"):
            await draft(context, "shift_traffic", **SHIFT)


async def test_shares_of_a_split_are_read_as_percent() -> None:
    world = world_with(
        mapping("acme-openai", "PRIMARY", weight=3.0),
        mapping("beta-anthropic", "PRIMARY", weight=1.0),
        routing_strategy="REQUEST_BASED_TRAFFIC_SPLIT",
    )
    async with serving(world) as context:
        made = await draft(context, "shift_traffic", **SHIFT, percent=50)

    assert made.pre_state["weights"] == {"acme-openai": 75, "beta-anthropic": 25}
    assert made.post_state["weights"] == {"acme-openai": 50, "beta-anthropic": 50}


def test_a_share_is_refused_where_there_is_no_split() -> None:
    fields = {"fallbacks": ["b"], "split": False, "ids": {"a": "1", "b": "2"}}
    document = Document(label="gateway/endpoints/x", fields=fields)

    with pytest.raises(ActionError, match="percent 100"):
        fallbacks_after(document, {"a": 40, "b": 60})


async def test_a_refused_update_has_failed() -> None:
    world = world_with(mapping("acme-openai", "PRIMARY"), mapping("beta-anthropic", "FALLBACK"))
    world.refuse = (400, "INVALID_PARAMETER_VALUE")
    async with serving(world) as context:
        made = await draft(context, "shift_traffic", **SHIFT)
        result = await ACTIONS["shift_traffic"].apply(on_mlflow(context), made, APPROVAL)

    assert result.status is EffectStatus.FAILED
    assert world.writes[0][:2] == ("POST", f"{ADMIN}/update")
    assert world.writes[0][2] == {
        "endpoint_id": "e-1",
        "model_configs": [
            {"model_definition_id": "d-acme-openai", "linkage_type": "FALLBACK", "weight": 1, "fallback_order": 0},
            {"model_definition_id": "d-beta-anthropic", "linkage_type": "PRIMARY", "weight": 1.0},
        ],
    }


async def test_a_prompt_without_the_alias_is_told() -> None:
    world = World()
    registry = "/prompts/api/2.0/mlflow"
    world.facts[f"{registry}/registered-models/get"] = {"registered_model": {"name": "support"}}
    world.facts[f"{registry}/model-versions/search"] = {"model_versions": [{"version": "1"}]}
    async with serving(world) as context:
        with pytest.raises(ActionError, match="no version under the alias 'production'"):
            await draft(context, "rollback_prompt")
