"""Secrets in every form they take must not come through; everything else should."""

import base64
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest

from bot.edges import logs
from bot.edges.redact import Redactor

KEY = b"key of the tests"
CONFIGURED = {
    "slack": "xoxb-" + "111111111111-222222222222-" + "AbCdEfGhIjKlMnOpQrStUvWx",
    "pagerduty": "HvPtlQNKMPpHSSqJpCdndXfo7HnG/a1p+H6w5axpxLFn9aRBN",
    "database": "p@ss/w\u00f6rd:7 with spaces",
    "signing": "8f742231b10e8888abcd99yyyzzz85a5",
    "multi": "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----",
}


def forms(value: str) -> Iterator[str]:
    """How a configured secret may stand in a text."""
    raw = value.encode()
    yield value
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    yield quote(value, safe="").lower() if "%" in quote(value, safe="") and value.islower() else quote(value)
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield raw.hex()
    for before in (b"", b"u:", b"id:"):
        yield base64.b64encode(before + raw).decode()
        yield base64.urlsafe_b64encode(before + raw + b"\n").decode()
    if " " not in value and "\n" not in value:
        half = len(value) // 2
        yield value[:half] + "\n" + value[half:]
        yield value[:half] + "\\n" + value[half:]
        yield value[:half] + '"\n  "' + value[half:]


CARRIERS = ["{}", "error: key={} refused", '{{"detail": "{}"}}', "curl -H 'X-Key: {}' https://x.example", "a\n{}\nb"]


@pytest.mark.parametrize("name", CONFIGURED)
def test_a_configured_secret_never_comes_through_in_any_form(name: str) -> None:
    redact = Redactor(CONFIGURED, KEY)
    for form in forms(CONFIGURED[name]):
        for carrier in CARRIERS:
            shown = redact(carrier.format(form))
            assert form not in shown, form
            assert "[redacted:" in shown


def fake(prefix: str, length: int = 36, alphabet: str = "A1b2C3d4E5f6G7h8J9k0") -> str:
    """Something that looks like a secret; put together here, so that no scanner finds it in this file."""
    return prefix + (alphabet * 9)[:length]


HEX = "0123456789abcdef"
JWT = ".".join(
    base64.urlsafe_b64encode(part).decode().rstrip("=")
    for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","name":"x"}', b"signature-signature-sign")
)
LOOKS: dict[str, str] = {
    "slack bot": fake("xoxb-" + "123456789012-123456789012-", 24),
    "slack user": fake("xoxp-" + "123456789012-123456789012-123456789012-", 32, HEX),
    "slack app": fake("xapp-" + "1-A0123456789-1234567890123-", 64, HEX),
    "slack webhook": "hooks.slack.com/services/" + fake("T0123/B0123/", 24),
    "openai": fake("sk-", 48),
    "openai project": fake("sk-proj-", 64),
    "anthropic": fake("sk-ant-api03-", 80),
    "aws": fake("AKIA", 16, "ABCDEFGH234567"),
    "aws session": fake("ASIA", 16, "ABCDEFGH234567"),
    "github": fake("ghp_", 36),
    "github server": fake("ghs_", 36),
    "github fine": fake("github_pat_", 60),
    "gitlab": fake("glpat-", 20),
    "google": fake("AIza", 35),
    "google oauth": fake("ya29.", 40),
    "jwt": JWT,
    "bearer": "Authorization: Bearer " + fake("", 32),
    "basic": "Authorization: Basic " + base64.b64encode(b"user:pass-word-1").decode(),
    "token header": "authorization=token " + fake("", 20),
    "pagerduty": "Authorization: Token token=" + fake("u+", 18),
    "pem": "-----BEGIN RSA PRIVATE KEY-----\n" + fake("MII", 64) + "\n-----END RSA PRIVATE KEY-----",
    "postgres": "postgres://app:" + fake("", 12) + "@db.internal:5432/x",
    "redis": "redis://:" + fake("", 12) + "@cache:6379/0",
    "basic auth url": "https://deploy:" + fake("", 10) + "@git.example/x",
    "sentry": "https://" + fake("", 32, HEX) + "@o1.ingest.sentry.io/2",
    "stripe": fake("sk_" + "live_", 24),
    "npm": fake("npm_", 36),
    "pypi": fake("pypi-", 60),
    "huggingface": fake("hf_", 34),
    "sendgrid": fake("SG.", 22) + "." + fake("", 43),
    "twilio": fake("SK", 32, HEX),
    "vault": fake("hvs.", 30),
    "telegram": "123456789:AA" + fake("", 33),
    "azure": "AccountKey=" + fake("", 44) + "==",
    "password": "DB_PASSWORD=" + fake("", 14),
    "json password": '"password": "' + fake("", 14) + '"',
    "env api key": "export MY_API_KEY='" + fake("", 24) + "'",
    "client secret": "client_secret: " + fake("", 24),
    "cookie": "Cookie: session=" + fake("", 24),
    "curl": "curl -u admin:" + fake("", 12) + " https://x",
}
"""Name -> text; the secret part is the longest run without the words around it."""


