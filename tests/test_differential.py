"""The differential: every truth of the failure matrix is found, health is proven, and doubt is said."""

import itertools
import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from diagnostics import likelihood
from diagnostics.differential import diagnose
from diagnostics.model import (
    INCONCLUSIVE,
    NO_FAULT,
    OTHER,
    Diagnosis,
    Finding,
    Hypothesis,
    Mode,
    NextProbe,
    ProbeCall,
    ProbeSpec,
    Tier,
    Verdict,
    Weight,
)
from diagnostics.order import AT_ONCE, CHANGES, FIRST, calls_of, next_calls
from runbooks.parse import parse
from tests.diagnosis_cases import KINDS, MATRIX, MODES, SPECS, finding, findings, healthy
from tests.diagnosis_fakes import T0

EVEN: Mapping[str, float] = {}


def kind_of(mode: str) -> str:
    return KINDS.get(mode, ("chat",))[0]


def typical(mode: str) -> dict[str, str]:
    """The first possibility of every probe."""
    return {probe: words.split("+")[0] for probe, words in MATRIX[mode].items()}


def truth(mode: str, draw: random.Random | None = None) -> list[Finding]:
    """What all probes show when ``mode`` is the cause: the first possibility of the matrix, or a random one."""
    shown = {p: words.split("+") for p, words in MATRIX[mode].items()}
    return findings(healthy(**{p: draw.choice(words) if draw else words[0] for p, words in shown.items()}))


def solve(
    found: list[Finding], kind: str = "chat", prior: Mapping[str, float] = EVEN, *, final: bool = False
) -> Diagnosis:
    return diagnose(found, prior, MODES, SPECS, kind, final=final)


@pytest.mark.parametrize("mode", MATRIX)
def test_a_noise_free_truth_is_the_cause(mode: str) -> None:
    diagnosis = solve(truth(mode), kind_of(mode))

    assert diagnosis.leader.mode == mode
    assert diagnosis.conclusion == "cause"
    assert diagnosis.causes == (mode,)
    assert diagnosis.residual == ()
    assert diagnosis.reason.startswith("sure")


@pytest.mark.parametrize("mode", MATRIX)
def test_any_possible_picture_of_a_truth_ranks_it_first(mode: str) -> None:
    leaders = [solve(truth(mode, random.Random(seed)), kind_of(mode)).leader.mode for seed in range(12)]

    assert leaders == [mode] * 12


@pytest.mark.parametrize("mode", [m for m in MATRIX if not MATRIX[m]["user_signal"].startswith("ok")])
def test_a_page_that_points_elsewhere_does_not_hide_the_truth(mode: str) -> None:
    elsewhere = next(other for other in MATRIX if other != mode and other not in KINDS)

    assert solve(truth(mode), kind_of(mode), {elsewhere: 1.0}).leader.mode == mode


ONLY_WITNESS: Mapping[str, set[str]] = {
    "prompt-regression": {"golden_counterfactual", "guardrail_canary", "cache_check"},
    "guardrail-bypass": {"guardrail_canary"},
    "generation-config-regression": {"guardrail_canary", "token_profile"},
    "response-cache-crosstalk": {"cache_check"},
    "telemetry-failure": {"telemetry_check"},
    "traffic-surge": {"provider_canary", "demand_profile", "engine_health"},
    "inference-saturation": {"engine_health"},
    "cost-spike": {"spend"},
}
"""Probes whose reading alone tells a mode from another: nothing makes good for it if it is wrong."""


@pytest.mark.parametrize("mode", [m for m in MATRIX if m not in KINDS])
def test_one_wrong_reading_does_not_hide_the_truth_unless_it_is_its_only_witness(mode: str) -> None:
    found = truth(mode)
    wrong = set()
    for index, one in enumerate(found):
        if one.probe in ("user_signal", "change_log"):
            continue
        normal = SPECS[one.probe].normal
        other = next(w for w, v in SPECS[one.probe].outcomes.items() if v is Verdict.ABNORMAL)
        changed = [*found[:index], finding(one.probe, other if one.outcome == normal else normal), *found[index + 1 :]]
        if solve(changed).leader.mode != mode:
            wrong.add(one.probe)

    assert wrong <= ONLY_WITNESS.get(mode, set())


