"""Questions about the proposal: what it would do, its risk and undo, whether it worked, and what if it does not."""

from collections.abc import Iterator

from bot.domain import deciding, plan_card, wording
from bot.domain.incident import MAX_ATTEMPTS
from bot.domain.next_step import next_step
from bot.domain.proposal import ProposalState
from bot.domain.questions.kind import SPECIFIC, Case, Kind
from bot.domain.questions.words import TOLD, newest, seen, would_run
from bot.domain.statement import Statement, current, plain, refs_of
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView, ProposalView


def _nothing(case: Case, text: str) -> Statement:
    return Statement(text=text, refs=refs_of(case.view, "investigation_ended"))


def no_votes(case: Case) -> Iterator[Statement]:
    """A vote is a press of a button, never a sentence."""
    view = case.view
    pv = view.open_proposal
    if pv is None or pv.proposal.state is not ProposalState.OPEN:
        yield Statement(text="Nothing was done: there is no proposal that waits for a vote.")
        return
    yield Statement(
        text=f"Nothing was done: a message is no vote. Press the button on the card, or type `/oncall approve "
        f"{view.incident.id} {plan_card.code(pv.proposal.plan_hash)}` (or `reject`) to vote on exactly this plan."
    )


def what_it_does(case: Case) -> Iterator[Statement]:
    """What an approval would do, in the plan's own facts."""
    pv = current(case.view)
    if pv is None:
        yield _nothing(case, f"Nothing is proposed now. {plain(next_step(case.view), 300)}")
        return
    plan = pv.proposal.plan
    yield Statement(
        text=f"*{plain(plan_card.title(plan))}* ({plan.risk}) on {quote(plan.target)}", refs=(plan.runbook,)
    )
    facts = plan_card.plan_facts(plan)
    changes = [each.shown.text for each in facts if each.label == "Change"]
    if changes:
        more = f" and {len(changes) - 3} more, on the card" if len(changes) > 3 else ""
        yield Statement(text=f"Change: {', '.join(quote(each, 160) for each in changes[:3])}{more}")
    steps = next((each.shown.text for each in facts if each.label in ("To do", "Sends")), "")
    if steps:
        yield Statement(text=f"To do: {quote(steps, 300)}")
    lease = f", then {wording.duration(plan.lease_s)} of lease" if plan.lease_s is not None else ""
    yield Statement(text=f"Who notices: {quote(plan.blast_radius, 300)}. Check: {quote(plan_card.verification(plan))}"
                         f"{lease}.")  # fmt: skip


def worked(case: Case) -> Iterator[Statement]:
    """What the verification found, before and after; never more than was read."""
    view = case.view
    pv = _tried(view)
    if pv is None or pv.apply is None:
        text = f"{plain(view.incident.id)} is {wording.STATUS[view.incident.status]}. Nothing was carried out by"
        yield _nothing(case, f"{text} Pagerunner, so nothing was verified.")
        return
    plan = pv.proposal.plan
    if not pv.apply.verdict:
        text = f"{plain(plan_card.title(plan))}: not verified yet. {plain(next_step(view), 300)}"
        yield Statement(text=text, refs=plan_card.timeline_refs(view, pv.proposal, "effect_applied", "effect_claimed"))
        return
    said = wording.EFFECT_VERDICTS.get(pv.apply.verdict, pv.apply.verdict)
    refs = plan_card.timeline_refs(view, pv.proposal, "verification_made")
    status = wording.STATUS[view.incident.status]
    yield Statement(text=f"{plain(plan_card.title(plan))}: {plain(said)}; the incident is {status}.", refs=refs)
    for before, after in plan_card.before_and_after(view, plan)[:2]:
        was = plain(before.outcome) if before else "not read before"
        text = f"• {plain(after.probe)}: {was} → {plain(after.outcome)}, {quote(after.reading.summary)}"
        yield Statement(text=text, refs=(after.id,))


