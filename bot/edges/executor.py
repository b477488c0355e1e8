"""The only place that changes a target: takes an approved plan, checks its hash, and performs exactly that."""

from typing import Literal

from pydantic import ValidationError

from bot.domain.faults import FaultPoint
from bot.domain.proposal import Plan
from config.catalogue import Catalogue, Service
from config.clock import Clock
from config.http import Http, HttpError
from runbooks.model import (
    ActionContext,
    ActionError,
    ActionRegistry,
    AnyAction,
    Approval,
    DiffLine,
    Draft,
    EffectClass,
    EffectResult,
    EffectStatus,
)


class PlanExecutor:
    """See :class:`bot.ports.Executor`."""

    def __init__(
        self, actions: ActionRegistry, catalogue: Catalogue, http: Http, clock: Clock, fault: FaultPoint
    ) -> None:
        self._actions = actions
        self._catalogue = catalogue
        self._http = http
        self._clock = clock
        self._fault = fault

    async def apply(self, plan: Plan, service: Service, approval: Approval) -> EffectResult:
        action, context, refusal = self._prepare(plan, service, approval)
        if action is None:
            return refusal
        drifted = await self._precondition_lost(action, context, plan)
        if drifted is not None:
            return drifted
        self._fault("K9")
        result = await action.apply(context, draft_of(plan), approval)
        self._fault("K11")
        return result

    async def revert(self, plan: Plan, service: Service, approval: Approval) -> EffectResult:
        action, context, refusal = self._prepare(plan, service, approval)
        return refusal if action is None else await action.revert(context, draft_of(plan), approval)

    async def settle(self, plan: Plan, service: Service, approval: Approval, kind: Literal["apply", "revert"], *,
                     why_not: str = "") -> EffectResult:  # fmt: skip
        action, context, refusal = self._prepare(plan, service, approval)
        if action is None:
            return refusal
        draft = draft_of(plan)
        try:
            observed = await action.observe(context, draft)
        except (ActionError, HttpError) as error:
            return EffectResult(
                status=EffectStatus.UNKNOWN, detail=f"interrupted, and the target cannot be read: {error}"
            )
        wanted, origin = (draft.post_state, draft.pre_state) if kind == "apply" else (draft.pre_state, draft.post_state)
        if observed == wanted:
            return EffectResult(status=EffectStatus.DONE, detail="interrupted after it took effect", observed=observed)
        if observed != origin:
            detail = "interrupted, and the target is neither as before nor as planned"
            return EffectResult(status=EffectStatus.UNKNOWN, detail=detail, observed=observed)
        if action.spec.effect not in (EffectClass.CONVERGE, EffectClass.KEYED):
            detail = "interrupted before or while it was sent; not sent again"
            return EffectResult(status=EffectStatus.UNKNOWN, detail=detail, observed=observed)
        if why_not:
            detail = f"interrupted before it was sent, and not sent now: {why_not}"
            return EffectResult(status=EffectStatus.FAILED, detail=detail, observed=observed)
        return await (action.apply if kind == "apply" else action.revert)(context, draft, approval)

    def _prepare(
        self, plan: Plan, service: Service, approval: Approval
    ) -> tuple[AnyAction | None, ActionContext, EffectResult]:
        context = ActionContext(service=service, catalogue=self._catalogue, http=self._http, clock=self._clock)
        action = self._actions.get(plan.action)
        if plan.hash != approval.plan_hash:
            return None, context, EffectResult(status=EffectStatus.FAILED, detail="the plan is not the approved one")
        if action is None:
            return None, context, EffectResult(status=EffectStatus.FAILED, detail=f"no such action: {plan.action}")
        return action, context, EffectResult(status=EffectStatus.FAILED, detail="")

    async def _precondition_lost(self, action: AnyAction, context: ActionContext, plan: Plan) -> EffectResult | None:
        """Draft once more right before the effect: the preconditions must hold now, and the target be as approved."""
        try:
            fresh = await action.draft(context, action.spec.params.model_validate(dict(plan.params)))
        except (ActionError, HttpError, ValidationError) as error:
            return EffectResult(status=EffectStatus.FAILED, detail=f"the target cannot be read right before: {error}")
        if fresh.changes_nothing and fresh.post_state == plan.post_state:
            # Not ours, so not ours to undo later.
            detail = "somebody else has already set it; nothing was sent"
            return EffectResult(status=EffectStatus.CONFLICT, detail=detail, observed=fresh.pre_state)
        if dict(fresh.pre_state) != dict(plan.pre_state) or dict(fresh.post_state) != dict(plan.post_state):
            detail = "the target has changed since the plan was shown; nothing was done"
            return EffectResult(status=EffectStatus.CONFLICT, detail=detail, observed=fresh.pre_state)
        if fresh.blocked_by:
            unmet = "; ".join(f"{p.text}: {p.detail}" for p in fresh.blocked_by)
            return EffectResult(status=EffectStatus.FAILED, detail=f"a precondition no longer holds: {unmet}")
        return None


def draft_of(plan: Plan) -> Draft:
    """The draft that the plan was made from."""
    return Draft(
        action=plan.action, params=plan.params, target=plan.target, pre_state=plan.pre_state,
        post_state=plan.post_state, diff=tuple(DiffLine(what=a, before=b, after=c) for a, b, c in plan.diff),
        undo=plan.undo, instructions=plan.instructions,
    )  # fmt: skip