def library() -> list[Mode]:
    """The failure modes of the runbooks that come with the product."""
    folder = Path(__file__).parents[1] / "runbooks" / "library"
    books = [parse(path.read_bytes(), path.name).runbook for path in sorted(folder.glob("*.md"))]
    return [
        Mode(
            id=book.id,
            title=book.title,
            kinds=book.kinds,
            evidence={p: {o: Weight(w) for o, w in words.items()} for p, words in book.evidence.items()},
        )
        for book in books
        if book is not None
    ]


@pytest.mark.parametrize("mode", MATRIX)
def test_the_shipped_runbooks_find_every_truth_of_the_matrix(mode: str) -> None:
    modes = library()

    ranked = [diagnose(truth(mode, random.Random(s)), EVEN, modes, SPECS, kind_of(mode)) for s in range(6)]

    assert [diagnosis.leader.mode for diagnosis in ranked] == [mode] * 6
    assert diagnose(truth(mode), EVEN, modes, SPECS, kind_of(mode)).causes == (mode,)


def test_a_blip_that_is_over_is_no_fault() -> None:
    diagnosis = solve(findings(healthy(user_signal="recovered", change_log="deploy")), prior={"provider-outage": 1.0})

    assert diagnosis.conclusion == "no_fault"
    assert diagnosis.leader.mode == NO_FAULT
    assert diagnosis.causes == ()


def test_a_surge_within_capacity_and_a_coincident_prompt_change_are_no_fault() -> None:
    shown = healthy(user_signal="ok", demand_profile="traffic_up", change_log="prompt")

    diagnosis = solve(findings(shown), prior={"prompt-regression": 0.6, "traffic-surge": 0.4})

    assert diagnosis.conclusion == "no_fault"


def test_free_probes_and_canaries_are_enough_for_no_fault() -> None:
    shown = findings(healthy(user_signal="ok"), tiers=(Tier.FREE, Tier.CANARY))

    assert solve(shown, prior={"provider-outage": 0.7, "provider-latency": 0.3}).conclusion == "no_fault"


def test_one_abnormal_finding_that_nothing_explains_forbids_to_say_that_nothing_is_wrong() -> None:
    diagnosis = solve(findings(healthy(index_freshness="stale")), "chat", {NO_FAULT: 0.9})

    assert diagnosis.leader.mode == NO_FAULT
    assert diagnosis.conclusion == "inconclusive"
    assert "index_freshness stale" in diagnosis.reason


@pytest.mark.parametrize("missing", ["user_signal", "telemetry_check"])
def test_health_is_never_concluded_from_missing_data(missing: str) -> None:
    shown = [f for f in findings(healthy()) if f.probe != missing]
    blind = finding(missing, INCONCLUSIVE, verdict=Verdict.INCONCLUSIVE)

    assert solve(shown).conclusion == "inconclusive"
    assert solve([*shown, blind]).conclusion == "inconclusive"


def test_health_needs_a_canary_that_came_through_unless_there_can_be_none() -> None:
    free = findings(healthy(), tiers=(Tier.FREE,))
    none_possible = [finding(c, INCONCLUSIVE, verdict=Verdict.NOT_RUN) for c in ("gateway_canary", "provider_canary")]

    waiting = solve(free, prior={NO_FAULT: 0.4})

    assert waiting.conclusion == "inconclusive"
    assert "canary" in waiting.reason
    assert solve([*free, *none_possible], prior={NO_FAULT: 0.4}).conclusion == "no_fault"


def test_without_evidence_there_is_no_cause_however_well_the_page_fits() -> None:
    silent = [finding(probe, INCONCLUSIVE, verdict=v) for probe, v in zip(
        ("provider_canary", "gateway_canary", "golden_set", "status_page"),
        (Verdict.ERROR, Verdict.NOT_RUN, Verdict.ERROR, Verdict.INCONCLUSIVE), strict=True)]  # fmt: skip
    symptom = finding("user_signal", "errors")

    assert solve(silent, prior={"provider-outage": 1.0}, final=True).conclusion == "inconclusive"
    assert solve([*silent, symptom], prior={"provider-outage": 1.0}, final=True).conclusion == "inconclusive"