def _tried(view: IncidentView) -> ProposalView | None:
    return next((pv for pv in reversed(view.proposals) if pv.apply is not None), None)


def attempts(case: Case) -> Iterator[Statement]:
    """Everything that was carried out, and what came of it."""
    done = [pv for pv in case.view.proposals if pv.apply is not None]
    for pv in done[-3:]:
        assert pv.apply is not None
        result = wording.EFFECT_VERDICTS.get(pv.apply.verdict, "") or pv.apply.state.value
        undone = ", and was set back" if pv.revert is not None and pv.revert.state.value == "done" else ""
        refs = plan_card.timeline_refs(case.view, pv.proposal, "effect_applied", "manual_done", "effect_failed")
        text = (
            f"{plain(plan_card.title(pv.proposal.plan))} on {quote(pv.proposal.plan.target)}: {plain(result)}{undone}."
        )
        yield Statement(text=text, refs=refs)
    by_hand = case.view.entries("person_did")
    for entry in by_hand[-1:]:
        text = f"By hand: {quote(str(entry.fact.data.get('text', '')))}"
        yield Statement(text=text, refs=(f"#{entry.seq}",))
    if not done and not by_hand:
        yield _nothing(case, "Nothing has been carried out, neither by Pagerunner nor, as far as recorded, by hand.")


def lease(case: Case) -> Iterator[Statement]:
    """When the change goes back by itself, if it does."""
    pv = current(case.view)
    if pv is None or pv.proposal.plan.lease_s is None:
        yield _nothing(case, "Nothing has a lease: nothing is set back by itself.")
    elif pv.revert is not None:
        refs = plan_card.timeline_refs(case.view, pv.proposal, "effect_reverted", "lease_ended")
        yield Statement(text=f"It has ended; setting it back is {plain(pv.revert.state.value)}.", refs=refs)
    elif pv.apply is not None and pv.apply.lease_until is not None:
        until = wording.moment(pv.apply.lease_until)
        text = f"It ends at {until}; the change is then set back."
        yield Statement(text=text, refs=refs_of(case.view, "lease_started"))
    else:
        lasts = wording.duration(pv.proposal.plan.lease_s)
        text = f"It begins once the change helps, and lasts {lasts}."
        yield Statement(text=text, refs=(pv.proposal.plan.runbook,))


def undo(case: Case) -> Iterator[Statement]:
    """How the current or last mitigation is undone, and whether it happens by itself."""
    view = case.view
    pv = current(view)
    if pv is None:
        yield _nothing(case, "Nothing was changed, so there is nothing to undo.")
        return
    refs = (pv.proposal.plan.runbook,)
    if pv.apply is None:
        yield Statement(text="Nothing was changed yet. If this is carried out, it is undone so:")
    yield Statement(text=f"{plain(plan_card.title(pv.proposal.plan))}: {quote(pv.proposal.plan.undo, 300)}", refs=refs)
    if pv.apply is not None and pv.apply.lease_until is not None and pv.revert is None:
        when = wording.clock(pv.apply.lease_until, view.incident.opened_at)
        yield Statement(text=f"By itself at {when}, when its lease ends.", refs=refs_of(view, "lease_started"))
    if pv.apply is not None and pv.revert is None:
        yield Statement(text="To undo it sooner, do that at the target yourself, and tell the thread: `did: …`")
    elif pv.revert is not None:
        yield Statement(text=f"That is {plain(pv.revert.state.value)}.", refs=refs_of(view, "effect_reverted"))


def safety(case: Case) -> Iterator[Statement]:
    """Risk, who notices, undo and verification. It states facts; whether that is acceptable is a person's call."""
    pv = current(case.view)
    if pv is None:
        yield _nothing(case, "Nothing is proposed, so nothing would change.")
        return
    proposed = pv.proposal.plan
    yield Statement(text=f"Risk {plain(wording.RISKS[proposed.risk])}.", refs=(proposed.runbook,))
    yield Statement(text=f"• Who notices: {quote(proposed.blast_radius, 300)}")
    yield Statement(text=f"• Undo: {quote(proposed.undo, 300)}")
    after = "a person has to undo it if that gets worse" if plan_card.is_manual(proposed) else (
        "if that gets worse it is undone by itself")  # fmt: skip
    yield Statement(text=f"• Check: {quote(plan_card.verification(proposed))}; {after}. "
                         "Whether that is acceptable is for the approvers to say.")  # fmt: skip


