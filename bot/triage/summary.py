"""The diagnosis as a note for the pager: plain text, every number with its evidence id."""

from collections.abc import Sequence

from bot.domain import wording
from diagnostics.model import Diagnosis, Finding, Verdict


def note(diagnosis: Diagnosis, findings: Sequence[Finding]) -> str:
    """At most a dozen lines."""
    abnormal = [f"- {f.probe}: {f.reading.summary} [{f.id}]" for f in findings if f.verdict is Verdict.ABNORMAL]
    well = sorted({f.probe for f in findings if f.verdict is Verdict.NORMAL})
    unclear = sorted({f.probe for f in findings if f.verdict not in (Verdict.ABNORMAL, Verdict.NORMAL)})
    lines = [_headline(diagnosis), *abnormal[:6]]
    if well:
        lines.append(f"Checked and normal: {', '.join(well)}.")
    if unclear:
        lines.append(f"Inconclusive or not run: {', '.join(unclear)}.")
    return "\n".join(lines)


def _headline(diagnosis: Diagnosis) -> str:
    if diagnosis.conclusion == "cause":
        names = " and ".join(diagnosis.causes)
        return f"Pagerunner: the findings point to {names} ({wording.percent(diagnosis.leader.probability)} sure)."
    if diagnosis.conclusion == "no_fault":
        return "Pagerunner: no fault found; nothing was changed."
    ranked = ", ".join(f"{h.mode} {wording.percent(h.probability)}" for h in diagnosis.ranked[:3])
    return f"Pagerunner: inconclusive ({diagnosis.reason}). Most likely: {ranked}."
