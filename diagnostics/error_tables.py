"""The tables that :mod:`diagnostics.taxonomy` decides by: vendors' error names, phrases and statuses -> our words."""

import re
from collections.abc import Mapping
from typing import Final, Literal

Word = Literal[
    "server_error",
    "overloaded",
    "rate_limited",
    "capacity",
    "quota_exhausted",
    "unauthorized",
    "model_missing",
    "bad_request",
    "connect_error",
    "timeout",
    "no_deployment",
]

_QUOTA_NAMES = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "enforced_spend_limit_reached",
    "billing_error",
    "billing_not_active",
    "billing_hard_limit_reached",
    "budget_exceeded",
    "budget",
)
_AUTH_NAMES = (
    "invalid_api_key",
    "authentication_error",
    "permission_error",
    "permission_denied",
    "invalid_authentication",
    "unsupported_country_region_territory",
    "ip_not_authorized",
    "account_deactivated",
    "organization_deactivated",
    "token_not_found_in_db",
    "expired_key",
    "key_model_access_denied",
    "team_model_access_denied",
    "no_db_connection",  # what LiteLLM without a database answers to a wrong key
    "auth_error",
)
NAMES: Final[Mapping[str, Word]] = {
    **dict.fromkeys(_QUOTA_NAMES, "quota_exhausted"),
    **dict.fromkeys(("model_not_found", "deploymentnotfound", "model_not_available"), "model_missing"),
    **dict.fromkeys(_AUTH_NAMES, "unauthorized"),
    **dict.fromkeys(("overloaded_error", "server_is_overloaded", "engine_overloaded_error"), "overloaded"),
    **dict.fromkeys(("slow_down", "no_capacity", "nocapacity"), "capacity"),
    **dict.fromkeys(
        (
            "context_length_exceeded",
            "unsupported_parameter",
            "unsupported_value",
            "content_filter",
            "responsibleaipolicyviolation",
            "invalid_prompt",
            "request_too_large",
            "conflict_error",
            "missing_required_parameter",
        ),
        "bad_request",
    ),
    **dict.fromkeys(
        (
            "rate_limit_exceeded",
            "rate_limit_error",
            "throttling_error",
            "too_many_requests",
            "vendor_rate_limit",
            "vendor_batch_rate_limit",
            "litellm_rate_limit",
            "litellm_batch_rate_limit",
        ),
        "rate_limited",
    ),
    **dict.fromkeys(("timeout_error", "request_timeout"), "timeout"),
}
"""Names precise enough to decide wherever they stand, in ``code`` or in ``type``."""

BROAD_TYPES: Final[Mapping[str, Word]] = {
    "not_found_error": "model_missing",
    "tokens": "rate_limited",
    "requests": "rate_limited",
    "api_error": "server_error",
    "server_error": "server_error",
    "internal_server_error": "server_error",
    "internal_error": "server_error",
    "service_unavailable_error": "server_error",
    "vector_store_timeout": "timeout",
    "invalid_request_error": "bad_request",
}
"""Types that say little: they decide only when no code, message or header says more."""

_PHRASE_WORDS: Final[tuple[tuple[str, Word], ...]] = (
    # Money first: its messages also talk of limits, rates and requests.
    (r"insufficient_quota|exceeded your current quota|credit balance is too low", "quota_exhausted"),
    (r"spend(ing)? limit|usage limits?\b|out of (extra )?(usage|credits)", "quota_exhausted"),
    (r"budget has been exceeded|exceeded ?budget|crossed budget|over budget|max budget", "quota_exhausted"),
    (r"no deployments? available|no healthy deployments?|no models? available", "no_deployment"),
    (r"overloaded_error|server_is_overloaded|(is|currently|exception -) overloaded", "overloaded"),
    (r"high demand|slow_down|slow down|at capacity|exceeded provisioned", "capacity"),
    (r"model_not_found|deploymentnotfound|invalid model name passed", "model_missing"),
    (r"model\b.{0,120}\b(does not exist|not found|has been (deprecated|retired))", "model_missing"),
    (r"deployment\b.{0,80}\bdoes not exist", "model_missing"),
    (r"(incorrect|invalid|expired|revoked) (x-)?api[ -]?key|invalid proxy server token", "unauthorized"),
    (r"country, region, or territory not supported|ip (address )?(is )?not authori[sz]ed", "unauthorized"),
    (r"context_length_exceeded|maximum context length|prompt is too long", "bad_request"),
    (r"unsupported_parameter|unsupported parameter|unsupported_value", "bad_request"),
    (r"rate limit|rate_limit|too many requests|max parallel request", "rate_limited"),
    (r"apiconnectionerror|connection error|cannot connect to host|name resolution", "connect_error"),
    (r"request timed out|timed out|timeout_error", "timeout"),
)
PHRASES: Final = tuple((re.compile(pattern), word) for pattern, word in _PHRASE_WORDS)
"""Searched in the first 2,000 characters of the lower-case message, in this order. No pattern repeats without bound."""

LITELLM_CLASSES: Final[Mapping[str, Word]] = {
    "authenticationerror": "unauthorized",
    "permissiondeniederror": "unauthorized",
    "notfounderror": "model_missing",
    "contextwindowexceedederror": "bad_request",
    "contentpolicyviolationerror": "bad_request",
    "unsupportedparamserror": "bad_request",
    "unprocessableentityerror": "bad_request",
    "badrequesterror": "bad_request",
    "budgetexceedederror": "quota_exhausted",
    "ratelimiterror": "rate_limited",
    "serviceunavailableerror": "server_error",
    "internalservererror": "server_error",
    "badgatewayerror": "server_error",
    "apierror": "server_error",
    "timeout": "timeout",
}
LITELLM_CLASS = re.compile(r"litellm\.(?:exceptions\.)?([a-z]+)")
UPSTREAM = re.compile(r"[a-z_]{2,30}exception\b")

STATUSES: Final[Mapping[int, Word]] = {
    401: "unauthorized",
    402: "quota_exhausted",
    403: "unauthorized",
    407: "connect_error",
    408: "timeout",
    429: "rate_limited",
    504: "timeout",
    529: "overloaded",
}