def if_it_fails(case: Case) -> Iterator[Statement]:
    """What follows when a mitigation does not help."""
    pv = current(case.view)
    if pv is None:
        yield _nothing(case, "Nothing is proposed, so nothing can fail.")
        return
    plan = pv.proposal.plan
    back = "a person has to undo it" if plan_card.is_manual(plan) else "it is undone by itself"
    text = f"If {quote(plan_card.verification(plan))} does not hold, {back} and it is looked into again."
    yield Statement(text=text, refs=(plan.runbook,))
    yield Statement(
        text=f"After {MAX_ATTEMPTS} that did not help, nothing more is proposed until a person gives a hint."
    )


def do_nothing(case: Case) -> Iterator[Statement]:
    """What is known of doing nothing: what runs by itself, and what users feel now. The future is not predicted."""
    view = case.view
    pv = view.open_proposal
    if pv is not None and pv.proposal.state is ProposalState.OPEN:
        until = wording.clock(pv.proposal.plan.expires_at, pv.proposal.created_at)
        made = plan_card.timeline_refs(view, pv.proposal, "proposal_made", "proposal_withheld")
        text = (
            f"Nothing is carried out without an approval: the proposal expires at {until}, and it is looked at afresh."
        )
        yield Statement(text=text, refs=made)
    elif pv is None and (done := current(view)) is not None and done.apply and done.apply.lease_until:
        until = wording.clock(done.apply.lease_until, view.incident.opened_at)
        yield Statement(text=f"The change that was made goes back by itself at {until}.",
                        refs=refs_of(view, "lease_started"))  # fmt: skip
    else:
        yield _nothing(case, "Nothing more is carried out by itself.")
    yield Statement(text="I don't know how users would fare: no probe predicts that. Now:", known=False)
    one = newest(view, "user_signal")
    yield seen(one) if one is not None and one.verdict in TOLD else would_run(case, "user_signal")


def expires(case: Case) -> Iterator[Statement]:
    """Until when the proposal can be voted on."""
    pv = case.view.open_proposal
    if pv is None or pv.proposal.state is not ProposalState.OPEN:
        yield _nothing(case, "No proposal waits for a vote now.")
        return
    until = wording.moment(pv.proposal.plan.expires_at)
    made = plan_card.timeline_refs(case.view, pv.proposal, "proposal_made", "proposal_withheld")
    text = f"Until {until}: {plain(deciding.approvals(pv))}. After that nothing is done, and it is looked at afresh."
    yield Statement(text=text, refs=made)


def frozen(case: Case) -> Iterator[Statement]:
    """Whether execution is stopped, and why."""
    view = case.view
    told = refs_of(view, "frozen", "unfrozen")
    if not view.frozen:
        yield Statement(
            text="No: execution is not frozen for this service.", refs=told or refs_of(view, "incident_opened")
        )
        return
    yield Statement(text=f"Yes, all execution is frozen: {quote(view.frozen)}", refs=told)
    names = " and ".join(f"`/oncall unfreeze {plain(name)}`" for name in view.frozen_for or (view.incident.service,))
    yield Statement(text=f"{names} lets it go on.")


