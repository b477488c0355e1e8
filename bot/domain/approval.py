"""The policy: who may approve what. What is not granted is refused."""

from dataclasses import dataclass

from config.catalogue import BreakGlass, Policy, Risk, Service


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """How many approvers of which team a plan needs."""

    count: int
    team: str


def requirement(policy: Policy, service: Service, risk: Risk) -> Requirement | None:
    """What the policy asks for this risk on this service: the strictest rule that matches; None: nobody may approve."""
    matching = [rule for rule in policy.rules if rule.risk == risk and _covers(rule.services, service)]
    if not matching:
        return None
    strictest = max(matching, key=lambda rule: rule.count)
    return Requirement(count=strictest.count, team=strictest.team or service.team)


def break_glass(policy: Policy, service: Service, risk: Risk) -> tuple[BreakGlass, ...]:
    """What lets somebody approve alone in an emergency; nothing does where the policy lets nobody approve."""
    if requirement(policy, service, risk) is None:
        return ()
    return tuple(one for one in policy.break_glass if risk <= one.up_to and _covers(one.services, service))


def counts(principal: str, count: int) -> bool:
    """Whether this person's approval counts where ``count`` are needed. Who holds this machine's token can give any
    name, and may be in Slack as well: a plan that needs several people needs that many Slack users."""
    return count < 2 or not principal.startswith("local:")


def stricter(first: Risk, second: Risk | None) -> Risk:
    """The higher of two risks: a runbook can raise an action's risk, never lower it."""
    return first if second is None else max(first, second)


def _covers(services: tuple[str, ...], service: Service) -> bool:
    names = {"*", service.name, *(f"tag:{tag}" for tag in service.tags)}
    return any(name in names for name in services)
