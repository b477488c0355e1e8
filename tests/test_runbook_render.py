"""``runbooks render``: what people on call would see, and nothing in it that could act."""

from pathlib import Path

import pytest

from tests.runbook_cli_fakes import WITH_CATALOGUE, alone, book, run


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(tmp_path, monkeypatch)


def test_for_a_service_its_steps_are_filled_in_with_risk_undo_and_approvals() -> None:
    result = run("render", "provider-outage", "--service", "support-bot", **WITH_CATALOGUE)

    assert result.exit_code == 0, result.output
    for said in (
        "Model provider is failing  [provider-outage]", "(provider-outage#model-provider-is-failing)",
        "route = support", "to = beta-anthropic", "risk: R2", "lease: ends by itself after 60 min",
        "verified by: gateway_canary is ok within",
        "approvals: 1 of team assist", "rules it out: quota_exhausted",
    ):  # fmt: skip
        assert said in result.stdout


def test_a_step_that_a_service_cannot_take_says_why() -> None:
    result = run("render", "provider-outage", "--service", "text-moderation", **WITH_CATALOGUE)

    assert "not proposed: to: service 'text-moderation' declares no 'fallback_provider'" in result.stdout


def test_without_a_catalogue_parameters_stand_as_written() -> None:
    assert "to = $service.fallback_provider" in run("render", "provider-outage").stdout


def test_a_plain_page_is_shown_as_what_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "plain.md").write_text("# What we do\n\nCall Ana.\x1b[31m\n")

    told = run("render", "plain.md").stdout

    assert "never executed" in told
    assert "> Call Ana." in told
    assert "It has no step" in told
    assert "\x1b" not in told


def test_html_is_one_file_that_runs_and_loads_nothing(tmp_path: Path) -> None:
    body = (
        "# A\n<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) **bold**\n\n"
        '### 1. <b>Call</b>\n```action\nmanual: {title: "<i>Call</i>", instructions: "Call <script>her</script> now"}\n'
        "verify: egress is ok within 5m\n```\n"
    )
    (tmp_path / "mine.md").write_text(book("<script>t</script>", body=body))

    told = run("render", "mine.md", "--html").stdout

    assert "default-src 'none'" in told
    for never in ("<script", "<img", "<i>", 'href="javascript', "<b>"):
        assert never not in told
    assert "<strong>bold</strong>" in told
    assert "&lt;i&gt;Call&lt;/i&gt;" in told


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [(("none.md",), 2, "cannot be read"), ((".",), 2, "a folder"), (("bad.md",), 1, "error: there is no probe"),
     (("stale-index", "--service", "nobody"), 2, "there are chat-assistant")],
)  # fmt: skip
def test_what_cannot_be_shown_says_why(words: tuple[str, ...], code: int, told: str, tmp_path: Path) -> None:
    (tmp_path / "bad.md").write_text(book(front="evidence: {egres: {ok: usual}}\n"))

    result = run("render", *words, **WITH_CATALOGUE)

    assert (result.exit_code, told in result.stderr) == (code, True), result.output