KINDS = (
    Kind(name="no_votes", asks="approve", rank=SPECIFIC + 6, reply=no_votes,
         pattern=r"^\W*(approved?|lgtm|go ahead|do it|ship it|yes|reject(ed)?)\W*(please|now|it|this|that)?\W*$"),
    Kind(name="if_it_fails", asks="what if it does not help?", rank=SPECIFIC + 1, reply=if_it_fails,
         pattern=r"\b(what )?(if|when) (it|this|that|the \w+)\b.*\b(fails?|(does not|doesn'?t|didn'?t|"
                 r"won'?t) (help|work)|makes? (it|things) worse|goes wrong|breaks)\b|\bplan b\b"),
    Kind(name="do_nothing", asks="what happens if we do nothing?", rank=SPECIFIC + 2, reply=do_nothing,
         pattern=r"\b(do|did|doing) nothing\b|\b(just|can we|should we|if we|to) (wait|leave it|ignore|sit)\b|"
                 r"\bif (nobody|no ?one|we don'?t) (acts?|act|approves?|does anything|decides?|do anything)\b|"
                 r"\bleave it\b"),
    Kind(name="expires", asks="until when can it be approved?", rank=SPECIFIC + 1, reply=expires,
         pattern=r"\b(until|till|by) when\b.*\b(approv\w*|vote\w*|decid\w*|sign\w*|we)\b|\b(when|"
                 r"how long)\b.*\b(proposal|approval|vote|plan)\b.*\b(expires?|end|valid|open|run out|left|"
                 r"lapse)\b|\b(how (long|much time)|time)\b.*\b(to|left to) (approve|decide|vote)\b|"
                 r"\bproposal expire|\bdeadline\b"),
    Kind(name="frozen", asks="is execution frozen?", rank=SPECIFIC + 1, reply=frozen,
         pattern=r"\b(freez(e|es|ing)|froze(n)?|locked|change stop|stopped executing|unfreeze)\b"),
    Kind(name="lease", asks="when does the lease end?", rank=SPECIFIC + 1, reply=lease,
         pattern=r"\bleases?\b|\b(when|how long)\b.*\b(set back|goes? back|put back|reverts?|revert(s|ed)? itself|"
                 r"wear off|stay in place|stays? on|switch(es)? back)\b"),
    Kind(name="attempts", asks="what was tried already?", rank=SPECIFIC + 1, reply=attempts,
         pattern=r"\b(what|which|anything)\b.*\b(tried|attempt(ed|s)|carried out|executed|already done|done so far|"
                 r"did (we|you|pagerunner) do|been done|actions? (taken|so far))\b|\b(list|show|"
                 r"which)\b.*\b(actions|mitigations|attempts)\b|\bactions (taken|done|so far)\b"),
    Kind(name="worked", asks="did it work?", rank=SPECIFIC, reply=worked,
         pattern=r"\b(did|does|has|is|are|have) (it|this|that|we|the \w+)\b.*\b(work(s|ed|ing)?|help(s|ed)?|"
                 r"fix(ed)?|over|effect|solved?|done|mitigated|success\w*)\b|\bverif(y|ied|ication)\b|"
                 r"\bbefore and after\b"),
    Kind(name="undo", asks="how do we undo it?", rank=SPECIFIC, reply=undo,
         pattern=r"\b(undo|undone|revert(ed)?|roll(ed|ing)? ?(it |this |that )?back|back (it |this )?out|"
                 r"reversible|put (it )?back)\b"),
    Kind(name="safe", asks="is it safe?", rank=SPECIFIC, reply=safety,
         pattern=r"\b(safe(ty|ly)?|risks?|risky|danger(ous)?|blast( radius)?|side effects?|harm|downsides?|catch|"
                 r"what could go wrong)\b|\bgo(es)? wrong\b|\bhow bad can\b|\bwho(m)? (would|will) notice\b"),
    Kind(name="approve_does", asks="what would approving do?", rank=SPECIFIC, reply=what_it_does,
         pattern=r"\bwhat\b.*\b(approv\w*|propos\w*|plan|button|mitigation|suggest\w*|recommend\w*)\b|"
                 r"\bwhat (would|will) (you|it|this) (do|change)\b|\b(fix|mitigate|mitigation)\b.*\?|"
                 r"\bwhat.*\bchange if\b"),
)  # fmt: skip
