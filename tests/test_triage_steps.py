"""Which of a runbook's steps may be proposed, and how each is to be verified."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.triage import nodes
from bot.wiring import LIBRARY, actions, open_librarian, open_shelf, specs
from config.catalogue import Catalogue, Service
from config.strict_yaml import load
from diagnostics.model import Diagnosis, Hypothesis, Verdict
from knowledge.model import Query
from runbooks.model import ActionStep, Runbook, RunbookError, VerifyStep
from runbooks.resolve import resolve
from runbooks.shelf import Folder
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

    return SimpleNamespace(
        library=SimpleNamespace(for_service=lambda _: {"provider-outage": book}), resolve=resolve, catalogue=None
    )


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


def asked(catalogue: Catalogue, verify: str, *read: str, diagnosis: Diagnosis = CAUSE) -> list[str]:
    """The calls when nothing else is worth asking; the runbook's first step is verified with this probe."""
    service = catalogue.service("chat-assistant")
    assert service is not None
    check = VerifyStep(probe=verify, outcome="ok", within_s=300)
    own = tools(action("shift_traffic", check), action("shed_traffic", DEMAND))
    own.specs, own.next_calls = specs(), lambda *_, **__: []
    found = [finding(name, "errors", Verdict.ABNORMAL) for name in read]
    return [call["probe"] for call in nodes.calls_for(diagnosis, found, [], own, service)]


def test_what_the_first_step_is_verified_with_is_read_before_it_is_proposed(catalogue: Catalogue) -> None:
    assert asked(catalogue, "gateway_canary", "user_signal") == ["gateway_canary"]
    assert asked(catalogue, "gateway_canary", "user_signal", "gateway_canary") == []


def test_nothing_is_read_for_a_check_alone_that_is_dear_or_has_nothing_to_check(catalogue: Catalogue) -> None:
    unsure = Diagnosis(conclusion="inconclusive", ranked=CAUSE.ranked)

    assert asked(catalogue, "golden_set") == []
    assert asked(catalogue, "gateway_canary", diagnosis=unsure) == []


def test_a_teams_own_runbook_is_for_its_services_and_shadows_nobody_elses(tmp_path: Path, catalogue: Catalogue) -> None:
    ours = (LIBRARY / "provider-outage.md").read_text().replace("owner: assist", "owner: creator")
    (tmp_path / "provider-outage.md").write_text(ours)
    other = ours.replace("id: provider-outage", "id: only-ours").replace(
        'services: ["*"]', "services: [image-generation]"
    )
    (tmp_path / "only-ours.md").write_text(other)
    shelf = open_shelf([Folder(path=tmp_path, team="creator")], actions(), catalogue, date(2026, 11, 22))
    own = SimpleNamespace(library=shelf, resolve=resolve, catalogue=catalogue, specs={})
    chat, images = catalogue.service("chat-assistant"), catalogue.service("image-generation")
    assert chat is not None
    assert images is not None

    def offered(service: Service) -> set[str]:
        return {step.revision for step in nodes.steps(CAUSE, [], service, own)}

    theirs = shelf.for_service(images)["provider-outage"]
    assert offered(images) == {theirs.revision}
    assert theirs.owner == "creator"
    assert offered(chat) == {shelf.for_service(chat)["provider-outage"].revision}
    assert offered(chat) != offered(images)
    assert "only-ours" not in {mode.id for mode in nodes.modes(own, chat)}
    assert "only-ours" in {mode.id for mode in nodes.modes(own, images)}


def test_a_runbook_scoped_to_a_service_leaves_the_built_in_to_the_others(tmp_path: Path, catalogue: Catalogue) -> None:
    text = (LIBRARY / "provider-outage.md").read_text().replace('services: ["*"]', "services: [image-generation]")
    (tmp_path / "provider-outage.md").write_text(text)
    shelf = open_shelf([tmp_path], actions(), catalogue, date(2026, 11, 22))
    chat, images = catalogue.service("chat-assistant"), catalogue.service("image-generation")
    assert chat is not None
    assert images is not None

    assert shelf.for_service(chat)["provider-outage"].services == ("*",)
    assert shelf.for_service(images)["provider-outage"].services == ("image-generation",)
    assert open_librarian(shelf, None).search(Query(title="provider outage", service="chat-assistant")).matches


@pytest.mark.parametrize(
    ("book", "part", "value"),
    [("response-cache-crosstalk", "response_cache", False), ("guardrail-bypass", "guardrail", None)],
)
def test_what_a_service_does_not_have_cannot_be_its_cause(
    catalogue: Catalogue, book: str, part: str, value: object
) -> None:
    shelf = open_shelf([], actions(), catalogue, date(2026, 11, 22))
    own = SimpleNamespace(library=shelf, resolve=resolve, catalogue=catalogue, specs=specs())
    written = Path(__file__).parents[1] / "config" / "example" / "catalogue.yaml"
    example = Catalogue.model_validate(load(written.read_text(encoding="utf-8")).value)
    chat = example.service("chat-assistant")
    assert chat is not None

    without = chat.model_copy(update={part: value, "prometheus": None})

    assert book in {mode.id for mode in nodes.modes(own, chat)}
    assert book not in {mode.id for mode in nodes.modes(own, without)}
    # That nobody measures a service does not mean that its telemetry is well.
    assert "telemetry-failure" in {mode.id for mode in nodes.modes(own, without)}
