"""What every action promises, whichever it is: nothing before approval, exactly the diff, once, and back again."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from bot.edges.http import SafeHttp
from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.actions.http_action_file import load_http_actions
from runbooks.model import ActionContext, AnyAction, Draft, EffectStatus
from tests.actions_fakes import APPROVAL, SECRETS, Hasty, World, context_for, serving

ADMIN = "/gateway/admin"
FLAGS = """
actions:
  - name: limit_rollout
    title: Turn a feature down
    risk: R2
    blast_radius: Users of the feature get less of it.
    target: order-tool
    params:
      flag: {type: string, enum: [answers, images]}
      percent: {type: integer, min: 0, max: 100}
    read: {path: /flags/$flag, watch: [enabled, rollout.percent]}
    call:
      method: PATCH
      path: /flags/$flag
      body: '{"enabled": false, "rollout": {"percent": "$percent", "ring": "all"}}'
    expect: '{"enabled": false, "rollout.percent": "$percent"}'
    undo:
      method: PATCH
      path: /flags/$flag
      body: '{"enabled": "$pre.enabled", "rollout": {"percent": "$pre.rollout.percent", "ring": "all"}}'
    effect: converge
    if_match: true
    leasable: true
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One action on its ordinary day: what it is given, and the only thing that may come of it."""

    action: str
    params: Mapping[str, Any]
    path: str
    becomes: Mapping[str, Any]
    resolved: Mapping[str, Any]
    drift: Mapping[str, Any]
    unrelated: Mapping[str, Any]
    service: str = "support-bot"


SHIFT = {"from": "acme-openai", "to": "beta-anthropic"}
GATEWAY = {"gateway": "llm-gateway"}
CASES = (
    Case(
        action="post_banner", params={"text_key": "slow"}, path=f"{ADMIN}/banners/support",
        becomes={"text": "Answers are taking longer than usual at the moment. We are working on it."},
        resolved={**GATEWAY, "route": "support"}, drift={"text": "hello"}, unrelated={"route": "support2"},
    ),
    Case(
        action="shed_traffic", params={"admit_percent": "20"}, path=f"{ADMIN}/classes/support/batch",
        becomes={"admit_percent": 20}, resolved={"route": "support", "traffic_class": "batch", "admit_percent": 20},
        drift={"admit_percent": 90}, unrelated={"note": "x"},
    ),
    Case(
        action="clamp_retries", params={"gateway": "llm-gateway", "max_retries": "1"}, path=f"{ADMIN}/retries",
        becomes={"max_retries": 1}, resolved={"model": None, "max_retries": 1}, drift={"max_retries": 2},
        unrelated={"jitter": True},
    ),
    Case(
        action="clamp_retries", params={"model": "acme-large", "max_retries": "0"}, path=f"{ADMIN}/retries/acme-large",
        becomes={"max_retries": 0}, resolved={"model": "acme-large", "max_retries": 0}, drift={"max_retries": 1},
        unrelated={"jitter": True},
    ),
    Case(
        action="drain_deployment", params={}, path=f"{ADMIN}/deployments/acme-openai-zone-b",
        becomes={"drained": True}, resolved={"deployment": "acme-openai-zone-b"}, drift={"drained": None},
        unrelated={"zone": "c"},
    ),
    Case(
        action="suspend_canaries", params={}, path=f"{ADMIN}/canaries", becomes={"suspended": True}, resolved=GATEWAY,
        drift={"suspended": None}, unrelated={"every_s": 60},
    ),
    Case(
        action="resume_ingestion", params={"index": "support-kb"}, path="/ingestion/support-kb",
        becomes={"state": "running", "catch_up": True}, resolved={"index": "support-kb"}, drift={"state": "paused"},
        unrelated={"queue_depth": 901},
    ),
    Case(
        action="shift_traffic", params={**SHIFT, "percent": "60"}, path=f"{ADMIN}/routes/support",
        becomes={"weights": {"acme-openai": 40, "beta-anthropic": 60}}, resolved={**SHIFT, "percent": 60},
        drift={"weights": {"acme-openai": 90, "beta-anthropic": 10}}, unrelated={"sticky": True},
    ),
    Case(
        action="rollback_prompt", params={"to": "previous"}, path="/prompts/support",
        becomes={"aliases": {"production": 12, "staging": 14}}, resolved={"to": 12, "store": "prompt-registry"},
        drift={"aliases": {"production": 14, "staging": 14}}, unrelated={"aliases": {"production": 13, "staging": 12}},
    ),
    Case(
        action="rollback_model_config", params={}, path=f"{ADMIN}/params/support",
        becomes={
            "revision": "r16", "model": "acme-large-2026-08-01", "params": {"temperature": 0.1, "max_tokens": 1024},
        },
        resolved={"to": "r16"}, drift={"revision": "r18"}, unrelated={"owner": "ana"},
    ),
    Case(
        action="rollback_release", params={}, path=f"{ADMIN}/release", becomes={"release": "gw-47"},
        resolved={**GATEWAY, "to": "gw-47"}, drift={"release": "gw-49"}, unrelated={"note": "x"},
    ),
    Case(
        action="pin_dependency", params={}, path=f"{ADMIN}/packages/starlette",
        becomes={"release": "0.49.3", "sha256": "a" * 64}, resolved={**GATEWAY, "package": "starlette", "to": "0.49.3"},
        drift={"release": "0.50.1"}, unrelated={"note": "x"},
    ),
    Case(
        action="rotate_credential", params={}, path=f"{ADMIN}/credentials/acme-prod",
        becomes={"active": "k4", "former": "disabled"}, resolved={**GATEWAY, "credential": "acme-prod"},
        drift={"active": "k5"}, unrelated={"owner": "ana"},
    ),
    Case(
        action="scale_gateway", params={"workers": "8"}, path=f"{ADMIN}/workers", becomes={"count": 8},
        resolved={"workers": 8}, drift={"count": 4}, unrelated={"pool": "b"},
    ),
    Case(
        action="scale_engine", params={}, path="/engine/admin/scale", becomes={"replicas": 4},
        resolved={"engine": "own-coder", "replicas": 4}, drift={"replicas": 3}, unrelated={"pool": "b"},
        service="code-assistant",
    ),
    Case(
        action="drain_replica", params={}, path="/engine/admin/replicas/coder-1", becomes={"drained": True},
        resolved={"engine": "own-coder", "replica": "coder-1"}, drift={"drained": None}, unrelated={"node": "c"},
        service="code-assistant",
    ),
    Case(
        action="rollback_retrieval", params={"index": "support-kb"}, path="/ingestion/support-kb/retrieval",
        becomes={"revision": "s31", "embedding_model": "embed-1", "top_k": 8}, resolved={"to": "s31"},
        drift={"top_k": 4}, unrelated={"owner": "ana"},
    ),
    Case(
        action="disable_tool", params={}, path=f"{ADMIN}/tools/orders", becomes={"enabled": False},
        resolved={"tool": "orders", **GATEWAY}, drift={"enabled": None}, unrelated={"owner": "ana"},
        service="order-agent",
    ),
    Case(
        action="rollback_guardrail", params={}, path=f"{ADMIN}/guardrails/content-rail",
        becomes={"revision": "g7", "on_error": "closed", "threshold": 0.8, "timeout_ms": 2000},
        resolved={"guardrail": "content-rail", "to": "g7"}, drift={"threshold": 0.5}, unrelated={"owner": "ana"},
    ),
    Case(
        action="close_guardrail", params={}, path=f"{ADMIN}/guardrails/content-rail", becomes={"on_error": "closed"},
        resolved={"guardrail": "content-rail"}, drift={"enabled": False}, unrelated={"threshold": 0.5},
    ),
    Case(
        action="degrade_retrieval", params={}, path="/ingestion/support-kb/retrieval", becomes={"mode": "keyword"},
        resolved={"index": "support-kb"}, drift={"mode": "off"}, unrelated={"top_k": 4},
    ),
    Case(
        action="bypass_cache", params={}, path=f"{ADMIN}/cache/support", becomes={"mode": "bypass"},
        resolved={"route": "support", **GATEWAY}, drift={"mode": "off"}, unrelated={"threshold": 0.95},
    ),
    Case(
        action="quarantine_documents", params={}, path="/ingestion/support-kb/quarantine",
        becomes={"documents": ["kb-old", "wiki-1"]}, resolved={"index": "support-kb"},
        drift={"documents": ["kb-old", "kb-3"]}, unrelated={"owner": "ana"},
    ),
    Case(
        action="cap_generation", params={"max_steps": "25", "max_tokens": "64"}, path=f"{ADMIN}/caps/support",
        becomes={"max_steps": 25, "max_tokens": 64}, resolved={"max_steps": 25, "max_context": None},
        drift={"max_tokens": 1024}, unrelated={"max_context": 8000},
    ),
    Case(
        action="throttle_tenant", params={"tokens_per_minute": "500"}, path=f"{ADMIN}/limits/support/t-greedy",
        becomes={"tokens_per_minute": 500}, resolved={"tenant": "t-greedy"}, drift={"tokens_per_minute": 7000},
        unrelated={"contact": "x"},
    ),
    Case(
        action="hold_for_review", params={}, path=f"{ADMIN}/moderation/moderation-text", service="text-moderation",
        becomes={"on_timeout": "hold", "hold_for_review": True}, resolved={"route": "moderation-text"},
        drift={"on_timeout": "block"}, unrelated={"queue": 9},
    ),
    Case(
        action="limit_rollout", params={"flag": "answers", "percent": "10"}, path="/tools/orders/flags/answers",
        becomes={"enabled": False, "rollout": {"percent": 10, "ring": "all"}}, resolved={"flag": "answers"},
        drift={"rollout": {"percent": 33, "ring": "all"}}, unrelated={"owner": "ben"},
    ),
)  # fmt: skip

ACTIONS: dict[str, AnyAction] = {
    action.spec.name: action for action in (*BUILT_IN, *load_http_actions(FLAGS, "flags.yaml"))
}

every_action = pytest.mark.parametrize("case", CASES, ids=lambda case: case.action)


async def drafted(case: Case, context: ActionContext) -> tuple[AnyAction, Draft]:
    """A draft as the executor gets it: out of the database, as plain JSON."""
    action = ACTIONS[case.action]
    draft = await action.draft(context, action.spec.params.model_validate(case.params))
    stored = json.loads(json.dumps({"p": draft.params, "pre": draft.pre_state, "post": draft.post_state}))
    return action, replace(draft, params=stored["p"], pre_state=stored["pre"], post_state=stored["post"])


def expected(world: World, case: Case) -> dict[str, Any]:
    after = copy.deepcopy(world.docs)
    after[case.path].update(case.becomes)
    return {path: {k: v for k, v in doc.items() if k != "version"} for path, doc in after.items()}


def test_every_built_in_action_that_changes_something_is_held_to_the_contract() -> None:
    assert {case.action for case in CASES} == ACTIONS.keys() - {"manual"}


@every_action
async def test_a_draft_changes_nothing_and_leaves_nothing_to_be_resolved(case: Case) -> None:
    world = World()
    before = world.public()
    async with serving(world, case.service) as context:
        _, draft = await drafted(case, context)

    assert world.public() == before
    assert world.writes == []
    assert case.resolved.items() <= draft.params.items()
    resolved = {str(v) for k, v in draft.params.items() if k not in ("max_context", "model")}
    assert not {"previous", "top", "worst", "None"} & resolved
    assert draft.blocked_by == ()
    assert not draft.changes_nothing
    assert draft.undo
    assert all(line.before != line.after for line in draft.diff if line.what != "rollout.percent")


@every_action
async def test_apply_does_exactly_what_was_drafted(case: Case) -> None:
    world = World()
    after = expected(world, case)
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        result = await action.apply(context, draft, APPROVAL)

        assert result.status is EffectStatus.DONE
        assert json.loads(world.public()) == after
        assert len(world.writes) == 1
        assert result.observed == draft.post_state == await action.observe(context, draft)


@every_action
async def test_what_somebody_else_has_already_set_is_not_ours_and_nothing_is_sent(case: Case) -> None:
    world = World()
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        await action.apply(context, draft, APPROVAL)
        again = await action.apply(context, draft, APPROVAL)

    assert again.status is EffectStatus.CONFLICT
    assert "somebody else" in again.detail
    assert len(world.writes) == 1


@every_action
async def test_drift_since_the_draft_is_a_conflict_and_stays_as_it_is(case: Case) -> None:
    world = World()
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        world.touch(case.path, **case.drift)
        drifted = world.public()
        result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.CONFLICT
    assert world.public() == drifted
    assert world.writes == []


@every_action
async def test_a_change_of_what_is_not_watched_does_not_stand_in_the_way_and_survives(case: Case) -> None:
    world = World()
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        world.touch(case.path, **case.unrelated)
        result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.DONE
    for key, value in case.unrelated.items():
        kept = world.docs[case.path][key]
        assert kept == value or (isinstance(value, dict) and kept["staging"] == value["staging"])


@every_action
async def test_a_change_between_look_and_write_is_a_conflict(case: Case) -> None:
    world = World(before_write=lambda w, path: w.touch(path, **case.drift))
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.CONFLICT
    assert case.drift.items() <= world.docs[case.path].items()


@every_action
@pytest.mark.parametrize("mishap", ["drop", "500"])
async def test_a_lost_reply_after_the_fact_is_settled_by_looking(case: Case, mishap: str) -> None:
    world = World(act_then=mishap)
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.DONE
    assert len(world.writes) == 1


@every_action
async def test_a_timeout_after_the_fact_is_settled_by_looking(case: Case) -> None:
    world = World(act_then="hang")
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        result = await action.apply(replace(context, http=Hasty(context.http)), draft, APPROVAL)

    assert result.status is EffectStatus.DONE


@every_action
async def test_a_lost_request_that_changed_nothing_has_failed(case: Case) -> None:
    world = World(drop_instead=True)
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.FAILED


@every_action
async def test_what_cannot_be_read_back_is_unknown(case: Case) -> None:
    world = World(act_then="drop", unreadable_after_write=True)
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.UNKNOWN


@every_action
@pytest.mark.parametrize("status", [401, 403, 404, 422, 429])
async def test_a_refusal_has_failed_and_says_why(case: Case, status: int) -> None:
    world = World(refuse=(status, "not for you"))
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        before = world.public()
        result = await action.apply(context, draft, APPROVAL)

    assert result.status is EffectStatus.FAILED
    assert "not for you" in result.detail
    assert world.public() == before


@every_action
async def test_revert_restores_the_same_bytes(case: Case) -> None:
    world = World()
    before = world.public()
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        await action.apply(context, draft, APPROVAL)
        result = await action.revert(context, draft, APPROVAL)
        again = await action.revert(context, draft, APPROVAL)

    assert result.status is EffectStatus.DONE
    assert again.status is EffectStatus.DONE
    assert world.public() == before
    assert len(world.writes) == 2


@every_action
async def test_revert_after_drift_is_a_conflict(case: Case) -> None:
    world = World()
    async with serving(world, case.service) as context:
        action, draft = await drafted(case, context)
        await action.apply(context, draft, APPROVAL)
        world.touch(case.path, **case.drift)
        drifted = world.public()
        result = await action.revert(context, draft, APPROVAL)

    assert result.status is EffectStatus.CONFLICT
    assert world.public() == drifted


@every_action
async def test_a_target_that_cannot_be_reached_has_failed(case: Case) -> None:
    async with serving(World(), case.service) as context:
        action, draft = await drafted(case, context)
    catalogue = context.catalogue  # nobody listens there any more: connections are refused
    async with SafeHttp(catalogue, SECRETS) as http:
        result = await action.apply(context_for(catalogue, http, case.service), draft, APPROVAL)

    assert result.status is EffectStatus.FAILED


@every_action
def test_the_spec_tells_what_a_card_must_show(case: Case) -> None:
    spec = ACTIONS[case.action].spec

    assert spec.title
    assert spec.blast_radius.endswith(".")
    assert spec.reversible
