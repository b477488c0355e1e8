"""What a failed model call means, by the bodies that vendors and gateways really send."""

import json
from typing import Any

import pytest

from config.http import HttpError
from diagnostics.rate_limits import read_limits, seconds_to_reset
from diagnostics.taxonomy import classify, classify_transport
from tests.provider_fakes import NOW


def openai(kind: str | None, code: str | None, message: str = "something", param: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def anthropic(kind: str, message: str = "something") -> str:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


def litellm(message: str, code: str, kind: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


DIRECT: list[tuple[int, str, str]] = [
    # OpenAI
    (429, openai("tokens", "rate_limit_exceeded", "Rate limit reached for x on tokens per min (TPM)"), "rate_limited"),
    (429, openai("requests", "rate_limit_exceeded", "Rate limit reached for requests"), "rate_limited"),
    (429, openai("requests", None, "Rate limit reached for requests"), "rate_limited"),
    (429, openai("rate_limit_error", "slow_down", "You are sending requests too fast; slow down"), "capacity"),
    (429, openai("insufficient_quota", "insufficient_quota", "You exceeded your current quota"), "quota_exhausted"),
    (429, openai("insufficient_quota", "credit_balance_exhausted"), "quota_exhausted"),
    (429, openai("insufficient_quota", "organization_spend_limit_exceeded"), "quota_exhausted"),
    (429, openai("insufficient_quota", "project_spend_limit_exceeded"), "quota_exhausted"),
    (429, openai("insufficient_quota", "organization_usage_limit_exceeded"), "quota_exhausted"),
    (503, openai("service_unavailable_error", "server_is_overloaded", "Overloaded"), "overloaded"),
    (503, openai("service_unavailable_error", None), "server_error"),
    (500, openai("server_error", None, "The server had an error"), "server_error"),
    (401, openai("invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-..."), "unauthorized"),
    (403, openai("request_forbidden", "unsupported_country_region_territory"), "unauthorized"),
    (401, openai(None, None, "Your IP is not authorized"), "unauthorized"),
    (404, openai("invalid_request_error", "model_not_found", "The model `m` does not exist"), "model_missing"),
    (404, openai("invalid_request_error", None, "The model `m` has been deprecated"), "model_missing"),
    (400, openai("invalid_request_error", "context_length_exceeded"), "bad_request"),
    (400, openai("invalid_request_error", "unsupported_parameter", "Unsupported parameter"), "bad_request"),
    (400, openai("invalid_request_error", None, "'messages' is required", "messages"), "bad_request"),
    # Anthropic
    (400, anthropic("invalid_request_error", "max_tokens: Field required"), "bad_request"),
    (400, anthropic("invalid_request_error", "You have reached your specified API usage limits"), "quota_exhausted"),
    (400, anthropic("invalid_request_error", "This workspace has reached its spend limit"), "quota_exhausted"),
    (400, anthropic("invalid_request_error", "Your credit balance is too low to access the API"), "quota_exhausted"),
    (401, anthropic("authentication_error", "invalid x-api-key"), "unauthorized"),
    (402, anthropic("billing_error"), "quota_exhausted"),
    (403, anthropic("permission_error"), "unauthorized"),
    (404, anthropic("not_found_error", "model: beta-sonnet-1"), "model_missing"),
    (404, anthropic("not_found_error", "Not Found"), "bad_request"),
    (409, anthropic("conflict_error"), "bad_request"),
    (413, anthropic("request_too_large"), "bad_request"),
    (429, anthropic("rate_limit_error", "would exceed your organization's rate limit"), "rate_limited"),
    (429, anthropic("enforced_spend_limit_reached"), "quota_exhausted"),
    (429, anthropic("rate_limit_error", "enforced_spend_limit_reached: spend limit"), "quota_exhausted"),
    (500, anthropic("api_error", "Internal server error"), "server_error"),
    (504, anthropic("timeout_error", "Request timed out"), "timeout"),
    (529, anthropic("overloaded_error", "Overloaded"), "overloaded"),
    # Azure
    (429, json.dumps({"error": {"code": "429", "message": "Rate limit is exceeded. Try again."}}), "rate_limited"),
    (429, json.dumps({"statusCode": 429, "message": "Rate limit is exceeded."}), "rate_limited"),
    (429, json.dumps({"error": {"code": "429", "message": "System is experiencing high demand"}}), "capacity"),
    (429, json.dumps({"error": {"code": "NoCapacity", "message": "x"}}), "capacity"),
    (404, json.dumps({"error": {"code": "DeploymentNotFound", "message": "x"}}), "model_missing"),
    (400, json.dumps({"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}),
     "bad_request"),
    # Nothing but a status, from the API itself or from a server in front of it
    (402, "", "quota_exhausted"),
    (401, "", "unauthorized"),
    (429, "", "rate_limited"),
    (529, "", "overloaded"),
    (502, "<html>Bad gateway</html>", "server_error"),
    (504, "<html>Gateway time-out</html>", "timeout"),
    (408, "", "timeout"),
    (422, '{"detail": [{"msg": "field required"}]}', "bad_request"),
    (404, '{"detail": "Not Found"}', "bad_request"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "word"), DIRECT)
def test_an_error_of_a_provider_is_named_by_what_it_says(status: int, body: str, word: str) -> None:
    failure = classify(status, body)

    assert failure is not None
    assert (failure.word, failure.status) == (word, status)


GATEWAY: list[tuple[int, str, str, str]] = [
    (429, litellm("No deployments available for selected model, Try again in 5 seconds. Passed model=chat", "429"),
     "no_deployment", "gateway"),
    (429, litellm("There are no healthy deployments for this model", "429"), "no_deployment", "gateway"),
    (429, litellm("No deployments available - crossed budget: Exceeded budget for deployment", "429"),
     "quota_exhausted", "gateway"),
    (429, litellm("Budget has been exceeded! Current cost: 10.5, Max budget: 10.0", "429", "budget_exceeded"),
     "quota_exhausted", "gateway"),
    (400, litellm("Budget has been exceeded! Current cost: 1, Max budget: 0", "400", "auth_error"),
     "quota_exhausted", "gateway"),
    (429, json.dumps({"error": {"message": "slow", "category": "litellm_rate_limit", "rate_limit_type": "tokens"}}),
     "rate_limited", "gateway"),
    (429, json.dumps({"error": {"message": "x", "category": "litellm_rate_limit", "rate_limit_type": "budget"}}),
     "quota_exhausted", "gateway"),
    (429, json.dumps({"error": {"message": "x", "provider_specific_fields": {"category": "vendor_rate_limit"}}}),
     "rate_limited", "provider"),
    (429, litellm("litellm.RateLimitError: RateLimitError: OpenAIException - Rate limit reached", "429"),
     "rate_limited", "provider"),
    (429, litellm("litellm.RateLimitError: OpenAIException - You exceeded your current quota", "429"),
     "quota_exhausted", "provider"),
    (401, litellm("litellm.AuthenticationError: OpenAIException - Incorrect API key provided", "401"),
     "unauthorized", "provider"),
    (400, litellm("No connected db.", "400", "no_db_connection"), "unauthorized", "gateway"),
    (404, litellm("litellm.NotFoundError: OpenAIException - The model `m` does not exist", "404"),
     "model_missing", "provider"),
    (400, litellm("/chat/completions: Invalid model name passed in model=chta", "400", "invalid_request_error"),
     "model_missing", "gateway"),
    (400, litellm("litellm.UnsupportedParamsError: openai does not support parameters", "400"),
     "bad_request", "gateway"),
    (500, litellm('litellm.InternalServerError: AnthropicException - {"error":{"type":"overloaded_error"}}', "500"),
     "overloaded", "provider"),
    (500, litellm("litellm.InternalServerError: AnthropicException - Overloaded", "500"), "overloaded", "provider"),
    (500, litellm("litellm.APIConnectionError: OpenAIException - Connection error.", "500"),
     "connect_error", "provider"),
    (408, litellm("litellm.Timeout: APITimeoutError - Request timed out.", "408"), "timeout", "gateway"),
    (503, litellm("litellm.ServiceUnavailableError: OpenAIException - unavailable", "503"),
     "server_error", "provider"),
    (500, litellm("litellm.InternalServerError: InternalServerError", "500"), "server_error", "gateway"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "word", "who"), GATEWAY)
def test_an_error_through_the_gateway_tells_who_said_no(status: int, body: str, word: str, who: str) -> None:
    failure = classify(status, body, via_gateway=True)

    assert failure is not None
    assert (failure.word, failure.who) == (word, who)


def test_one_status_is_four_incidents() -> None:
    bodies = [
        openai("tokens", "rate_limit_exceeded"),
        openai(None, "slow_down"),
        openai("insufficient_quota", "insufficient_quota"),
        litellm("No deployments available for selected model", "429"),
    ]
    words = [failure.word for body in bodies if (failure := classify(429, body, via_gateway=True))]

    assert words == ["rate_limited", "capacity", "quota_exhausted", "no_deployment"]


def limits(tokens_left: int, requests_left: int) -> dict[str, str]:
    return {
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": str(tokens_left),
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": str(requests_left),
    }


@pytest.mark.parametrize(
    ("tokens_left", "requests_left", "word"),
    [(0, 90, "rate_limited"), (900, 0, "rate_limited"), (900, 90, "capacity")],
)
def test_a_rate_limit_error_with_every_limit_ample_is_missing_capacity(
    tokens_left: int, requests_left: int, word: str
) -> None:
    failure = classify(429, openai("tokens", "rate_limit_exceeded"), limits(tokens_left, requests_left))

    assert failure is not None
    assert failure.word == word


def test_ample_headers_do_not_turn_an_empty_purse_into_missing_capacity() -> None:
    failure = classify(429, openai("insufficient_quota", "insufficient_quota"), limits(900, 90))

    assert failure is not None
    assert failure.word == "quota_exhausted"


def test_a_forbidden_page_that_no_api_wrote_is_the_network() -> None:
    proxied = classify(403, "<html>Access denied by policy</html>")
    direct = classify(403, "", {"x-request-id": "req_1"})

    assert proxied is not None
    assert direct is not None
    assert (proxied.word, proxied.who) == ("connect_error", "network")
    assert direct.word == "unauthorized"


def test_a_redirect_is_the_network() -> None:
    failure = classify(302, "", {"location": "https://portal.example/login"})

    assert failure is not None
    assert failure.word == "connect_error"


@pytest.mark.parametrize(
    "body",
    ['{"choices": [{"message": {"content": "hi"}}]}', '{"content": [], "error": null}', "hello", "[1, 2]", ""],
)
def test_an_answer_is_no_error(body: str) -> None:
    assert classify(200, body) is None


def test_an_error_inside_a_success_is_an_error() -> None:
    failure = classify(200, anthropic("overloaded_error", "Overloaded"))

    assert failure is not None
    assert failure.word == "overloaded"


@pytest.mark.parametrize(
    ("stage", "word"),
    [
        ("dns", "connect_error"),
        ("connect", "connect_error"),
        ("tls", "connect_error"),
        ("read", "connect_error"),
        ("timeout", "timeout"),
        ("too_large", "server_error"),
    ],
)
def test_a_call_without_a_reply_is_named_by_how_far_it_came(stage: Any, word: str) -> None:
    assert classify_transport(HttpError(stage, "acme", "detail")).word == word


def test_what_we_refused_to_send_says_nothing_about_the_provider() -> None:
    with pytest.raises(HttpError):
        classify_transport(HttpError("refused", "acme", "path is not a declared canary path"))


def test_only_failures_that_can_pass_by_themselves_are_retryable() -> None:
    quota = classify(429, openai("insufficient_quota", "insufficient_quota"))
    rate = classify(429, openai("tokens", "rate_limit_exceeded"), {"retry-after-ms": "1500"})

    assert quota is not None
    assert rate is not None
    assert not quota.retryable
    assert rate.retryable
    assert rate.retry_after_s == 1.5


@pytest.mark.parametrize(
    "body", ["{", "null", '{"error": []}', '{"error": {"message": {"a": 1}}}', '{"error": {"code": 7}}', "[" * 50_000]
)
def test_junk_never_raises(body: str) -> None:
    failure = classify(500, body)

    assert failure is not None
    assert failure.word == "server_error"


def test_a_hostile_message_is_cut_and_read_in_linear_time() -> None:
    failure = classify(500, openai(None, None, "model " * 100_000))

    assert failure is not None
    assert len(failure.message) <= 300


def test_rate_limit_headers_of_both_families_are_read() -> None:
    found = read_limits(
        {
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-remaining": "0",
            "anthropic-ratelimit-output-tokens-reset": "2026-11-22T10:00:30Z",
            "llm_provider-x-ratelimit-limit-requests": "100",
            "llm_provider-x-ratelimit-remaining-requests": "50",
        }
    )

    assert {limit.dimension: limit.share for limit in found} == {"requests": 0.5, "output-tokens": 0.0}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        ("30", 30.0),
        ("2026-11-22T10:00:30Z", 30.0),
        ("2026-11-22T09:00:00Z", 0.0),
        ("soon", None),
        ("1s later", None),
        ("2026-11-22T10:00:30", None),
        ("", None),
        ("nan", None),
    ],
)
def test_time_to_reset_is_read_in_every_notation(text: str, seconds: float | None) -> None:
    assert seconds_to_reset(text, NOW) == seconds
