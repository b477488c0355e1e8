"""What ``pagerunner runbooks test`` tries of one runbook, as values: phrases, steps, recordings, and its drill."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.cli.dry_run import DryRun
from bot.domain.drills import SEEN
from bot.domain.page import Page
from bot.wiring import specs
from config.catalogue import Catalogue
from diagnostics.differential import diagnose
from diagnostics.model import INCONCLUSIVE, Finding, Reading, Verdict
from knowledge.phrase_tests import WITHIN, PhraseResult
from runbooks.model import ActionRegistry, Library, Runbook
from runbooks.recorded import Recording, beside, read_recordings
from runbooks.steps import StepCheck, check_steps


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What follows from recorded probe outputs."""

    name: str
    service: str
    conclusion: str
    causes: tuple[str, ...]
    ranked: tuple[tuple[str, float], ...]
    """The most probable hypotheses."""
    reason: str
    proposed: tuple[str, ...] = ()
    """References of the steps that would be proposed."""
    withheld: tuple[tuple[str, str], ...] = ()
    """Steps that would not be, and why."""
    fault: str = ""
    """Why it fails; empty: it leads to this runbook."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Everything that was tried of one runbook."""

    runbook: Runbook
    phrases: tuple[PhraseResult, ...]
    steps: tuple[StepCheck, ...]
    recordings: tuple[Replayed, ...]
    drill: str
    """Name of the drill that exercises it; empty: there is none."""
    within: int = 1
    """How far down the runbook of a phrase may stand."""
    drilled: Mapping[str, Any] | None = None
    """The drill's score, when it was run."""

    @property
    def missed(self) -> tuple[PhraseResult, ...]:
        return tuple(one for one in self.phrases if not 0 < one.rank <= max(self.within, WITHIN[one.role]))

    @property
    def faults(self) -> tuple[str, ...]:
        """All that fails, each in one line."""
        called = {"page": "page phrase", "report": "report", "not_page": "not_pages phrase"}
        found = [f"{called[one.role]} {one.text!r} found {one.found or 'nothing'}" for one in self.missed]
        found += dict.fromkeys(f"{one.name} (line {one.line}): {one.fault}" for one in self.steps if one.fault)
        found += [f"{step} is for no service of the catalogue" for step in nowhere(self.steps)]
        found += [f"recording {one.name!r}: {one.fault}" for one in self.recordings if one.fault]
        return (*found, *([told] if (told := drill_fault(self)) else []))

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "runbook": self.runbook.id, "file": self.runbook.path, "passed": not self.faults, "faults": self.faults,
            "phrases": [
                {"role": one.role, "text": one.text, "expected": one.expected, "found": one.found, "rank": one.rank,
                 "passed": one not in self.missed, "why": one.why, "also_in_prose": one.also_in_prose}
                for one in self.phrases
            ],
            "steps": [asdict(one) for one in self.steps],
            "recordings": [asdict(one) for one in self.recordings],
            "drill": self.drill, "drilled": self.drilled,
        }  # fmt: skip


def nowhere(steps: Sequence[StepCheck]) -> list[str]:
    """Steps that no service can take, since each lacks something."""
    by_line: dict[tuple[int, str], list[StepCheck]] = {}
    for one in steps:
        by_line.setdefault((one.line, one.name), []).append(one)
    return [f"{name} (line {line})" for (line, name), ones in by_line.items() if all(one.lacks for one in ones)]


def drill_of(runbook: Runbook) -> str:
    """The drill that exercises this runbook: the one it names, or the one of its own name."""
    name = runbook.drill or runbook.id
    return name if name in SEEN else ""


def drill_fault(trial: Trial) -> str:
    """What the drill showed to be wrong, in one line."""
    runbook, score = trial.runbook, trial.drilled
    if runbook.drill and runbook.drill not in SEEN:
        return f"there is no drill {runbook.drill!r}; `pagerunner drill list` shows what there is"
    if score is None:
        return ""
    if score["abstained_on_solvable"]:
        return f"drill {trial.drill}: no cause was concluded"
    if not score["top1"]:
        return f"drill {trial.drill}: another cause was concluded"
    if runbook.actions and score["solvable"] and not score["mitigation_success"]:
        return f"drill {trial.drill}: the cause was found, and its steps did not restore the service"
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What trials share: the library, the actions, the catalogue if there is one, and the time."""

    library: Library
    actions: ActionRegistry
    catalogue: Catalogue | None
    now: datetime

    def steps(self, runbook: Runbook) -> tuple[StepCheck, ...]:
        """Every step for every service; none without a catalogue."""
        if self.catalogue is None:
            return ()
        actions = {name: action.spec for name, action in self.actions.items()}
        return tuple(check_steps(runbook, specs(), actions, self.catalogue))

    def recordings(self, runbook: Runbook) -> tuple[Replayed, ...]:
        """What follows from each recording beside the file. Raises :class:`runbooks.recorded.RecordedError`."""
        healthy = {name: spec.normal for name, spec in specs().items()}
        recordings = read_recordings(beside(Path(runbook.path)), specs(), healthy)
        return tuple(self._replay(runbook, one) for one in recordings)

    def _replay(self, runbook: Runbook, recording: Recording) -> Replayed:
        service = self.catalogue.service(recording.service) if self.catalogue else None
        empty = Replayed(name=recording.name, service=recording.service, conclusion="", causes=(), ranked=(), reason="")
        if service is None or self.catalogue is None:
            return replace(empty, fault=f"there is no service {recording.service!r} in the catalogue")
        findings = [self._finding(number, item, service.name) for number, item in enumerate(recording.shows.items())]
        page = Page(event_id="recorded", kind="triggered", occurred_at=self.now, received_at=self.now, source="cli",
                    incident_ref="", title=recording.name)  # fmt: skip
        run = DryRun(page=page, service=service, catalogue=self.catalogue, library=self.library, actions=self.actions)
        # Without what the page said: the probes alone have to lead here.
        diagnosis = diagnose(findings, {}, run.modes(), specs(), service.kind, final=True)
        steps = run.steps([runbook.id], findings)
        proposed = tuple(step["reference"] for step in steps if not step["not_proposed"])
        fault = ""
        if diagnosis.conclusion != "cause" or runbook.id not in diagnosis.causes:
            told = ", ".join(diagnosis.causes) or diagnosis.conclusion.replace("_", " ")
            fault = f"leads to {told} ({diagnosis.reason})"
        elif steps and not proposed:
            fault = f"none of its steps would be proposed: {steps[0]['not_proposed']}"
        return replace(
            empty, conclusion=diagnosis.conclusion, causes=diagnosis.causes, reason=diagnosis.reason, fault=fault,
            ranked=tuple((one.mode, round(one.probability, 3)) for one in diagnosis.ranked[:3]), proposed=proposed,
            withheld=tuple((step["reference"], step["not_proposed"]) for step in steps if step["not_proposed"]),
        )  # fmt: skip

    def _finding(self, number: int, item: tuple[str, str], service: str) -> Finding:
        probe, outcome = item
        verdict = specs()[probe].outcomes.get(
            outcome, Verdict.INCONCLUSIVE if outcome == INCONCLUSIVE else Verdict.ERROR
        )
        return Finding(
            id=f"recorded-{number}", probe=probe, service=service, params={}, outcome=outcome, verdict=verdict,
            reading=Reading(outcome=outcome, summary="as recorded"), started_at=self.now, elapsed_s=0.0,
        )  # fmt: skip
