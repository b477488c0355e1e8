"""What a probe that somebody asked for showed, in words with its evidence."""

from bot.domain import wording
from bot.domain.statement import code, plain
from bot.domain.untrusted import quote
from diagnostics.model import Finding, ProbeSpec, Verdict

EXCERPTS = 2


def shown(found: Finding, spec: ProbeSpec) -> str:
    """Escaped mrkdwn: the verdict, the number that decided it, and what was received."""
    mark, verdict = wording.VERDICTS[found.verdict]
    ran = found.verdict not in (Verdict.NOT_RUN, Verdict.ERROR)
    what = f"{plain(wording.outcome(found.outcome))} ({verdict})" if ran else verdict
    lines = [f"{mark} *{plain(spec.title)}*: {what} {code(found.id)}", quote(found.reading.summary, 300)]
    numbers = wording.statistics(found)
    took = f"took {wording.seconds(found.elapsed_s)}" + (
        f", {found.reading.tokens:,} tokens" if found.reading.tokens else ""
    )
    lines.append(plain(f"{numbers}; {took}" if numbers else took, 300))
    lines += [f"{quote(one.source, 160)}: {quote(one.excerpt, 200)}" for one in found.reading.evidence[:EXCERPTS]]
    return "\n".join(lines)
