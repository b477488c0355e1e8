"""Questions about the cause: what it is, how sure, why, what else, what was ruled out, what is not known."""

from collections.abc import Iterator

from bot.domain import wording
from bot.domain.card import against, newest_findings, verdict
from bot.domain.detail import argument_line, percent
from bot.domain.questions.kind import GENERAL, SPECIFIC, USUAL, Case, Kind
from bot.domain.questions.words import finding, named, no_cause, seen, would_run, would_tell
from bot.domain.statement import Statement, code, plain, refs_of
from bot.domain.untrusted import quote
from diagnostics.model import NO_FAULT, OTHER, Finding, Hypothesis, Verdict, Weight


def why(case: Case) -> Iterator[Statement]:
    """The leader and what speaks for it; the runner-up and what speaks against it."""
    view = case.view
    diagnosis = view.diagnosis
    if diagnosis is None:
        yield from no_cause(case)
        return
    yield Statement(text=f"{plain(verdict(diagnosis))}.", refs=refs_of(view, "diagnosis_made"))
    for argument in [a for a in diagnosis.leader.arguments if a.bits > 0][:2]:
        found = finding(view, argument.finding_id)
        said = f": {quote(found.reading.summary)}" if found else ""
        words = wording.WEIGHTS[argument.weight]
        shown = f"{plain(argument.probe)} {plain(argument.outcome)}"
        yield Statement(text=f"• {shown} {words}{said}", refs=(argument.finding_id,))
    if diagnosis.residual:
        yield Statement(text="• Not explained by it:", refs=diagnosis.residual)
        return
    for other in diagnosis.ranked[1:2]:
        contrary = against(other)
        if contrary is not None:
            text = f"• Not {plain(other.title)} ({percent(other.probability)}): "
            text += f"{plain(contrary.probe)} {plain(contrary.outcome)} {wording.WEIGHTS[contrary.weight]}"
            yield Statement(text=text, refs=(contrary.finding_id,))


def how_sure(case: Case) -> Iterator[Statement]:
    """The probabilities, and why it stopped."""
    diagnosis = case.view.diagnosis
    if diagnosis is None:
        yield from no_cause(case)
        return
    for hypothesis in diagnosis.ranked[:3]:
        refs = tuple(argument.finding_id for argument in hypothesis.arguments[:2])
        yield Statement(text=f"• {percent(hypothesis.probability)} {plain(hypothesis.title)}", refs=refs)
    if diagnosis.reason:
        refs = refs_of(case.view, "diagnosis_made", "investigation_ended")
        yield Statement(text=f"It stopped here because: {quote(diagnosis.reason)}.", refs=refs)


def else_be(case: Case) -> Iterator[Statement]:
    """The other hypotheses that are left, most probable first."""
    diagnosis = case.view.diagnosis
    if diagnosis is None:
        yield from no_cause(case)
        return
    made = refs_of(case.view, "diagnosis_made")
    left = [h for h in diagnosis.ranked[1:] if not any(a.weight is Weight.RULES_OUT for a in h.arguments)][:3]
    for other in left:
        contrary = against(other)
        but = f", but {plain(contrary.probe)} {plain(contrary.outcome)} {wording.WEIGHTS[contrary.weight]}" if (
            contrary) else ""  # fmt: skip
        refs = (contrary.finding_id,) if contrary else made
        yield Statement(text=f"• {percent(other.probability)} {plain(other.title)}{but}", refs=refs)
    if not left:
        yield Statement(text=f"Nothing that is left: all but {plain(diagnosis.leader.title)} are ruled out.", refs=made)


def ruled_out(case: Case) -> Iterator[Statement]:
    """Causes with what excludes them, and what is merely less likely."""
    diagnosis = case.view.diagnosis
    if diagnosis is None:
        yield from no_cause(case)
        return
    excluded = [(h, contrary) for h in diagnosis.ranked[1:] if (contrary := against(h)) is not None]
    excluded.sort(key=lambda pair: pair[1].weight is not Weight.RULES_OUT)
    for hypothesis, contrary in excluded[:3]:
        verb = "ruled out" if contrary.weight is Weight.RULES_OUT else "less likely"
        text = f"• {plain(hypothesis.title)} ({percent(hypothesis.probability)}) {verb}: "
        text += f"{plain(contrary.probe)} {plain(contrary.outcome)}"
        yield Statement(text=text, refs=(contrary.finding_id,))
    if excluded[3:]:
        rest = ", ".join(plain(h.title, 60) for h, _ in excluded[3:9])
        refs = tuple(contrary.finding_id for _, contrary in excluded[3:9])
        yield Statement(text=f"Also against the findings: {rest}", refs=tuple(dict.fromkeys(refs)))
    if not excluded:
        yield Statement(text="Nothing was ruled out: no finding speaks against any cause.",
                        refs=refs_of(case.view, "diagnosis_made"))  # fmt: skip