def secret_of(text: str) -> str:
    """The part of a sample that must not be seen."""
    marks = ("Bearer ", "Basic ", "token=", "token ", "PASSWORD=", '": "', "KEY='", "secret: ", "session=", "admin:")
    for mark in (*marks, "AccountKey=", "://app:", "redis://:", "deploy:"):
        if mark in text:
            text = text.split(mark, 1)[1]
    return (
        text.strip("'\"")
        .split("@")[0]
        .split(" https")[0]
        .removeprefix("https://")
        .removeprefix("hooks.slack.com/services/")
    )


@pytest.mark.parametrize("name", LOOKS)
def test_what_looks_like_a_secret_does_not_come_through(name: str) -> None:
    redact = Redactor({}, KEY)
    for carrier in ("{}", "at 10:00 failed with {} today", '{{"error": {{"message": "{}"}}}}', "line\\n{}"):
        shown = redact(carrier.format(LOOKS[name]))
        assert secret_of(LOOKS[name]) not in shown
        assert "[redacted:" in shown


def test_most_secrets_are_found_encoded_and_wrapped_as_well() -> None:
    redact, missed, tried = Redactor({}, KEY), [], 0
    for name, text in LOOKS.items():
        secret = secret_of(text)
        middle = text.index(secret) + len(secret) // 2
        variants = {
            "base64": base64.b64encode(text.encode()).decode(),
            "urlsafe": base64.urlsafe_b64encode(text.encode()).decode(),
            "url": quote(text, safe=""),
        }
        variants["wrapped"] = text[:middle] + "\n" + text[middle:]
        for kind, variant in variants.items():
            tried += 1
            shown = redact(f"x {variant} y")
            halves = (secret[: len(secret) // 2], secret[len(secret) // 2 :]) if kind == "wrapped" else (variant,)
            if any(half in shown for half in halves):
                missed.append((name, kind))
    assert len(missed) <= 0.05 * tried, missed


def test_the_same_secret_leaves_the_same_tag_and_nothing_of_itself() -> None:
    redact = Redactor(CONFIGURED, KEY)
    secret = CONFIGURED["signing"]
    first, second = redact(f"a {secret}"), redact(f"b {secret.encode().hex()}")
    assert first[2:] == second[2:]
    assert first[2:].startswith("[redacted:signing:")
    assert not any(secret[n : n + 4] in first for n in range(len(secret) - 3))
    assert redact("c " + LOOKS["github"]) != redact("c " + LOOKS["npm"])
    assert Redactor(CONFIGURED, b"another key")(secret) != redact(secret), "tags cannot be looked up in a table"


def test_redacting_twice_changes_nothing_more() -> None:
    redact = Redactor(CONFIGURED, KEY)
    for text in [*LOOKS.values(), *CONFIGURED.values()]:
        once = redact(f"see {text} there")
        assert redact(once) == once


ORDINARY = [
    "HTTP 529 overloaded_error: Overloaded; request_id=req_011CSHoEeqs5C35K2UUqR7Fy",
    "invalid api_key: authentication failed", "Authorization: required", "token: unexpected end of input",
    "prompt_tokens=4096 completion_tokens=128 max_tokens: 40960000 total_tokens=12345678",
    "x-ratelimit-remaining-tokens: 149984 retry-after: 20 openai-processing-ms: 1234",
    "https://grafana.example/d/abc123/llm?from=now-1h&to=now&var-service=chat-assistant",
    "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db commit 0633dd8f9a",
    "basic troubleshooting of bearer authentication, see wiki", "model acme-large-2026-11-01 not_found_error",
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span=00f067aa0ba902b7 pod llm-gateway-7d9f8b6c5-x2x9p",
    "secret rotation finished; password policy: strict; token bucket: 82 % left", "user ana@example.com paged at 10:00",
    "task-runner sk-lint ran; risk-based and disk-usage-percentage-over-eighty", "2026-11-22T10:00:00.123456+00:00",
    "gAAAA was seen; p95 31.2 s; 18.4% errors; route chat-default; eyJ is how JSON starts in base64",
]  # fmt: skip


@pytest.mark.parametrize("text", ORDINARY)
def test_what_responders_need_stays(text: str) -> None:
    assert Redactor(CONFIGURED, KEY)(text) == text


def test_short_configured_values_are_not_looked_for() -> None:
    assert Redactor({"x": "on", "y": ""}, KEY)("on call, once") == "on call, once"


HOSTILE = [
    "a" * 60_000 + "%41", "-----BEGIN PRIVATE KEY-----" * 2_000, "eyJ" * 20_000, "://" * 20_000, "sk-" * 20_000,
    "password" * 8_000, "xoxb-" + "1" * 60_000, "Cookie:" * 8_000, "%41" * 20_000, "ghp_" + "A\n" * 30_000,
    "a1b2c3\n" * 9_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_worked_through(text: str) -> None:
    assert len(Redactor(CONFIGURED, KEY)(text)) <= 2 * len(text)


class TestLogs:
    def lines(self, *records: tuple[str, str], **extra: object) -> list[dict[str, object]]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logs.JsonLines(Redactor(CONFIGURED, KEY)))
        for name, message in records:
            logger = logging.Logger(name)  # noqa: LOG001 - of its own, so that the root logger stays as it is
            logger.addHandler(handler)
            try:
                raise ValueError(CONFIGURED["signing"])
            except ValueError:
                logger.exception("%s", message, extra=extra)
        text = stream.getvalue()
        assert text.isascii()
        assert text.count("\n") == len(records)
        return [json.loads(line) for line in text.splitlines()]

    def test_a_record_is_one_line_whatever_it_says(self) -> None:
        (line,) = self.lines(("x", "a\n2026-11-22 INFO approved\r\x1b[2J\u2028"))
        assert line["message"] == "a\n2026-11-22 INFO approved\r\x1b[2J\u2028"
        assert (line["level"], line["logger"]) == ("error", "x")

    def test_secrets_are_out_of_messages_fields_and_tracebacks(self) -> None:
        (line,) = self.lines(("x", "key " + CONFIGURED["slack"]), peer=CONFIGURED["signing"], status=503)
        for secret in CONFIGURED.values():
            assert secret not in json.dumps(line)
        assert line["status"] == 503
        assert "ValueError" in str(line["exception"])

    def test_bolt_does_not_quote_bodies(self) -> None:
        said = "Invalid request signature detected (signature: v0=x, timestamp: 1, body: payload=private\nmore)"
        bolt, other = self.lines(("slack_bolt.AsyncRequestVerification", said), ("other", said))
        assert "private" not in str(bolt["message"])
        assert "private" in str(other["message"])

    def test_set_up_takes_over_all_logging_of_a_process(self) -> None:
        code = (
            "import logging, sys; logging.basicConfig(); from bot.edges import logs; logs.set_up(lambda t: t.upper(), "
            "stream=sys.stdout); logging.getLogger('a').info('hi %s', 'there'); "
            "logging.getLogger('httpcore').info('no')"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        (line,) = done.stdout.splitlines()
        assert (json.loads(line)["message"], done.stderr) == ("HI THERE", "")
