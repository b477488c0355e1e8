"""Drafts a runbook's step against its real target. Reads only."""

from pydantic import ValidationError

from bot.ports import Planned, Step
from config.catalogue import Catalogue, Service
from config.clock import Clock
from config.http import Http, HttpError
from runbooks.model import ActionContext, ActionError, ActionRegistry


class ActionPlanner:
    """See :class:`bot.ports.Planner`. It is handed the actions, and calls nothing of them but ``draft``."""

    def __init__(self, actions: ActionRegistry, catalogue: Catalogue, http: Http, clock: Clock) -> None:
        self._actions = actions
        self._catalogue = catalogue
        self._http = http
        self._clock = clock

    async def plan(self, step: Step, service: Service) -> Planned:
        action = self._actions.get(step.action)
        if action is None:
            return Planned(step=step, refusal=f"no such action: {step.action}")
        context = ActionContext(service=service, catalogue=self._catalogue, http=self._http, clock=self._clock)
        try:
            params = action.spec.params.model_validate(dict(step.params))
            draft = await action.draft(context, params)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            return Planned(step=step, refusal=f"its parameters do not fit: {problems}")
        except (ActionError, HttpError) as error:
            return Planned(step=step, refusal=str(error))
        if draft.changes_nothing:
            return Planned(step=step, refusal=f"{draft.target} already is as it would be set")
        if draft.blocked_by:
            unmet = "; ".join(f"{p.text}: {p.detail}" for p in draft.blocked_by)
            return Planned(step=step, refusal=f"a precondition does not hold: {unmet}")
        return Planned(step=step, spec=action.spec, draft=draft)