def test_findings_that_say_nothing_change_nothing() -> None:
    found = truth("provider-outage")
    silent = [finding(p, INCONCLUSIVE, verdict=v) for p in SPECS for v in (Verdict.ERROR, Verdict.NOT_RUN)]

    assert solve([*found, *silent]).ranked == solve(found).ranked


def test_what_no_runbook_explains_is_said_so() -> None:
    strange = healthy(
        user_signal="errors", provider_canary="bad_request", gateway_canary="bad_request", structured_output="invalid"
    )

    diagnosis = solve(findings(strange))

    assert diagnosis.leader.mode == OTHER
    assert diagnosis.conclusion == "inconclusive"
    assert "no runbook explains" in diagnosis.reason
    assert len(diagnosis.residual) == 4


def test_modes_of_other_kinds_of_service_are_left_out() -> None:
    diagnosis = solve(truth("stale-index"), "chat")

    assert "stale-index" not in {h.mode for h in diagnosis.ranked}


def test_probabilities_are_a_distribution_most_probable_first() -> None:
    ranked = solve(truth("model-drift")).ranked

    assert math.fsum(h.probability for h in ranked) == pytest.approx(1.0)
    assert [h.probability for h in ranked] == sorted((h.probability for h in ranked), reverse=True)


def test_arguments_name_their_finding_and_the_runbooks_word() -> None:
    found = truth("credential-failure")
    ids = {f.id: f for f in found}

    diagnosis = solve(found)
    arguments = diagnosis.leader.arguments
    outage = next(h for h in diagnosis.ranked if h.mode == "provider-outage")

    assert [abs(a.bits) for a in arguments] == sorted((abs(a.bits) for a in arguments), reverse=True)
    assert all(ids[a.finding_id].outcome == a.outcome for a in arguments)
    assert arguments[0].weight is Weight.USUAL
    assert arguments[0].bits > 1
    assert next(a for a in outage.arguments if a.probe == "provider_canary").bits < -1


def test_two_faults_are_found_together_and_no_third() -> None:
    diagnosis = solve(findings(healthy(**(typical("egress-failure") | {"index_freshness": "stale"}))), "rag")

    assert diagnosis.causes == ("egress-failure", "stale-index")
    assert len(diagnosis.residual) == 1


def test_consequences_and_coincidences_are_not_second_causes() -> None:
    shown = healthy(**(typical("quota-exhausted") | {"status_page": "incident", "demand_profile": "retries_up"}))

    assert solve(findings(shown)).causes == ("quota-exhausted",)


def test_a_second_cause_that_another_finding_rules_out_is_not_claimed() -> None:
    denied = Mode(id="second", title="second", evidence={
        "index_freshness": {"stale": Weight.USUAL}, "egress": {"ok": Weight.RULES_OUT}})  # fmt: skip
    shown = healthy(**(typical("quota-exhausted") | {"index_freshness": "stale"}))

    diagnosis = diagnose(findings(shown), EVEN, [m for m in MODES if m.id != "stale-index"] + [denied], SPECS, "rag")

    assert diagnosis.causes == ("quota-exhausted",)
    assert len(diagnosis.residual) == 1


def test_the_other_providers_trouble_is_a_cause_of_its_own_whatever_the_first_one_shows() -> None:
    there = Mode(id="spent", title="spent", evidence={
        "second_provider_canary": {"quota_exhausted": Weight.USUAL},
        "provider_canary": {"server_error": Weight.RULES_OUT},
    })  # fmt: skip
    shown = healthy(**(typical("provider-outage") | {"second_provider_canary": "quota_exhausted"}))

    diagnosis = diagnose(findings(shown), EVEN, [*MODES, there], SPECS, "chat")

    assert diagnosis.causes == ("provider-outage", "spent")


def test_what_a_cause_merely_does_not_contradict_may_have_another_cause() -> None:
    storm = Mode(id="storm", title="storm", evidence={
        "demand_profile": {"retry_amplification": Weight.USUAL},
        "provider_canary": {"server_error": Weight.NEUTRAL},
    })  # fmt: skip
    shown = healthy(**(typical("provider-outage") | {"demand_profile": "retry_amplification"}))

    diagnosis = diagnose(findings(shown), {"storm": 0.5, "provider-outage": 0.5}, [*MODES, storm], SPECS, "chat")

    assert set(diagnosis.causes) == {"provider-outage", "storm"}


