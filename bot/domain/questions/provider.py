"""Questions about what the service depends on: providers, regions, gateway, index, other services."""

from collections.abc import Iterator

from bot.domain import plan_card
from bot.domain.questions.kind import SPECIFIC, USUAL, Case, Kind
from bot.domain.questions.words import ask, newest, read_or_not, readings, would_run
from bot.domain.statement import Statement, current, plain
from bot.domain.untrusted import quote
from diagnostics.model import Verdict


def only_us(case: Case) -> Iterator[Statement]:
    """Ourselves or the provider: the canary straight to it, and its status page."""
    yield from read_or_not(case, "provider_canary", "status_page", "egress")
    if newest(case.view, "provider_canary") is None:
        yield would_run(case, "provider_canary")


def second(case: Case) -> Iterator[Statement]:
    """Whether the second provider is well."""
    service = case.view.service
    if service is not None and service.fallback_provider is None:
        yield Statement(text="There is no second provider: the catalogue declares none for this service.")
        return
    yield from read_or_not(case, "second_provider_canary")


def failover(case: Case) -> Iterator[Statement]:
    """What speaks for and against moving traffic; whether it is acceptable is a person's call."""
    service = case.view.service
    yield from second(case)
    if service is None or service.fallback_provider is None:
        return
    one = newest(case.view, "second_provider_canary")
    if one is not None and one.verdict in (Verdict.NORMAL, Verdict.ABNORMAL):
        residency = f"residency {plain(service.residency)}"
        text = f"To {plain(service.fallback_provider)}, model {plain(service.fallback_model or 'not declared')}; "
        yield Statement(text=f"{text}{residency}. A canary says nothing about its answers' quality.")
        yield _proposed(case)


def _proposed(case: Case) -> Statement:
    """How moving traffic stands: done, proposed, or neither."""
    pv = current(case.view)
    if pv is None or pv.proposal.plan.action != "shift_traffic" or pv.revert is not None:
        return Statement(text="It is not what is proposed now; the approvers decide.")
    if pv.apply is not None:
        refs = plan_card.timeline_refs(case.view, pv.proposal, "effect_applied", "effect_claimed")
        return Statement(text=f"Traffic has been moved already: {quote(pv.proposal.plan.target)}.", refs=refs)
    return Statement(text="It is what is proposed now; the approvers decide.", refs=(pv.proposal.plan.runbook,))


def status_page(case: Case) -> Iterator[Statement]:
    """What the provider itself reports."""
    return read_or_not(case, "status_page")


def headroom(case: Case) -> Iterator[Statement]:
    """How much of the rate limit is left."""
    return read_or_not(case, "rate_limit_headroom")


def gateway(case: Case) -> Iterator[Statement]:
    """Whether the gateway and its deployments are well."""
    return read_or_not(case, "gateway_health", "gateway_canary")


def network(case: Case) -> Iterator[Statement]:
    """The way to the provider."""
    return read_or_not(case, "egress")


def index(case: Case) -> Iterator[Statement]:
    """How old the retrieval index is."""
    service = case.view.service
    if service is not None and service.index is None:
        yield Statement(text="This service has no retrieval index: the catalogue declares none.")
        return
    yield from read_or_not(case, "index_freshness", "retrieval_canary", "embedding_canary")


def regions(case: Case) -> Iterator[Statement]:
    """What is known about zones; other regions are not read."""
    found = list(readings(case, "gateway_health"))
    yield Statement(text="I don't know about other regions: only what this service uses is read.", known=False)
    yield from found
    yield ask(case, "What would tell")


def others(case: Case) -> Iterator[Statement]:
    """Other services are other incidents' business."""
    service = case.view.incident.service
    yield Statement(text=f"I don't know: only {plain(service)} was looked at here.", known=False)
    yield Statement(text="What would tell: `/oncall list` shows what is open for other services.", known=False)


KINDS = (
    Kind(name="failover", asks="is it safe to fail over?", rank=SPECIFIC + 1, reply=failover,
         pattern=r"\bfail.?over\b|\b(switch|move|shift|route|send)\w*\b.*\b(to|over|onto)\b.*\b(second|other|"
                 r"backup|fallback|beta\S*|provider)\b|\bfail(ing|ed)?.?over\b"),
    Kind(name="second", asks="is the second provider well?", rank=SPECIFIC + 1, reply=second,
         pattern=r"\b(second|other|backup|fall.?back|alternate|secondary|2nd)(ary)? (provider|vendor|model|one)\b|"
                 r"\bfall.?back\b|\b(is|how'?s?|how is|would) (the )?beta\S*\b"),
    Kind(name="only_us", asks="is it only us, or the provider?", rank=SPECIFIC, reply=only_us,
         pattern=r"\b(only|just) (us|our\w*)\b|\b(us|ours?|our side|our end|our fault) or\b|\bor (is it )?(them|"
                 r"the provider|the vendor|upstream|us)\b|\b(provider|vendor|upstream|openai|anthropic)('s| is|"
                 r" side)?\b.*\b(down|fault|failing|up|healthy|broken|problem|outage|well|okay|ok)\b|\bupstream\b|"
                 r"\b(only|just) (ones?|customers?)\b|\b(our|their|whose) (side|end|fault)\b|\bis it (them|"
                 r"the provider|the vendor|upstream)\b"),
    Kind(name="status_page", asks="what does the status page say?", rank=SPECIFIC + 1, reply=status_page,
         pattern=r"\bstatus.?pages?\b|\b(provider|vendor|they|openai|anthropic)\b.*\b(report\w*|announc\w*|"
                 r"admit\w*|acknowledg\w*|post\w*|declared)\b"),
    Kind(name="headroom", asks="how much of the rate limit is left?", rank=SPECIFIC, reply=headroom,
         pattern=r"\b(rate.?limit\w*|head.?room|quota|throttl\w+|429s?|tpm|rpm|tokens per minute)\b"),
    Kind(name="regions", asks="are other regions or zones affected?", rank=SPECIFIC + 1, reply=regions,
         pattern=r"\b(regions?|zones?|data ?cent(er|re)s?|availability|us-\d|eu-\d|geograph\w*|elsewhere|countr(y|"
                 r"ies))\b"),
    Kind(name="others", asks="are other services affected?", rank=SPECIFIC, reply=others,
         pattern=r"\b(other|another|else'?s?|more) (services?|apps?|applications?|teams?|products?|incidents?|"
                 r"routes?)\b|\bwhich (services|apps|applications|products|routes)\b|\b(anything|something|"
                 r"anyone) else\b.*\b(affected|down|broken|hit|failing|impacted)\b|\bcollateral\b"),
    Kind(name="gateway", asks="is the gateway well?", rank=SPECIFIC, reply=gateway,
         pattern=r"\b(gateway|litellm|deployments? (healthy|failing|in rotation)|proxy|cool(ing)? ?down|"
                 r"load balancer)\b"),
    Kind(name="network", asks="is the network fine?", rank=USUAL, reply=network,
         pattern=r"\b(network|dns|egress|tls|certificate|firewall|connectivity|reach(able)?)\b"),
    Kind(name="index", asks="how fresh is the index?", rank=SPECIFIC, reply=index,
         pattern=r"\b(index(es)?|ingestion|fresh(ness)?|rag|retrieval|knowledge base|stale (data|docs|documents|"
                 r"answers)|documents?)\b.*|\bindex\b"),
)  # fmt: skip
