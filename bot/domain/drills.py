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
    "provider-capacity": "a part of the requests is turned away at ordinary load",
    "request-contract-break": "some features fail at once, every time",
    "gateway-overload": "everything hesitates before it answers",
    "gateway-misrouting": "answers are different and quicker",
    "retry-storm": "errors go on although the trigger is over",
    "context-overflow": "long conversations go wrong",
    "structured-output-break": "tasks end without a result",
    "prompt-cache-loss": "answers begin later and cost more",
    "streaming-break": "answers stop in mid-sentence",
    "blip": "the error rate crossed its threshold",
    "busy-but-well": "load is far above the forecast",
    "injection": "users get errors, and much is written about it",
}
"""What a page of each drill says, in words: what it takes to choose one, without the answer."""
