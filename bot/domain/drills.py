"""The drills there are, by what people see: never by what is wrong."""

SEEN = {
    "provider-outage": "a part of the users get errors",
    "provider-latency": "answers take long to begin",
    "rate-limit-exceeded": "requests are rejected, retries climb",
    "quota-exhausted": "every call fails from one minute to the next",
    "egress-failure": "some requests never reach the model",
    "model-drift": "answers have been getting worse for hours",
    "prompt-regression": "answers got worse within an hour",
    "agent-runaway": "tokens and calls for a task multiply",
    "stale-index": "answers come from outdated documents",
    "moderation-backlog": "content waits for a decision",
    "blip": "the error rate crossed its threshold",
    "busy-but-well": "load is far above the forecast",
    "injection": "users get errors, and much is written about it",
    "vector-store-outage": "answers cite nothing and start late",
    "retrieval-regression": "the sources do not fit the questions",
    "tool-backend-down": "customers are told things about their orders that are not so",
    "tool-contract-drift": "requests to change an order come to nothing",
    "guardrail-overblocking": "users hear that they cannot be helped",
    "guardrail-bypass": "an audit found answers that should not have been given",
    "embedding-mismatch": "answers have nothing to do with the question",
}
"""What a page of each drill says, in words: what it takes to choose one, without the answer."""