@pytest.mark.parametrize(("listing", "prior", "said"), [
    ({}, 0.4, "sure of both"), ({"error": Weight.NEUTRAL}, 0.85, "nothing informative left: not told apart"),
])  # fmt: skip
def test_what_belongs_to_one_only_makes_it_a_second_cause_even_where_it_is_not_usual(
    listing: dict[str, Weight], prior: float, said: str
) -> None:
    storm = Mode(id="storm", title="storm", evidence={
        "demand_profile": {"ok": Weight.WEAKLY_FOR, "retry_amplification": Weight.USUAL},
        "provider_canary": {"overloaded": Weight.USUAL},
        "model_listing": {"ok": Weight.USUAL, **listing},
    })  # fmt: skip
    outage = Mode(id="outage", title="outage", evidence={
        "demand_profile": {"ok": Weight.USUAL, "retry_amplification": Weight.NEUTRAL},
        "provider_canary": {"overloaded": Weight.USUAL},
        "model_listing": {"ok": Weight.USUAL, "error": Weight.WEAKLY_FOR},
    })  # fmt: skip
    shown = healthy(demand_profile="retry_amplification", provider_canary="overloaded", model_listing="error")
    found = [f for f in findings(shown) if f.verdict is Verdict.ABNORMAL]

    diagnosis = diagnose(found, {"storm": 1 - prior, "outage": prior}, [storm, outage], SPECS, "chat")

    assert diagnosis.reason.startswith(said)


def test_a_judge_that_is_wrong_does_not_prove_the_answers_right() -> None:
    shown = healthy(user_signal="quality_drop", telemetry_check="judge_drift")

    alone, steps = walk(shown, prior={"telemetry-failure": 1.0})
    both, _ = walk(
        shown | {"golden_set": "drop", "golden_counterfactual": "drop", "model_fingerprint": "changed"},
        prior={"telemetry-failure": 0.5, "model-drift": 0.5},
    )

    assert "golden_set" in set().union(*steps)
    assert alone.causes == ("telemetry-failure",)
    assert set(both.causes) == {"telemetry-failure", "model-drift"}


def test_related_probes_do_not_add_up_to_certainty() -> None:
    canaries = [finding(p, "timeout") for p in ("provider_canary", "gateway_canary", "second_provider_canary")]
    broken = [finding(p, "error") for p in ("golden_set", "golden_counterfactual")]

    weights = likelihood.exponents([*canaries, *broken], SPECS)

    assert sum(weights[:3]) == pytest.approx(3 ** (2 / 3))
    assert sum(weights[3:]) < 0.5
    assert likelihood.exponents(canaries[:1], SPECS) == [1.0]


def test_reading_the_same_probe_again_is_not_new_evidence() -> None:
    once = solve([finding("provider_canary", "timeout")]).leader.probability
    thrice = solve([finding("provider_canary", "timeout") for _ in range(3)]).leader.probability

    assert thrice == pytest.approx(once)


def test_later_rounds_supersede_only_when_asked() -> None:
    before = truth("provider-outage")
    after = [finding(p, w, round_number=1) for p, w in healthy(user_signal="recovered").items()]

    mixed = diagnose([*before, *after], EVEN, MODES, SPECS, "chat")
    latest = diagnose([*before, *after], EVEN, MODES, SPECS, "chat", superseding=True)

    assert mixed.leader.mode == "provider-outage"
    assert latest.conclusion == "no_fault"
    assert latest.residual == ()


def test_every_distribution_sums_to_one_and_excludes_nothing() -> None:
    for hypothesis, spec in itertools.product((*MODES, NO_FAULT, OTHER), SPECS.values()):
        chances = likelihood.distribution(hypothesis, spec)

        assert math.fsum(chances.values()) == pytest.approx(1.0)
        assert min(chances.values()) > 0.001
        assert all(spec.outcomes[word] is not Verdict.INCONCLUSIVE for word in chances)


def test_a_weak_hint_counts_for_without_counting_against_when_absent() -> None:
    hint = Mode(id="m", title="m", evidence={"status_page": {"incident": Weight.WEAKLY_FOR}})
    silent = Mode(id="n", title="n", evidence={})
    with_hint, without = (likelihood.distribution(mode, SPECS["status_page"]) for mode in (hint, silent))

    assert math.log2(with_hint["incident"] / without["incident"]) > 0.8
    assert math.log2(with_hint["clear"] / without["clear"]) > -0.4


