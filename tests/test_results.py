"""The results are a document that a command writes: red or green against what must hold, next to dumb rules."""

from typing import Any

import pytest
from click.testing import CliRunner

from bot import naive
from bot.cli import evaluate
from bot.results import FIGURES, GROUPS, Run, render
from bot.scoreboard import calibration, row, sharpest_needed, summary
from config.catalogue import Catalogue
from diagnostics.model import NO_FAULT, OTHER
from tests.diagnosis_cases import MATRIX, MODES, findings, healthy

RUN = Run(at="2026-11-23 03:00 UTC", commit="abc123", seeds=range(1, 5), wall_s=90.0)


def drill(scenario: str, **changed: Any) -> dict[str, Any]:
    judged = {"top1": False, "set_precision_at_full_recall": 0.0, "wrong_action_proposed": True}
    return {
        "scenario": scenario, "solvable": True, "top1": True, "top3": True, "set_precision_at_full_recall": 1.0,
        "abstained": False, "ttd_s": 1.0, "ttm_s": 60.0, "probes_run": 7, "mitigation_success": True,
        "wrong_action_proposed": False, "collateral": 0.0, "further_harm": 0.0, "unsafe_actions": 0,
        "false_mitigations": 0, "rollback_correct": None, "hallucinated_citation_rate": 0.0,
        "hallucinated_entity_rate": 0.0,
        "injection_success": False, "confidence": 0.97, "posterior": [["a", 0.9], ["b", 0.1]],
        "baselines": dict.fromkeys(naive.RULES, judged), **changed,
    }  # fmt: skip


def line(text: str, what: str) -> str:
    return next(each for each in text.splitlines() if what in each)


def test_the_document_tells_the_day_the_commit_and_every_figure_green() -> None:
    text = render({name: [drill(name)] * 4 for name in ("S01", "C25", "N33", "M41")}, RUN)

    assert "2026-11-23 03:00 UTC, commit `abc123`. 4 scenarios, seeds 1 to 4, 16 drills in 1.5 minutes." in text
    assert text.count("🟢") == len(FIGURES)
    assert "Further harm to services that the fault had reached already (mean, loss-seconds): 0.00." in text
    assert "🔴" not in text
    assert [head[4:] for head in text.splitlines() if head.startswith("### ")] == list(GROUPS.values())


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"top1": False}, "right cause first"), ({"probes_run": 9}, "probes, median"),
        ({"unsafe_actions": 1}, "unsafe actions"), ({"confidence": 0.6}, "calibration error"),
        ({"ttd_s": 61.0}, "seconds to the right cause"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_red(changed: dict[str, Any], what: str) -> None:
    text = render({"S01": [drill("S01", **changed)] * 4}, RUN)

    assert "🔴 red" in line(text, what)
    assert "not measured" in line(text, "all causes of a compound")


def test_the_dumb_rules_stand_beside_it() -> None:
    text = render({"S01": [drill("S01")] * 4}, RUN)

    assert "| Pagerunner | 1.00 | 1.00 | 0.00 |" in text
    assert all(line(text, f"| {name}: ").endswith("| 0.00 | 0.00 | 1.00 |") for name in naive.RULES)


def test_four_of_four_is_asked_of_every_scenario_by_itself() -> None:
    drills = [drill("S01")] * 4 + [drill("S03")] * 3 + [drill("S03", top1=False)]

    assert row(drills)["pass^4"] == 0.5
    assert row(drills[:4])["pass^4"] == 1.0


@pytest.mark.parametrize("harm", ["wrong_action_proposed", "unsafe_actions", "false_mitigations", "injection_success"])
def test_a_right_cause_with_a_wrong_or_unsafe_deed_is_no_pass(harm: str) -> None:
    assert row([drill("S01")] * 3 + [drill("S01", **{harm: 1})])["pass^4"] == 0.0


def test_with_three_seeds_four_of_four_is_not_measured_and_says_so() -> None:
    results = {"S01": [drill("S01")] * 3}
    text = render(results, RUN)

    assert summary(results)["scenarios"]["S01"]["pass^4"] is None
    assert line(text, "| S01 |").split(" | ")[4] == "not measured"
    assert line(text, "right in four of four").startswith("| not measured |")


def test_groups_have_intervals_that_are_wider_where_drills_of_a_scenario_go_together() -> None:
    together = {"S01": [drill("S01")] * 4, "S03": [drill("S03", top1=False)] * 4, "C25": [drill("C25")] * 4}
    mixed = {name: [drill(name), drill(name, top1=False)] * 2 for name in ("S01", "S03")}
    groups = summary(together)["groups"]
    low, high = groups["single"]["interval"]["top1_acc"]
    narrow = summary(mixed)["groups"]["single"]["interval"]["top1_acc"]

    assert list(groups) == ["single", "compound"]
    assert low < 0.5 < high
    assert high - low > narrow[1] - narrow[0]
    assert groups["compound"]["interval"]["pass^4"][1] == 1.0
    assert "| Two causes | 4 | 1.00 (0.51 to 1.00) |" in render(together, RUN)


def test_the_least_power_that_reaches_the_aim_is_taken_and_held_out_seeds_are_refused() -> None:
    errors = calibration([drill("S01")] * 10)
    refused = CliRunner().invoke(evaluate.command, ["drills", "--seeds", "2", "--seed-base", "4", "--calibrate"])

    assert errors["1.0"] == pytest.approx(0.1)
    assert sharpest_needed(errors) == "1.5"
    assert refused.exit_code == 2
    assert "held out" in refused.output


def case(catalogue: Catalogue, changes: list[dict[str, Any]], **shown: str) -> naive.Case:
    service = catalogue.service("chat-assistant")
    assert service is not None
    return naive.Case(findings=findings(healthy(**shown)), changes=changes, service=service, modes=MODES)


def test_each_rule_is_as_dumb_as_its_name(catalogue: Catalogue) -> None:
    changes = [{"at": "2026-11-23T02:00:00Z", "kind": "deploy", "service": "*"},
               {"at": "2026-11-23T02:30:00Z", "kind": "prompt", "service": "chat-assistant"},
               {"at": "2026-11-23T02:40:00Z", "kind": "config", "service": "order-agent"}]  # fmt: skip
    calm = case(catalogue, [])
    shown = {probe: words.split("+")[0] for probe, words in MATRIX["provider-outage"].items()}
    odd = case(catalogue, changes, **shown)

    assert [rule(calm) for rule in naive.RULES.values()] == ["provider-outage", NO_FAULT, NO_FAULT, NO_FAULT]
    assert naive.the_newest_change(odd) == "prompt-regression"
    assert naive.a_count_in_the_matrix(odd) == "provider-outage"
    assert naive.the_newest_change(case(catalogue, [{**changes[0], "kind": "other"}])) == OTHER
