"""The simulated company: its eight LLM applications, its two model providers, its tenants. Names are the example
catalogue's; numbers are per service at the middle of the day.
"""

from dataclasses import dataclass

import numpy as np

from drills.draws import Floats

ACME, BETA = "acme-openai", "beta-anthropic"
PROVIDERS = (ACME, BETA)
ACME_LARGE, ACME_SMALL, BETA_SONNET, BETA_HAIKU = "acme-large", "acme-small", "beta-sonnet", "beta-haiku"
ACME_LARGE_PINNED = "acme-large-2026-08-01"
"""The dated snapshot behind the alias ``acme-large``: what it serves never changes."""

ZONES = ("zone-a", "zone-b", "us")
DEPLOYMENTS = ("acme-openai-zone-a", "acme-openai-zone-b", "beta-anthropic-us")
DEPLOYMENT_PROVIDER = (0, 0, 1)

ERRORS = ("", "500", "503", "529", "429", "insufficient_quota", "timeout", "connection_error", "400", "slow_down",
          "401", "404")  # fmt: skip
"""Values of the label ``error_type``; the first is success."""
FIRST_ERRORS = 8
"""So many of them have their counts in the family ``failed``; those of the rest are drawn apart, in ``failed_more``."""
FINISH = ("stop", "length", "content_filter", "tool_calls", "refusal")
CLASSES = ("interactive", "batch")
TOKENS_PER_MINUTE = {ACME_LARGE: 2_000_000.0, ACME_SMALL: 600_000.0, BETA_SONNET: 1_500_000.0, BETA_HAIKU: 1_500_000.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """One application: what its users do, and what an ordinary answer costs and looks like."""

    name: str
    route: str
    kind: str
    pagerduty: str
    title: str
    users: float
    """Active users."""
    tasks: float
    """Tasks of a user in a minute."""
    calls: float
    """Model calls of a task."""
    tokens_in: float
    tokens_out: float
    model: str = ACME_LARGE
    fallback: str = BETA_SONNET
    """Model of the second provider; empty: there is no fallback."""
    prompt: str = ""
    index: str = ""
    finish: tuple[float, ...] = (0.965, 0.02, 0.004, 0.005, 0.006)
    cached: float = 0.0
    """Share of its prompt tokens that the provider has in its prompt cache: the fixed head of every prompt."""
    fresh_share: float = 0.0
    """Share of its questions whose answer was written in the last days."""
    workers: float = 0.0
    """Parallel workers that empty its queue; 0: it has none."""
    item_s: float = 0.0
    """What a worker spends on an item beside the model call: the rendering itself."""
    timeout_s: float = 10.0
    """How long an item may wait for its decision."""


APPS: tuple[App, ...] = (
    App(
        name="chat-assistant", route="chat", kind="chat", pagerduty="PSVCCHAT", title="Chat assistant",
        users=800, tasks=0.3, calls=1.05, tokens_in=1150, tokens_out=260, prompt="chat", cached=0.55,
    ),
    App(
        name="support-bot", route="support", kind="rag", pagerduty="PSVCSUPPORT", title="RAG support bot",
        users=500, tasks=0.2, calls=1.1, tokens_in=1900, tokens_out=220, prompt="support", index="support-kb",
        fresh_share=0.12, cached=0.4,
    ),
    App(
        name="order-agent", route="agent", kind="agent", pagerduty="PSVCAGENT", title="Order agent with tools",
        users=300, tasks=0.2, calls=2.2, tokens_in=1200, tokens_out=150, prompt="agent",
        finish=(0.44, 0.01, 0.002, 0.545, 0.003), cached=0.7,
    ),
    App(
        name="code-assistant", route="code", kind="code", pagerduty="PSVCCODE", title="Code assistant",
        users=160, tasks=0.45, calls=1.1, tokens_in=1500, tokens_out=380, cached=0.5,
    ),
    App(
        name="text-moderation", route="moderation-text", kind="moderation-text", pagerduty="PSVCMODTEXT",
        title="Text moderation", users=4000, tasks=0.15, calls=1.0, tokens_in=210, tokens_out=12, model=ACME_SMALL,
        fallback="", workers=14, timeout_s=10.0, finish=(0.985, 0.002, 0.012, 0.0, 0.001),
    ),
    App(
        name="voice-moderation", route="moderation-voice", kind="moderation-voice", pagerduty="PSVCMODVOICE",
        title="Voice moderation", users=600, tasks=0.1, calls=1.0, tokens_in=480, tokens_out=14, model=ACME_SMALL,
        fallback="", workers=5, timeout_s=15.0, finish=(0.985, 0.002, 0.012, 0.0, 0.001),
    ),
    App(
        name="image-generation", route="image", kind="generation-image", pagerduty="PSVCIMAGE",
        title="Image generation", users=120, tasks=0.15, calls=1.0, tokens_in=260, tokens_out=90, fallback="",
        workers=6, item_s=12.0, timeout_s=60.0, finish=(0.955, 0.005, 0.035, 0.0, 0.005),
    ),
    App(
        name="material-generation", route="material", kind="generation-material", pagerduty="PSVCMATERIAL",
        title="Material generation", users=50, tasks=0.12, calls=1.0, tokens_in=420, tokens_out=260, fallback="",
        workers=6, item_s=25.0, timeout_s=90.0, finish=(0.97, 0.01, 0.015, 0.0, 0.005),
    ),
)  # fmt: skip
SERVICES = tuple(app.name for app in APPS)
BY_NAME = {app.name: app for app in APPS}
BY_ROUTE = {app.route: app for app in APPS}
INDEX_OF = {app.name: number for number, app in enumerate(APPS)}

# Tenants by weight (Zipf), and how much of each one's work is batch. One stands out by its bursts.
TENANTS = ("northwind", "globex", "initech", "umbra", "hooli", "vandelay", "wonka", "stark")
BATCH_SHARE = 0.18
NOISY_TENANT = "hooli"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """How a model behaves when it is well."""

    ttft_s: float
    """Median time to the first token."""
    token_s: float
    """Mean time of a further token."""
    ability: float
    """Logits, relative to acme-large."""
    fingerprint: str


MODELS: dict[str, ModelFacts] = {
    ACME_LARGE: ModelFacts(ttft_s=0.42, token_s=0.009, ability=0.0, fingerprint="fp_7c1e42a9d0"),
    ACME_LARGE_PINNED: ModelFacts(ttft_s=0.42, token_s=0.009, ability=0.0, fingerprint="fp_7c1e42a9d0"),
    ACME_SMALL: ModelFacts(ttft_s=0.16, token_s=0.005, ability=-0.45, fingerprint="fp_19b0cc37e4"),
    BETA_SONNET: ModelFacts(ttft_s=0.50, token_s=0.010, ability=-0.04, fingerprint=""),
    BETA_HAIKU: ModelFacts(ttft_s=0.24, token_s=0.006, ability=-0.40, fingerprint=""),
}
MODEL_OF_PROVIDER = {
    ACME: (ACME_LARGE, ACME_LARGE_PINNED, ACME_SMALL, "acme-embed"),
    BETA: (BETA_SONNET, BETA_HAIKU),
}
VECTOR_STORES = {"support-kb": 0.0, "support-kb-next": 0.5}
"""Retrieval indexes that the gateway searches when a request names one -> share of questions for which it finds the
wrong documents. The first is production's; the second is a rebuild with another embedding model, not in use yet."""
SERVICE_OVERHEAD = 1.1
"""What a worker spends on an item, against the model call alone."""
FEATURES = ("answers", "titles")
DEAR_FEATURE, FEATURE_SHARE = "titles", (0.75, 0.25)
"""What an application's calls are for, as it tells the gateway; and their shares. The second gives conversations their
titles: any model does that well, so that nobody notices which one does."""
DEAR_MODEL = "acme-premium"
PRICE = {ACME: (0.0025, 0.010), BETA: (0.003, 0.015)}
"""US dollars for a thousand tokens in and out."""


def shares() -> Floats:
    """Share of each (tenant, class) in a service's tasks: array of tenants by classes."""
    weights = np.array([1.0 / (rank + 1.6) for rank in range(len(TENANTS))])
    weights = weights / weights.sum()
    return np.stack([weights * (1.0 - BATCH_SHARE), weights * BATCH_SHARE], axis=1)


def diurnal(times: Floats) -> Floats:
    """Activity over the day, 1.0 on average: low at 04:00 UTC, high at 16:00, a little lower at weekends."""
    hours = (times / 3600.0) % 24.0
    weekday = (np.floor(times / 86400.0) + 4.0) % 7.0
    weekend = np.where((weekday == 0.0) | (weekday == 6.0), 0.92, 1.0)
    result: Floats = (1.0 - 0.28 * np.cos((hours - 4.0) / 24.0 * 2.0 * np.pi)) * weekend
    return result
