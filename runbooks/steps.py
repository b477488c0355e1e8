"""Every probe and action step of a runbook, filled in for every service it is for: what would run, or why not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from config.catalogue import Catalogue, Service
from runbooks.model import ActionSpec, ProbeSignature, Runbook
from runbooks.resolve import SubstitutionError, UndeclaredError, applies, resolve


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCheck:
    """One step for one service."""

    kind: Literal["probe", "action"]
    name: str
    section: str
    title: str
    line: int
    service: str
    params: Mapping[str, Any]
    """Filled in; as written where that is not possible."""
    fault: str = ""
    """Why it can never run as it is written; empty: it can."""
    lacks: str = ""
    """What this service does not declare, so that the step is not for it; empty: nothing."""


def services_of(runbook: Runbook, catalogue: Catalogue) -> tuple[Service, ...]:
    """The services of the catalogue that the runbook is for."""
    return tuple(service for service in catalogue.services if applies(runbook, service))


def check_steps(
    runbook: Runbook,
    probes: Mapping[str, ProbeSignature],
    actions: Mapping[str, ActionSpec],
    catalogue: Catalogue,
) -> Iterator[StepCheck]:
    """All steps, in the order of the document, each for every service in the order of the catalogue."""
    titles = {section.anchor: section.title for section in runbook.sections}
    written: list[tuple[Literal["probe", "action"], Any, str, type[BaseModel] | None]] = []
    for probe in runbook.probes:
        signature = probes.get(probe.probe)
        written.append(("probe", probe, probe.probe, signature.params if signature else None))
    for action in runbook.actions:
        spec = actions.get(action.action)
        written.append(("action", action, action.action, spec.params if spec else None))
    for kind, step, name, schema in sorted(written, key=lambda one: one[1].line):
        for service in services_of(runbook, catalogue):
            params, fault, lacks = _filled(step.params, schema, service, catalogue)
            yield StepCheck(
                kind=kind, name=name, section=step.section, title=titles.get(step.section, ""), line=step.line,
                service=service.name, params=params, fault=fault if schema else f"there is no {kind} {name!r}",
                lacks=lacks,
            )  # fmt: skip


def _filled(
    params: Mapping[str, Any], schema: type[BaseModel] | None, service: Service, catalogue: Catalogue
) -> tuple[Mapping[str, Any], str, str]:
    """Parameters, fault and lack of one step for one service."""
    try:
        filled = resolve(params, service, catalogue)
    except UndeclaredError as error:
        return params, "", str(error)
    except SubstitutionError as error:
        return params, str(error), ""
    try:
        if schema is not None:
            schema.model_validate(filled)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        return filled, f"{place}: {str(first['msg']).removeprefix('Value error, ')}", ""
    return filled, "", ""