def unknown(case: Case) -> Iterator[Statement]:
    """What could not be told, what is not explained, what would tell most."""
    view = case.view
    if view.diagnosis is None:
        yield Statement(text="The cause: the probes have not finished.", refs=refs_of(view, "investigation_started"))
        yield from would_tell(case)
        return
    unsure = [f for f in newest_findings(view) if f.verdict not in (Verdict.NORMAL, Verdict.ABNORMAL)]
    if unsure:
        yield _grouped("Could not tell", unsure)
    if view.diagnosis.residual:
        found = [finding(view, ref) for ref in view.diagnosis.residual]
        names = ", ".join(f"{plain(each.probe)} {plain(each.outcome)}" for each in found if each is not None)
        text = f"Not explained by the leading cause: {names or 'a finding'}"
        yield Statement(text=text, refs=view.diagnosis.residual)
    rest = 1 - view.diagnosis.leader.probability
    yield Statement(
        text=f"A chance of {percent(rest)} that it is something else.", refs=refs_of(view, "diagnosis_made")
    )
    yield from would_tell(case)


def checked(case: Case) -> Iterator[Statement]:
    """Every probe by what it showed; those still running."""
    view = case.view
    findings = newest_findings(view)
    for verdict_, word in ((Verdict.ABNORMAL, "Not normal"), (Verdict.NORMAL, "Normal")):
        group = [each for each in findings if each.verdict is verdict_]
        if group:
            yield _grouped(word, group)
    rest = [each for each in findings if each.verdict not in (Verdict.NORMAL, Verdict.ABNORMAL)]
    if rest:
        yield _grouped("Could not tell", rest)
    if view.running:
        yield Statement(text=f"{wording.RUNNING} still running: {plain(', '.join(view.running), 200)}")
    if not findings and not view.running:
        yield Statement(text="I don't know: nothing has been checked.", known=False)
        yield from would_tell(case)


def _grouped(word: str, findings: list[Finding]) -> Statement:
    """Probes of one verdict in one sentence, each with its evidence id; the outcome where it is not plain ``ok``."""
    shown = []
    for each in findings:
        outcome = "" if each.outcome in ("ok", "inconclusive") else f" {plain(each.outcome)}"
        shown.append(f"{plain(each.probe)}{outcome} {code(each.id)}")
    return Statement(text=f"{word}: {', '.join(shown)}", refs=tuple(each.id for each in findings))


def about_probe(case: Case, probe: str) -> Iterator[Statement]:
    """Every reading of one probe, oldest first."""
    found = [each for each in case.view.findings if each.probe == probe][-4:]
    yield from map(seen, found)
    if probe in case.view.running:
        yield Statement(text=f"{plain(probe)} is running.")
    elif not found:
        yield Statement(text=f"I don't know: {named(probe)} was not run.", known=False)
        yield would_run(case, probe)


def about_cause(case: Case, mode: str) -> Iterator[Statement]:
    """One hypothesis with its arguments."""
    hypothesis = _hypothesis(case, mode)
    if hypothesis is None:
        return
    yield Statement(text=f"{plain(hypothesis.title)}: {percent(hypothesis.probability)}",
                    refs=refs_of(case.view, "diagnosis_made"))  # fmt: skip
    for argument in sorted(hypothesis.arguments, key=lambda argument: -abs(argument.bits))[:3]:
        yield Statement(text=argument_line(argument), refs=(argument.finding_id,))
    if not hypothesis.arguments:
        yield Statement(text="No finding speaks for or against it by itself.")