def measured(probe: str, outcome: str, **reading: Any) -> Finding:
    """A finding whose reading has numbers."""
    made = finding(probe, outcome)
    return replace(made, reading=replace(made.reading, **reading))


def test_a_healthy_reading_without_power_says_nothing() -> None:
    drift = next(mode for mode in MODES if mode.id == "model-drift")
    spec = SPECS["golden_set"]
    blind, sharp = (measured("golden_set", "ok", power=power) for power in (0.0, 1.0))
    usual = likelihood.distribution(NO_FAULT, spec)["ok"]

    assert likelihood.chance(drift, spec, blind, None) == pytest.approx(usual)
    assert likelihood.chance(drift, spec, sharp, None) == likelihood.distribution(drift, spec)["ok"]
    assert likelihood.chance(drift, spec, measured("golden_set", "drop", power=0.0), None) > 0.5


def test_a_golden_set_cannot_deny_a_drop_smaller_than_it_can_see() -> None:
    shown = {k: v for k, v in healthy(model_fingerprint="changed").items() if k not in ("user_signal", "golden_set")}
    golden = measured("golden_set", "ok", power=0.9)
    small = measured("user_signal", "quality_drop", value=0.89, baseline=0.92)
    large = measured("user_signal", "quality_drop", value=0.50, baseline=0.92)
    others = [f for f in findings(shown) if f.probe != "golden_counterfactual"]

    def drift(symptom: Finding) -> float:
        ranked = solve([*others, golden, symptom]).ranked
        return next(h.probability for h in ranked if h.mode == "model-drift")

    assert drift(small) > 0.65
    assert drift(small) > drift(large)


def test_how_far_quality_fell_is_read_from_numbers_or_details() -> None:
    score = measured("user_signal", "quality_drop", value=0.8, baseline=0.9)
    complaints = measured("user_signal", "quality_drop", value=0.03, baseline=0.01, details={"quality_lost": 0.015})

    assert likelihood.quality_drop([score]) == pytest.approx(0.1)
    assert likelihood.quality_drop([complaints]) == pytest.approx(0.015)
    assert likelihood.quality_drop([finding("user_signal", "ok")]) is None


def test_asking_stops_at_what_separates_the_leaders() -> None:
    shown = healthy(user_signal="quality_drop", golden_set="drop", change_log="deploy")
    asked = [f for f in findings(shown) if f.probe not in ("golden_counterfactual", "model_fingerprint")]

    diagnosis = solve(asked, prior={"model-drift": 0.6, "prompt-regression": 0.4})
    bits = {p.probe: p.bits for p in diagnosis.next_probes}

    assert diagnosis.conclusion == "inconclusive"
    assert set(bits) == {"golden_counterfactual", "model_fingerprint"}
    assert bits["golden_counterfactual"] > bits["model_fingerprint"] > 0.05
    assert solve(asked, final=True).next_probes == ()


def test_nothing_left_to_ask_is_said() -> None:
    shown = findings(healthy(user_signal="errors"))

    diagnosis = solve(shown)

    assert diagnosis.conclusion == "inconclusive"
    assert diagnosis.next_probes == ()
    assert diagnosis.reason.startswith("nothing informative left")


def test_the_same_findings_give_the_same_answer_in_any_order() -> None:
    found = truth("agent-runaway")

    assert solve(found, "agent").ranked[0].probability == pytest.approx(
        solve(found[::-1], "agent").ranked[0].probability
    )


# --- The order of asking -----------------------------------------------------------------------------------------


def names(calls: list[ProbeCall]) -> set[str]:
    return {call.probe for call in calls}


def of_tier(tier: Tier) -> set[str]:
    return {name for name, spec in SPECS.items() if spec.tier is tier}


def test_what_users_feel_what_changed_and_what_is_asked_of_us_come_first_and_cost_nothing() -> None:
    first = next_calls(None, [], SPECS)

    assert names(first) == set(FIRST)
    assert names(first) <= of_tier(Tier.FREE)


