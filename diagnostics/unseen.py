"""What a page speaks of and no probe has seen. Some modes no probe can see: a leak that a person reports, somebody who
may come to harm. They compete with nothing that probes measure. And of worse answers only a golden set can say that
they are as good as ever. Where a page speaks of either, healthy probes are no reason to call all well.
"""

from collections.abc import Mapping, Sequence

from diagnostics.likelihood import SYMPTOM
from diagnostics.model import Finding, Mode, ProbeSpec, Verdict, Weight

SPOKEN_OF = 0.25
"""Share of the retrieval's weight from which a page is taken to speak of such a mode."""

WORSE_ANSWERS = 0.5
"""The same for all modes together that make answers worse, or say that they are."""
GOLDEN = "golden_set"


def seen(mode: Mode, specs: Mapping[str, ProbeSpec]) -> bool:
    """Whether a probe could ever show this mode: its evidence calls some abnormal outcome its own.

    A mode without evidence, or only of what users notice or of probes that are not here, has not said that nothing can.
    """
    known = {probe: outcomes for probe, outcomes in mode.evidence.items() if probe in specs and probe != SYMPTOM}
    return not known or any(
        weight in (Weight.USUAL, Weight.WEAKLY_FOR) and specs[probe].outcomes.get(outcome) is Verdict.ABNORMAL
        for probe, outcomes in known.items()
        for outcome, weight in outcomes.items()
    )


def spoken_of(prior: Mapping[str, float], meant: Mapping[str, Mode], possible: Mapping[str, Mode]) -> str:
    """The one of ``meant`` that is not ``possible`` and that the page speaks of; empty: there is none."""
    total = sum(max(0.0, prior.get(mode, 0.0)) for mode in meant)
    spoken = [mode for mode in meant if mode not in possible and prior.get(mode, 0.0) >= SPOKEN_OF * total > 0]
    return max(spoken, key=lambda mode: (prior[mode], mode), default="")


def unmeasured_answers(
    prior: Mapping[str, float], possible: Mapping[str, Mode], read: Sequence[Finding], specs: Mapping[str, ProbeSpec]
) -> bool:
    """Whether the page speaks of worse answers, and the golden set that could tell has not been read as good."""
    told = {name: mode.evidence.get(SYMPTOM, {}).get("quality_drop") for name, mode in possible.items()}
    about = [name for name, weight in told.items() if weight is Weight.USUAL]
    total, worse = (sum(max(0.0, prior.get(name, 0.0)) for name in names) for names in (possible, about))
    good = any(finding.probe == GOLDEN and finding.verdict is Verdict.NORMAL for finding in read)
    return GOLDEN in specs and worse >= WORSE_ANSWERS * total > 0 and not good
