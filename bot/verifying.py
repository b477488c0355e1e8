"""Did it help, do users feel it, and do they stay well without it: the looks that follow an effect.

A look reads probes, never the target of the action alone. What was read for a look before a crash stands; the rows say
which look is due.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.detail import verified
from bot.domain.incident import Incident
from bot.domain.plan_card import title
from bot.domain.proposal import SPENT, Effect, Proposal
from bot.domain.timeline import Fact, computed
from bot.domain.untrusted import quote
from bot.domain.verification import GUARD, Judgement, deciding_probes, judge
from bot.parts import Parts
from bot.ports import NOTHING, Follow
from diagnostics.model import Finding, Verdict
from runbooks.model import EffectClass

CHECK_EVERY = timedelta(seconds=5)
CHECK_SHARE = 5
"""Later checks are further apart: a fifth of the time that has passed since the effect."""
USERS_WITHIN = timedelta(minutes=15)
"""How long after an effect that helped users may still feel the fault before it is looked into again."""


class Verification:
    """The flow's verb ``verify``."""

    def __init__(self, parts: Parts) -> None:
        self._ = parts

    async def look(self, effect_id: str) -> str:
        """Take the look that is due, if one is; returns the proposal that is to be undone now, or nothing."""
        effect = await self._.gate.effect(effect_id)
        now = self._.clock.now()
        if effect is None or effect.next_check_at is None or effect.next_check_at > now:
            return ""
        proposal = await self._.gate.proposal(effect.proposal_id)
        incident = await self._.casebook.incident(proposal.plan.incident_id) if proposal else None
        if proposal is None or incident is None or effect.verify_by is None:
            return ""
        if effect.kind == "revert":
            await self._without(effect, proposal, incident)
        elif effect.verdict:
            await self._users(effect, proposal, incident)
        else:
            return await self._decide(effect, proposal, incident, last=now >= effect.verify_by)
        return ""

    async def _decide(self, effect: Effect, proposal: Proposal, incident: Incident, *, last: bool) -> str:
        """Whether it helped: better, worse, or look again until the time is over."""
        probes = deciding_probes(proposal.plan, await self._.casebook.diagnosis(incident.id), self._.specs)
        after = await self._read(effect, incident, probes, proposal.plan.attempt, last=last)
        own = {finding.id for finding in after.values()}
        known = {id_: f for id_, f in (await self._.casebook.findings(incident.id)).items() if id_ not in own}
        before, earlier = _latest(known, round_=0), _latest(known, round_=proposal.plan.attempt)
        since = self._.clock.now() - effect.finished_at if effect.finished_at else timedelta()
        judgement = judge(proposal.plan, before, after, earlier, since_s=since.total_seconds(), last=last)
        if judgement.answer == "pending" and not last:
            await self._again(effect)
            return ""
        guard = after.get(GUARD)
        pairs = [(before.get(name), finding) for name, finding in after.items()]
        return await self._conclude(effect, proposal, judgement, pairs, guard is not None and _ill(guard))

    async def _conclude(self, effect: Effect, proposal: Proposal, judgement: Judgement,
                        pairs: Sequence[tuple[Finding | None, Finding]], users_ill: bool) -> str:  # fmt: skip
        now, plan = self._.clock.now(), proposal.plan
        verdict = "unknown" if judgement.answer == "pending" else judgement.answer
        facts = [_made(proposal, verdict, judgement.reason, judgement.evidence)]
        lease = None
        if verdict == "better" and plan.lease_s:
            lease = now + timedelta(seconds=plan.lease_s)
            facts.append(computed("lease_started", {"proposal": proposal.id, "until": lease.isoformat()}))
        said = verified(title(plan), verdict, pairs)
        follow = replace(_after_verdict(proposal, verdict, judgement.reason), say=said)
        left = await self._left(proposal) if verdict == "better" else ()
        if left:
            why = f"{plan.action} helped, and nothing was done yet about {' and '.join(left)}, which was found too"
            follow = replace(follow, again=computed("investigation_started", {"why": why}))
        next_at = self._next(effect) if verdict == "better" and users_ill else None
        if not await self._.gate.checked(effect.id, next_at, verdict, facts, lease, now, follow):
            return ""
        if verdict == "better":
            await self._.publish(plan.incident_id)
        return proposal.id if follow.undo else ""

    async def _left(self, proposal: Proposal) -> tuple[str, ...]:
        """The causes of the diagnosis of which no step was tried or rejected yet: one of several was dealt with, and
        users may be well while another goes on unseen. Looked into again, because what helped may have ended it too."""
        incident_id, runbook = proposal.plan.incident_id, proposal.plan.runbook.partition("#")[0]
        incident, diagnosis = await self._.casebook.incident(incident_id), await self._.casebook.diagnosis(incident_id)
        if incident is None or not incident.active or diagnosis is None or diagnosis.conclusion != "cause":
            return ()
        tried = {key.rpartition("/")[0] for key, state in await self._.gate.steps_tried(incident_id) if state in SPENT}
        # A step that is of none of the causes was a person's choice: what is left is theirs, too.
        if runbook not in diagnosis.causes:
            return ()
        return tuple(cause for cause in diagnosis.causes if cause != runbook and cause not in tried)

    async def _users(self, effect: Effect, proposal: Proposal, incident: Incident) -> None:
        """Whether users are well, too: their window holds the time before, and they may fail for another reason."""
        now = self._.clock.now()
        last = effect.finished_at is None or now >= effect.finished_at + USERS_WITHIN
        guard = (await self._read(effect, incident, [GUARD], proposal.plan.attempt, last=last)).get(GUARD)
        well = guard is not None and guard.verdict is Verdict.NORMAL
        if not well and not last:
            await self._again(effect)
            return
        reason = guard.reading.summary if guard else "nothing could be read"
        kind = "users_recovered" if well else "users_not_recovered"
        evidence = [guard.id] if guard else []
        fact = computed(kind, {"proposal": proposal.id, "reason": reason, "evidence": evidence})
        follow = NOTHING
        if guard is not None and _ill(guard) and incident.active:
            why = f"{proposal.plan.action} helped, and users still feel it: {reason}"
            follow = Follow(again=computed("investigation_started", {"why": why}))
        if await self._.gate.checked(effect.id, None, effect.verdict, [fact], None, now, follow):
            await self._.publish(incident.id)

    async def _without(self, effect: Effect, proposal: Proposal, incident: Incident) -> None:
        """Whether users are still well some time after a lease was set back; if not, it is looked into again."""
        probes = deciding_probes(proposal.plan, None, self._.specs)
        after = await self._read(effect, incident, probes, 0, last=True)
        ill = [finding for finding in after.values() if _ill(finding)]
        unsure = not after or any(finding.verdict is not Verdict.NORMAL for finding in after.values())
        verdict = "worse" if ill else "unknown" if unsure else "better"
        reason = "; ".join(f.reading.summary for f in ill or after.values()) or "nothing could be read"
        follow = NOTHING
        if ill:
            why = f"the lease of {proposal.id} ended, and without it: {reason}"
            again = computed("investigation_started", {"why": why}) if incident.active else None
            say = f"The lease of {proposal.id} ended, and users are not well without it.\n{quote(reason)}"
            follow = Follow(say=say, again=again)
        facts = [_made(proposal, verdict, f"after its lease: {reason}", [finding.id for finding in after.values()])]
        await self._.gate.checked(effect.id, None, verdict, facts, None, self._.clock.now(), follow)

    async def _read(
        self, effect: Effect, incident: Incident, probes: Sequence[str], round_: int, *, last: bool
    ) -> dict[str, Finding]:
        """What the probes say for this look at the effect; what a predecessor read for it before a crash stands."""
        number, prefix = incident.investigations, f"verify:{effect.id}:{effect.checks}:"
        known = await self._.casebook.findings(incident.id, number)
        after = {name: known[prefix + name] for name in probes if prefix + name in known}
        if effect.checks == 0 and not after:
            facts = [computed("verification_started", {"probes": list(probes), "attempt": round_})]
            await self._.casebook.record(incident.id, facts, self._.clock.now())
        missing = [name for name in probes if name not in after]
        for finding in await self._.verifier.read(incident, missing, round_, last=last) if missing else ():
            await self._.casebook.found(incident.id, number, prefix + finding.probe, finding, self._.clock.now())
            after[finding.probe] = finding
        return after

    async def _again(self, effect: Effect) -> None:
        """Look once more, later."""
        now = self._.clock.now()
        await self._.gate.checked(effect.id, self._next(effect), effect.verdict, [], None, now)

    def _next(self, effect: Effect) -> datetime:
        now = self._.clock.now()
        since = now - effect.finished_at if effect.finished_at else CHECK_EVERY
        return now + max(CHECK_EVERY, since / CHECK_SHARE)


def _made(proposal: Proposal, verdict: str, reason: str, evidence: Sequence[str]) -> Fact:
    data = {"proposal": proposal.id, "verdict": verdict, "reason": reason, "evidence": list(evidence)}
    return computed("verification_made", data)


def _after_verdict(proposal: Proposal, verdict: str, reason: str) -> Follow:
    """What did not help is undone, then it is looked at again; after two attempts a person has to."""
    if verdict == "better":
        return Follow(mitigated=True)
    fact = computed("investigation_started", {"why": f"{proposal.plan.action} made it {verdict}: {reason}"})
    return Follow(again=fact, attempt=True, undo=proposal.plan.effect != EffectClass.MANUAL.value)


def _ill(finding: Finding) -> bool:
    return finding.verdict is Verdict.ABNORMAL


def _latest(findings: Mapping[str, Finding], *, round_: int) -> dict[str, Finding]:
    """The newest finding of each probe in a round: 0 is before any mitigation."""
    return {f.probe: f for f in findings.values() if f.round == round_}