def test_few_are_asked_at_a_time_and_none_that_fail_together() -> None:
    shown = [finding(name, SPECS[name].normal) for name in FIRST[1:]]
    found = [*shown, finding("user_signal", "errors")]

    asked = [call.probe for call in next_calls(solve(found), found, SPECS, modes=MODES)]

    assert 0 < len(asked) <= AT_ONCE
    assert len({likelihood.family(name, "") for name in asked}) == len(asked)
    assert len({SPECS[name].tier for name in asked}) == 1


def test_a_runbooks_own_parameters_replace_the_defaults() -> None:
    own = [ProbeCall(probe="provider_canary", params={"n": n}) for n in (10, 10, 20, 30)]

    calls = calls_of(["provider_canary", "gateway_canary"], own)

    assert [(call.probe, call.params) for call in calls] == [
        ("provider_canary", {"n": 10}), ("provider_canary", {"n": 20}), ("gateway_canary", {}),
    ]  # fmt: skip


def walk(shown: Mapping[str, str], kind: str = "chat", prior: Mapping[str, float] = EVEN,
         limit: Tier = Tier.GOLDEN) -> tuple[Diagnosis, list[set[str]]]:  # fmt: skip
    """Ask in order until nothing is left, answering from ``shown``."""
    found: list[Finding] = []
    steps = []
    diagnosis = solve(found, kind, prior)
    while calls := next_calls(diagnosis, found, SPECS, modes=MODES, tier_limit=limit):
        steps.append(names(calls))
        found += [finding(call.probe, shown[call.probe]) for call in calls]
        diagnosis = solve(found, kind, prior)
    return diagnosis, steps


@pytest.mark.parametrize("mode", MATRIX)
def test_asking_in_order_finds_every_truth(mode: str) -> None:
    diagnosis, _ = walk(healthy(**typical(mode)), kind_of(mode))

    assert diagnosis.causes == (mode,)


def test_golden_sets_are_not_spent_while_calls_fail_or_once_sure() -> None:
    outage, steps = walk(healthy(**typical("provider-outage")))
    blip, calm = walk(healthy(user_signal="recovered"), prior={"provider-outage": 1.0})

    assert outage.conclusion == "cause"
    assert not any(step & of_tier(Tier.GOLDEN) for step in steps)
    assert blip.conclusion == "no_fault"
    assert not any(step & of_tier(Tier.GOLDEN) for step in calm)


def test_a_quality_symptom_gets_quality_probes_and_then_both_golden_sets() -> None:
    shown = healthy(user_signal="quality_drop", golden_set="drop", change_log="prompt")

    diagnosis, steps = walk(shown)

    assert diagnosis.causes == ("prompt-regression",)
    assert of_tier(Tier.GOLDEN) <= set().union(*steps)


def test_a_drop_of_the_golden_set_is_always_followed_by_the_counterfactual() -> None:
    shown = healthy(golden_set="drop", change_log="prompt")

    diagnosis, steps = walk(shown, prior={"prompt-regression": 1.0})

    assert diagnosis.causes == ("prompt-regression",)
    assert steps[-2:] == [{"golden_set"}, {"golden_counterfactual"}]


def test_a_tier_limit_is_kept() -> None:
    diagnosis, steps = walk(healthy(user_signal="quality_drop"), limit=Tier.CANARY)

    assert set().union(*steps) <= of_tier(Tier.FREE) | of_tier(Tier.CANARY)
    assert diagnosis.conclusion == "inconclusive"


@pytest.mark.parametrize("mode", MATRIX)
def test_once_the_cause_is_sure_nothing_is_asked_that_would_hardly_change_it(mode: str) -> None:
    diagnosis, steps = walk(healthy(**typical(mode)), kind_of(mode))

    assert all(probe.changes < CHANGES or SPECS[probe.probe].tier > Tier.CANARY for probe in diagnosis.next_probes)
    assert sum(map(len, steps)) <= len(SPECS)


def test_even_without_a_word_from_the_page_few_probes_are_read() -> None:
    walks = [walk(healthy(**typical(mode)), kind_of(mode))[1] for mode in MATRIX]

    assert median(sum(map(len, steps)) for steps in walks) <= 10


def test_when_a_canary_fails_the_second_provider_is_asked_whether_it_is_them_or_us() -> None:
    _, steps = walk(healthy(**typical("provider-outage")))

    assert "second_provider_canary" in set().union(*steps)