def is_new(case: Case) -> Iterator[Statement]:
    """Whether it is something that no runbook describes."""
    diagnosis = case.view.diagnosis
    if diagnosis is None:
        yield from no_cause(case)
        return
    other = next((h for h in diagnosis.ranked if h.mode == OTHER), None)
    share = f"{percent(other.probability)}" if other else "no share"
    made = refs_of(case.view, "diagnosis_made")
    yield Statement(text=f"A cause that no runbook describes has {share}.", refs=made)
    leader = diagnosis.leader
    if leader.mode not in (OTHER, NO_FAULT):
        yield Statement(text=f"The leading one is described: {plain(leader.title)} ({percent(leader.probability)}).")


def _hypothesis(case: Case, mode: str) -> Hypothesis | None:
    ranked = case.view.diagnosis.ranked if case.view.diagnosis else ()
    return next((each for each in ranked if each.mode == mode), None)


KINDS = (
    Kind(name="ruled_out", asks="what was ruled out, and why?", rank=SPECIFIC, reply=ruled_out,
         pattern=r"\b(rul(e|ed|es|ing) out|excluded?|eliminated?|crossed off|not the cause|(isn'?t|is not) it|"
                 r"instead|discarded|dismiss(ed)?)\b|\bwhat (is|was) (it|this) not\b|\bwhat (isn'?t|wasn'?t) (it|"
                 r"this|the cause)\b"),
    Kind(name="else_be", asks="what else could it be?", rank=SPECIFIC, reply=else_be,
         pattern=r"\b(what|anything|something) else\b.*\b(be|cause|explain|possible|is it)\b|\b(other|alternative|"
                 r"second|next) (cause|explanation|hypothes|theor|suspect|possibilit|candidate|guess|likely)\w*|"
                 r"\bcould it( also)? be\b|\brunner.?up\b|\bplan b for the cause\b|\b(second|next|other|remaining|"
                 r"competing|possible) (most )?(likely |possible |probable )?(causes?|explanations?|hypothes[ei]s|"
                 r"suspects?|theor(y|ies))\b"),
    Kind(name="new", asks="is it something new?", rank=SPECIFIC, reply=is_new,
         pattern=r"\b(something|anything) (new|unknown|unseen|novel)\b|\bno runbook\b.*\b(describ|cover|fit)|"
                 r"\bnever seen\b|\bcover(ed)? by (a|any|our) runbook|\bknown (failure|issue|problem|mode|bug)\b|"
                 r"\bunknown (failure|kind)\b"),
    Kind(name="unknown", asks="what is still unknown?", rank=SPECIFIC, reply=unknown,
         pattern=r"\b(unknowns?|don'?t (we|you) know|do not know|not known|unclear|missing|open questions?|"
                 r"uncertain|inconclusive|could(n'?t| not) (you )?(tell|check|see)|blind spots?|gaps?|unexplained|"
                 r"not explained)\b|\bstill open\b|\b(could|can|did) (you|we) not (tell|check|see|read|find)\b|"
                 r"\bwhat (can'?t|didn'?t) (you|we) (tell|check|see|read|know)\b"),
    Kind(name="how_sure", asks="how sure are you?", rank=SPECIFIC, reply=how_sure,
         pattern=r"\b(how (sure|certain|confident|likely)|confiden(ce|t)|probab\w*|are (you|we) (sure|certain)|"
                 r"certainty|odds|chance that)\b|\btrust (you|this|that|your|the diagnosis)\b|\bbelieve (you|this|"
                 r"that)\b|\bhow (solid|reliable)\b"),
    Kind(name="checked", asks="what did you check?", rank=USUAL, reply=checked,
         pattern=r"\b(check(ed|s)?|prob(e|es|ed)|looked|look(ing)? at|tested|evidence|findings?|measured|"
                 r"what do you see)\b|\b(look|looked|looking) (into|at)\b|\binvestigated\b|\b(which|what) (tests?|"
                 r"probes?|checks?)\b"),
    Kind(name="why", asks="why do you think so?", rank=GENERAL, reply=why,
         pattern=r"\b(why|cause|causes|caused|causing|reason|what happened|what'?s wrong|what is wrong|went wrong|"
                 r"root|explain|broke|broken|problem|culprit)\b|\b(the matter|broken?|going wrong)\b|\bwhat('s|"
                 r" is) up with\b"),
)  # fmt: skip
