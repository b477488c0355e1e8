"""What lint finds in a runbook that parses, and what it suggests instead."""

from datetime import date

import pytest

from runbooks.lint import lint, lint_all
from runbooks.model import Problem
from runbooks.parse import parse
from tests.runbooks_fakes import ACTIONS, FRONT, PROBES, WHOLE, catalogue

FILE = "library/provider-outage.md"
TODAY = date(2026, 11, 22)


def linted(text: str, *, with_catalogue: bool = True, today: date = TODAY) -> tuple[Problem, ...]:
    return lint(
        parse(text.encode(), FILE),
        probes=PROBES,
        actions=ACTIONS,
        catalogue=catalogue() if with_catalogue else None,
        runbook_ids={"provider-outage", "rate-limit-exceeded"},
        today=today,
    )


def found(text: str, rule: str, *, with_catalogue: bool = True) -> Problem:
    problems = linted(text, with_catalogue=with_catalogue)
    hits = [problem for problem in problems if problem.rule == rule]

    assert hits, [str(p) for p in problems]
    return hits[0]


def standing_at(text: str, problem: Problem) -> str:
    return text.split("\n")[problem.line - 1][problem.column - 1 :]


def test_a_good_runbook_has_no_errors_and_no_warnings() -> None:
    assert [str(p) for p in linted(WHOLE) if p.severity != "hint"] == []


@pytest.mark.parametrize(
    ("old", "new", "rule", "stands", "suggests"),
    [
        ("status_page:\n```", "statuspage:\n```", "unknown-probe", "statuspage", "'status_page'"),
        ("  status_page: {", "  status_pages: {", "unknown-probe", "status_pages", "'status_page'"),
        ("verify: provider_canary", "verify: provider_canery", "unknown-probe", "verify", "'provider_canary'"),
        ("shift_traffic:", "shift_trafic:", "unknown-action", "shift_trafic", "'shift_traffic'"),
        ("{incident: w", "{incidents: w", "unknown-outcome", "incidents", "'incident'"),
        ("is ok within", "is okay within", "unknown-outcome", "verify", "'ok'"),
        ("  n: 10", "  nn: 10", "unknown-parameter", "nn", "'n'"),
        ("  n: 10", "  n: many", "parameter", "n", ""),
        ("  n: 10", "  n: 10000", "parameter", "n", ""),
        ("  percent: 100\n", "", "missing-parameter", "shift_traffic", "add 'percent"),
        ("$service.fallback_provider", "$service.fallback_provder", "unknown-field", "to", "'fallback_provider'"),
        ("verify: provider_canary is ok within 5m", "", "no-verify", "shift_traffic", "verify:"),
        ("lease: 60m", "risk: R1", "risk", "risk", "stricter"),
        ("rate-limit-exceeded", "rate-limit-exceded", "unknown-runbook", "belongs_to", "'rate-limit-exceeded'"),
        ("belongs_to: rate-limit-exceeded", "belongs_to: provider-outage", "belongs-to-itself", "belongs_to", "pages"),
        ("owner: assist", "owner: asist", "unknown-team", "owner", "'assist'"),
        ('services: ["*"]', "services: [chat, suport]", "unknown-service", "suport", "'support'"),
        ("provider: $service.provider", "provider: \"{{ x }}\"", "literal-template", "provider", "$service.name"),
        ("server_error: usual", "server_error: weakly_for", "nothing-usual", "evidence", ""),
        ('"LLM error rate above 5 percent"', '"To every request the provider: 503"', "alike-pages", '"Prov', ""),
        ("not_pages:", 'reports: ["Provider answers 503 to every Request"]\nnot_pages:', "alike-pages", '"Prov', ""),
    ],
)  # fmt: skip
def test_a_mistake_is_found_where_it_stands_with_what_to_write(
    old: str, new: str, rule: str, stands: str, suggests: str
) -> None:
    text = WHOLE.replace(old, new)
    assert text != WHOLE
    problem = found(text, rule)

    assert standing_at(text, problem).startswith(stands)
    assert suggests in problem.suggestion


def test_a_lease_on_an_action_that_cannot_be_leased_is_an_error() -> None:
    text = (
        FRONT
        + "# A\n```action\npost_banner:\n  text_key: slow\nlease: 5m\nverify: status_page is clear within 5m\n```\n"
    )

    assert found(text, "lease").severity == "error"


STEP = "# A\n```action\nmanual:\n  title: Call\n  instructions: Call security.\nrisk: R3\n{}\n```\n"