def test_what_the_page_itself_speaks_of_is_looked_at_before_a_sure_cause_ends_the_search() -> None:
    page = {"quota-exhausted": 0.5, "stale-index": 0.5}

    _, without = walk(healthy(**typical("quota-exhausted")), "rag", {"quota-exhausted": 1.0})
    diagnosis, steps = walk(healthy(**(typical("quota-exhausted") | {"index_freshness": "stale"})), "rag", page)

    assert "index_freshness" not in set().union(*without)
    assert "index_freshness" in set().union(*steps)
    assert diagnosis.causes == ("quota-exhausted", "stale-index")


def test_a_spec_without_verdicts_of_health_is_only_context() -> None:
    spec: ProbeSpec = SPECS["change_log"]

    assert likelihood.neutral(spec)
    assert likelihood.exponents([finding("change_log", "prompt")], SPECS) == [0.5]
    assert finding("change_log", "prompt").started_at == T0


# --- Many tests at once, and asking no more than helps -----------------------------------------------------------


def test_one_of_many_tests_that_strikes_by_chance_argues_for_nothing() -> None:
    well = [
        measured(name, SPECS[name].normal, p_value=0.6)
        for name in SPECS
        if name not in ("provider_canary", "change_log")
    ]
    struck = measured("provider_canary", "slow", p_value=0.008)

    diagnosis = solve([*well, struck])

    assert diagnosis.leader.mode == "no-fault"
    assert all(argument.finding_id != struck.id for argument in diagnosis.leader.arguments)
    assert diagnosis.residual == (struck.id,)
    assert f"1 of {len(SPECS) - 1} tests may have struck by chance" in diagnosis.reason


@pytest.mark.parametrize("p_value", [1e-5, 0.4], ids=["a sure test", "decided by another rule than its test"])
def test_what_surely_struck_argues_however_many_were_tested(p_value: float) -> None:
    well = [
        measured(name, SPECS[name].normal, p_value=0.6)
        for name in SPECS
        if name not in ("provider_canary", "change_log")
    ]
    struck = measured("provider_canary", "slow", p_value=p_value)

    diagnosis = solve([*well, struck])

    assert any(argument.finding_id == struck.id for argument in diagnosis.leader.arguments)


def free_findings() -> list[Finding]:
    return [finding(name, spec.normal) for name, spec in SPECS.items() if spec.tier is Tier.FREE]


def told(conclusion: Any, **changes: float) -> Diagnosis:
    return Diagnosis(
        conclusion=conclusion, ranked=(Hypothesis(mode="provider-outage", title="Outage", probability=0.9),),
        next_probes=tuple(
            NextProbe(probe=name, bits=0.1, bits_per_cost=0.1, changes=chance) for name, chance in changes.items()
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("diagnosis", "asked"),
    [
        (told("cause"), []),
        (told("cause", gateway_canary=0.1), ["gateway_canary"]),
        (told("cause", gateway_canary=CHANGES / 2), []),
        (told("inconclusive", second_provider_canary=0.0, provider_canary=0.0), ["second_provider_canary"]),
        (told("inconclusive"), ["provider_canary"]),
    ],
    ids=["sure", "it may change the cause", "it hardly would", "most for its cost first", "health needs one"],
)
def test_canaries_that_cannot_change_the_answer_are_not_sent(diagnosis: Diagnosis, asked: list[str]) -> None:
    assert [call.probe for call in next_calls(diagnosis, free_findings(), SPECS)] == asked


def test_after_a_step_that_did_not_help_a_verdict_is_no_reason_to_stop_asking() -> None:
    shown = [finding(name, SPECS[name].normal) for name in FIRST[1:]]
    sure = [*shown, finding("user_signal", "quality_drop"), finding("tool_check", "down")]
    assert solve(sure, "agent").conclusion == "cause"

    def asked(*, wider: bool) -> set[str]:
        found = list(sure)
        while calls := next_calls(solve(found, "agent"), found, SPECS, modes=MODES, wider=wider):
            found += [finding(call.probe, SPECS[call.probe].normal) for call in calls]
        return {f.probe for f in found}

    assert len(asked(wider=False)) < len(asked(wider=True))
    assert "golden_set" in asked(wider=True) - asked(wider=False)
