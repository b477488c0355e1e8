"""Which of a runbook's steps may be proposed, and how each is to be verified."""

from types import SimpleNamespace
from typing import Any

from bot.triage import nodes
from config.catalogue import Catalogue
from diagnostics.model import Diagnosis, Hypothesis, Verdict
from runbooks.model import ActionStep, Runbook, RunbookError, VerifyStep
from tests.flow_fakes import finding

CANARY = VerifyStep(probe="gateway_canary", outcome="ok", within_s=300)
DEMAND = VerifyStep(probe="demand_profile", outcome="ok", within_s=300)
CAUSE = Diagnosis(
    conclusion="cause", causes=("provider-outage",),
    ranked=(Hypothesis(mode="provider-outage", title="Outage", probability=0.9),),
)  # fmt: skip


def action(name: str, verify: VerifyStep, **params: Any) -> ActionStep:
    return ActionStep(
        action=name, params=params, section=name, title=name, prose="because", verify=verify, lease_s=None,
        min_risk=None, line=1,
    )  # fmt: skip


def tools(*actions: ActionStep) -> Any:
    book = Runbook(
        id="provider-outage", title="Outage", owner="assist", path="x.md", revision="r1", executable=True, sections=(),
        actions=actions,
    )  # fmt: skip

    def resolve(params: Any, service: Any, catalogue: Any) -> Any:
        if "missing" in params:
            raise RunbookError("not declared")
        return params

    return SimpleNamespace(library=SimpleNamespace(get={"provider-outage": book}.get), resolve=resolve, catalogue=None)


def steps(catalogue: Catalogue, findings: list[Any], *actions: ActionStep, diagnosis: Diagnosis = CAUSE) -> list[Any]:
    service = catalogue.service("chat-assistant")
    assert service is not None
    return nodes.steps(diagnosis, findings, service, tools(*actions))


def test_a_step_whose_check_already_holds_proves_nothing(catalogue: Catalogue) -> None:
    found = [finding("demand_profile", "ok", Verdict.NORMAL)]

    left = steps(catalogue, found, action("clamp_retries", DEMAND), action("shift_traffic", CANARY))

    assert [step.action for step in left] == ["shift_traffic"]


def test_canaries_that_pass_while_users_fail_are_not_the_check(catalogue: Catalogue) -> None:
    found = [finding("gateway_canary", "ok", Verdict.NORMAL), finding("user_signal", "errors", Verdict.ABNORMAL)]

    (step,) = steps(catalogue, found, action("shift_traffic", CANARY))

    assert step.verify is not None
    assert (step.verify.probe, step.verify.outcome) == ("user_signal", "ok")
    assert step.verify.within_s >= 600


def test_canaries_that_pass_while_users_are_well_leave_nothing_to_do(catalogue: Catalogue) -> None:
    found = [finding("gateway_canary", "ok", Verdict.NORMAL), finding("user_signal", "ok", Verdict.NORMAL)]

    assert steps(catalogue, found, action("shift_traffic", CANARY)) == []


def test_a_step_that_the_service_cannot_resolve_is_left_out(catalogue: Catalogue) -> None:
    left = steps(catalogue, [], action("shift_traffic", CANARY, missing="x"), action("shed_traffic", CANARY))

    assert [step.action for step in left] == ["shed_traffic"]


def test_without_a_cause_there_are_no_steps(catalogue: Catalogue) -> None:
    unsure = Diagnosis(conclusion="inconclusive", ranked=CAUSE.ranked)

    assert steps(catalogue, [], action("shift_traffic", CANARY), diagnosis=unsure) == []