def test_a_step_that_says_why_nothing_can_verify_it_needs_no_verify() -> None:
    text = FRONT + STEP.format("unverified: No probe sees whether security was reached.")

    assert {p.rule for p in linted(text)} & {"no-verify", "unverified"} == set()
    assert found(FRONT + STEP.format(""), "no-verify").suggestion.endswith("or 'unverified:' with the reason")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("unverified: no", "is no reason"),
        ("unverified:", "needs a value"),
        ("unverified: No probe sees whether it did.\nverify: status_page is clear within 5m", "either 'verify' or"),
    ],
)
def test_a_reason_that_is_none_is_refused(line: str, said: str) -> None:
    assert said in found(FRONT + STEP.format(line), "unverified").message


def test_an_action_that_only_informs_needs_no_verify() -> None:
    text = FRONT + "# A\n```action\npost_banner:\n  text_key: slow\n```\n"

    assert "no-verify" not in {p.rule for p in linted(text)}


def test_a_step_that_some_services_cannot_take_is_a_hint_naming_them() -> None:
    problem = found(WHOLE, "undeclared-field")

    assert problem.severity == "hint"
    assert "lonely" in problem.message
    assert "chat" not in problem.message


def test_a_step_that_no_service_can_take_is_a_warning() -> None:
    text = WHOLE.replace("$service.fallback_provider", "$service.prompt")

    assert found(text, "undeclared-field").severity == "warning"


def test_a_value_is_checked_by_type_for_every_service() -> None:
    problem = found(WHOLE.replace("percent: 100", "percent: $service.provider"), "parameter")

    assert problem.severity == "error"
    assert "for service" in problem.message


def test_without_a_catalogue_only_the_literal_parameters_are_checked() -> None:
    assert [p for p in linted(WHOLE, with_catalogue=False) if p.severity != "hint"] == []
    for old, new, rule in (
        ("percent: 100", "percent: 101", "parameter"),
        ("$service.fallback_p", "$service.fallbackp", "unknown-field"),
    ):
        assert found(WHOLE.replace(old, new), rule, with_catalogue=False).severity == "error"


def test_an_overdue_review_is_a_warning_on_its_day() -> None:
    assert "overdue-review" not in {p.rule for p in linted(WHOLE, today=date(2027, 2, 18))}

    late = [p for p in linted(WHOLE, today=date(2027, 2, 20)) if p.rule == "overdue-review"]
    assert [(p.severity, p.line) for p in late] == [("warning", 7)]
    assert "2 days" in late[0].message


def test_hints_say_what_a_file_could_earn_next() -> None:
    hints = [p.suggestion for p in linted("---\ntitle: T\nowner: assist\n---\n# T\n") if p.severity == "hint"]

    assert [next(w for w in ("pages", "evidence", "probe", "action", "reviewed") if w in h) for h in hints] == [
        "pages", "evidence", "probe", "action", "reviewed",
    ]  # fmt: skip


def test_plain_markdown_gets_one_hint() -> None:
    (problem,) = linted("# T\n")

    assert (problem.rule, problem.severity) == ("plain", "hint")


def test_a_file_that_does_not_parse_reports_what_the_parser_found() -> None:
    assert [p.rule for p in linted("---\ntitle: T\n")] == ["front-matter"]


def test_a_problem_prints_file_line_column_rule_and_suggestion() -> None:
    text = WHOLE.replace("status_page:\n```", "statuspage:\n```")

    assert str(found(text, "unknown-probe")) == (
        "library/provider-outage.md:31:1: error: there is no probe 'statuspage' "
        "(did you mean 'status_page'?) [unknown-probe]"
    )


def test_two_files_with_one_id_are_both_named() -> None:
    files = [parse(WHOLE.encode(), f"{folder}/provider-outage.md") for folder in ("a", "b")]
    problems = lint_all(files, probes=PROBES, actions=ACTIONS)
    (clash,) = [p for p in problems if p.rule == "duplicate-id"]

    assert "a/provider-outage.md" in clash.message
    assert "b/provider-outage.md" in clash.message


def test_a_library_knows_its_own_ids() -> None:
    other = "---\ntitle: R\nowner: assist\n---\n"
    files = [parse(WHOLE.encode(), FILE), parse(other.encode(), "library/rate-limit-exceeded.md")]

    assert "unknown-runbook" not in {p.rule for p in lint_all(files, probes=PROBES, actions=ACTIONS)}
    assert "unknown-runbook" in {p.rule for p in lint_all(files[:1], probes=PROBES, actions=ACTIONS)}
