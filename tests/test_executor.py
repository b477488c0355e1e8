"""The executor and the planner on real actions and real sockets: what was approved, once, and nothing else."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

import pytest

from bot.domain.faults import no_fault
from bot.domain.proposal import Plan
from bot.edges.executor import PlanExecutor
from bot.edges.planner import ActionPlanner
from bot.ports import Step
from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.actions.http_action_file import load_http_actions
from runbooks.model import ActionContext, ActionRegistry, Approval, EffectResult, EffectStatus, VerifyStep
from tests.actions_fakes import StoppedClock, World, serving
from tests.conftest import START
from tests.incident_samples import plan as sample

CLASSES = "/gateway/admin/classes/support/batch"
SHED = {"admit_percent": 20}
KEYED = """\
actions:
  - name: switch_flag
    title: Switch a feature flag
    risk: R2
    blast_radius: Everybody who uses the feature.
    target: order-tool
    read: {path: /flags/answers, watch: [enabled]}
    call: {method: PUT, path: /flags/answers, body: '{"enabled": false}'}
    expect: '{"enabled": false}'
    undo: {method: PUT, path: /flags/answers, body: '{"enabled": "$pre.enabled"}'}
    effect: EFFECT
"""
ACTIONS: ActionRegistry = {action.spec.name: action for action in BUILT_IN}


def declared(text: str = KEYED, effect: str = "converge") -> ActionRegistry:
    return {a.spec.name: a for a in load_http_actions(text.replace("EFFECT", effect), "f.yaml")}


@dataclass
class Office:
    """A world, and the parts of the product that plan and execute in it."""

    world: World
    context: ActionContext
    actions: ActionRegistry

    @property
    def executor(self) -> PlanExecutor:
        return PlanExecutor(self.actions, self.context.catalogue, self.context.http, StoppedClock(), no_fault)

    @property
    def planner(self) -> ActionPlanner:
        return ActionPlanner(self.actions, self.context.catalogue, self.context.http, StoppedClock())

    async def plan(self, action: str = "shed_traffic", params: Mapping[str, Any] = SHED) -> Plan:
        """As it comes out of the database."""
        planned = await self.planner.plan(step(action, params), self.context.service)
        assert planned.draft is not None, planned.refusal
        assert planned.spec is not None
        draft = planned.draft
        made = replace(
            sample("inc-1"), action=draft.action, params=draft.params, target=draft.target, pre_state=draft.pre_state,
            post_state=draft.post_state, diff=tuple((d.what, d.before, d.after) for d in draft.diff), undo=draft.undo,
            effect=planned.spec.effect.value, instructions=draft.instructions,
        )  # fmt: skip
        return Plan.from_json(made.as_json())

    async def do(self, plan: Plan, **approved: Any) -> EffectResult:
        return await self.executor.apply(plan, self.context.service, approval(plan, **approved))

    async def settle(self, plan: Plan, kind: Literal["apply", "revert"] = "apply", why_not: str = "") -> EffectResult:
        return await self.executor.settle(plan, self.context.service, approval(plan), kind, why_not=why_not)


def step(action: str, params: Mapping[str, Any]) -> Step:
    return Step(
        key="k", reference="r#s", runbook="r", revision="1", action=action, params=params, title="t",
        verify=VerifyStep(probe="user_signal", outcome="ok", within_s=60), lease_s=None, min_risk=None,
    )  # fmt: skip


def approval(plan: Plan, **changes: Any) -> Approval:
    made = Approval(proposal_id="pr-1", plan_hash=plan.hash, approved_by=("local:ana",), approved_at=START)
    return replace(made, **changes)


@asynccontextmanager
async def office(world: World | None = None, actions: ActionRegistry = ACTIONS) -> AsyncIterator[Office]:
    world = world or World()
    async with serving(world) as context:
        yield Office(world=world, context=context, actions=actions)


# --- apply ----------------------------------------------------------------------------------------------------------


async def test_what_was_approved_is_done_once() -> None:
    async with office() as here:
        result = await here.do(await here.plan())

    assert result.status is EffectStatus.DONE
    assert here.world.docs[CLASSES]["admit_percent"] == 20
    assert len(here.world.writes) == 1


@pytest.mark.parametrize("changes", [{"params": {"admit_percent": 0}}, {"target": "x"}, {"post_state": {}}])
async def test_another_plan_than_the_approved_one_is_refused(changes: dict[str, Any]) -> None:
    async with office() as here:
        plan = await here.plan()
        result = await here.do(replace(plan, **changes), plan_hash=plan.hash)

    assert result.status is EffectStatus.FAILED
    assert "not the approved one" in result.detail
    assert here.world.writes == []


async def test_an_action_that_is_not_there_any_more_is_refused() -> None:
    async with office() as here:
        plan = await here.plan()
        here.actions = {}
        results = [await here.do(plan), await here.settle(plan)]

    assert [r.status for r in results] == [EffectStatus.FAILED, EffectStatus.FAILED]
    assert here.world.writes == []


async def test_what_a_colleague_has_set_by_hand_is_a_conflict_and_not_ours_to_undo() -> None:
    async with office() as here:
        plan = await here.plan()
        here.world.touch(CLASSES, admit_percent=20)
        result = await here.do(plan)

    assert result.status is EffectStatus.CONFLICT
    assert "somebody else has already set it" in result.detail
    assert here.world.writes == []


async def test_a_target_that_moved_since_the_vote_is_a_conflict() -> None:
    async with office() as here:
        plan = await here.plan()
        here.world.touch(CLASSES, admit_percent=70)
        result = await here.do(plan)

    assert result.status is EffectStatus.CONFLICT
    assert (result.observed["admit_percent"], here.world.writes) == (70, [])


async def test_a_precondition_that_was_lost_since_the_vote_stops_it() -> None:
    params = {"from": "acme-openai", "to": "beta-anthropic", "percent": 60}
    async with office() as here:
        plan = await here.plan("shift_traffic", params)
        here.world.facts["/gateway/admin/deployments"]["deployments"][2]["state"] = "failing"
        result = await here.do(plan)

    assert result.status is EffectStatus.FAILED
    assert "precondition" in result.detail
    assert here.world.writes == []


async def test_a_target_that_cannot_be_read_right_before_is_left_alone() -> None:
    async with office() as here:
        plan = await here.plan()
        del here.world.docs[CLASSES]
        result = await here.do(plan)

    assert result.status is EffectStatus.FAILED
    assert here.world.writes == []


async def test_a_declaration_that_was_edited_after_the_vote_is_a_conflict() -> None:
    async with office(actions=declared()) as here:
        plan = await here.plan("switch_flag", {})
        here.actions = declared(KEYED.replace("call: {method: PUT", "call: {method: PATCH"))
        forth = await here.do(plan)
        settled = await here.settle(plan)

    assert forth.status is EffectStatus.CONFLICT
    assert settled.status is EffectStatus.UNKNOWN
    assert "PUT http" in plan.instructions
    assert here.world.writes == []


# --- settle ---------------------------------------------------------------------------------------------------------


async def test_interrupted_and_already_so_is_done_without_sending() -> None:
    async with office() as here:
        plan = await here.plan()
        here.world.touch(CLASSES, admit_percent=20)
        results = [await here.settle(plan), await here.settle(plan, why_not="the incident was resolved")]

    assert [r.status for r in results] == [EffectStatus.DONE, EffectStatus.DONE]
    assert here.world.writes == []


@pytest.mark.parametrize("effect", ["converge", "keyed"])
async def test_interrupted_before_it_was_sent_is_finished(effect: str) -> None:
    text = KEYED if effect == "converge" else f"{KEYED}    idempotency_header: Idempotency-Key\n"
    async with office(actions=declared(text, effect)) as here:
        plan = await here.plan("switch_flag", {})
        result = await here.settle(plan)
        undone = await here.settle(plan, "revert")

    assert (result.status, undone.status) == (EffectStatus.DONE, EffectStatus.DONE)
    assert [write[2] for write in here.world.writes] == [{"enabled": False}, {"enabled": True}]


async def test_interrupted_before_it_was_sent_is_not_sent_when_it_may_not_be() -> None:
    async with office() as here:
        result = await here.settle(await here.plan(), why_not="the incident was resolved")

    assert result.status is EffectStatus.FAILED
    assert "not sent now: the incident was resolved" in result.detail
    assert here.world.writes == []


async def test_interrupted_and_neither_before_nor_after_is_for_a_person() -> None:
    async with office() as here:
        plan = await here.plan()
        here.world.touch(CLASSES, admit_percent=70)
        result = await here.settle(plan)

    assert (result.status, here.world.writes) == (EffectStatus.UNKNOWN, [])


async def test_interrupted_and_unreadable_is_for_a_person() -> None:
    async with office() as here:
        plan = await here.plan()
        del here.world.docs[CLASSES]
        result = await here.settle(plan)

    assert (result.status, here.world.writes) == (EffectStatus.UNKNOWN, [])


async def test_what_must_not_be_sent_twice_is_for_a_person() -> None:
    async with office(actions=declared(effect="unsafe_once")) as here:
        plan = await here.plan("switch_flag", {})
        results = [await here.settle(plan), await here.settle(plan, why_not="resolved")]

    assert [r.status for r in results] == [EffectStatus.UNKNOWN, EffectStatus.UNKNOWN]
    assert here.world.writes == []


async def test_a_forged_plan_is_not_even_read_back() -> None:
    async with office() as here:
        plan = await here.plan()
        forged = replace(plan, expires_at=plan.expires_at + timedelta(days=1))
        result = await here.executor.settle(forged, here.context.service, approval(plan), "apply")
        back = await here.executor.revert(forged, here.context.service, approval(plan))

    assert (result.status, back.status) == (EffectStatus.FAILED, EffectStatus.FAILED)
    assert here.world.writes == []


# --- plan -----------------------------------------------------------------------------------------------------------


async def test_a_draft_reads_and_sends_nothing() -> None:
    async with office() as here:
        planned = await here.planner.plan(step("shed_traffic", SHED), here.context.service)

    assert planned.draft is not None
    assert (planned.draft.pre_state, planned.draft.post_state) == ({"admit_percent": 100}, {"admit_percent": 20})
    assert here.world.writes == []


@pytest.mark.parametrize(
    ("action", "params", "why"),
    [
        ("raise_the_dead", {}, "no such action"),
        ("shed_traffic", {"admit_percent": 101}, "parameters do not fit"),
        ("shed_traffic", {"colour": "red"}, "parameters do not fit"),
        ("shed_traffic", {"admit_percent": 100}, "already is as it would be set"),
        ("shed_traffic", {"traffic_class": "unknown"}, "HTTP 404"),
    ],
)
async def test_what_cannot_be_drafted_says_why(action: str, params: dict[str, Any], why: str) -> None:
    async with office() as here:
        planned = await here.planner.plan(step(action, params), here.context.service)

    assert planned.draft is None
    assert why in planned.refusal


async def test_a_step_whose_precondition_does_not_hold_is_not_proposed() -> None:
    async with office() as here:
        here.world.facts["/gateway/admin/deployments"]["deployments"][2]["state"] = "failing"
        params = {"from": "acme-openai", "to": "beta-anthropic", "percent": 60}
        planned = await here.planner.plan(step("shift_traffic", params), here.context.service)

    assert "a precondition does not hold" in planned.refusal
