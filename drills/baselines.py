"""The baselines that an assistant would have recorded before the incident: the same model, without its faults.

Handed out when a world is made, in the names of ``diagnostics/series.py``, for the ordinary import to load.
"""

from typing import Any

import numpy as np

from diagnostics import series
from diagnostics.probes.fingerprint import MAX_TOKENS, PROMPT
from drills.answers import stale_share
from drills.company import ACME, APPS, BETA, BY_NAME, MODELS, TENANTS, App
from drills.draws import Floats, generator
from drills.golden import SETS, items
from drills.metrics import OVERHEAD_S
from drills.missing import never
from drills.model import Form, Question, complete
from drills.prometheus import source_of
from drills.prompts import BASE_VERSION, version_text
from drills.promql import parse
from drills.promql_eval import evaluate
from drills.recorded_stack import knowledge_baselines
from drills.when import iso
from drills.world import World

Json = dict[str, Any]
_GUARD_S = 600.0
_CANARIES = 240
_SLICE_S = 300.0
_SLICES = 288
"""A day of five-minute slices."""


class Recorder:
    """Collects the recordings of one service up to the onset of its incident."""

    def __init__(self, healthy: World, service: str) -> None:
        scenario = healthy.scenario
        self.world = healthy
        self.app = BY_NAME[service]
        self.until = min(scenario.onset, scenario.page_at) - _GUARD_S
        self.found: list[Json] = []

    def all(self) -> list[Json]:
        """Everything: samples and documents."""
        app = self.app
        self._canaries(ACME, app.model, "provider_canary", {"provider": ACME, "model": app.model})
        if app.fallback:
            self._canaries(BETA, app.fallback, "provider_canary", {"provider": BETA, "model": app.fallback})
        self._canaries(ACME, app.model, "gateway_canary", {"route": app.route})
        self._series("stream_canary.whole:{route}", self._spread(_CANARIES), [1.0] * _CANARIES, route=app.route)
        self._series("structured_output.valid:{route}", self._spread(_CANARIES), [1.0] * _CANARIES, route=app.route)
        limits = [float(self._limit())] * 48
        self._series("rate_limit.tokens_limit:{provider}", self._spread(48), limits, provider=ACME)
        self._fingerprint()
        self.found += knowledge_baselines(self.world, self.app, self.until)
        if app.prompt in SETS:
            self._golden(app.prompt, direct=False)
            self._golden(app.prompt, direct=True)
        self._metrics()
        return self.found

    def _limit(self) -> float:
        return 600_000.0 if self.app.model.endswith("small") else 2_000_000.0

    def _spread(self, count: int) -> list[float]:
        """Moments evenly over the last day before the incident."""
        return [self.until - 86_400.0 * (count - number) / count for number in range(count)]

    def _series(self, template: str, times: list[float], values: list[float], **subject: str) -> None:
        samples = [[iso(at), round(float(value), 6)] for at, value in zip(times, values, strict=True)]
        name = series.name(template, **subject)
        self.found.append({"service": self.app.name, "series": name, "samples": samples})

    def _document(self, template: str, value: Any, **subject: str) -> None:
        name = series.name(template, **subject)
        self.found.append({"service": self.app.name, "document": name, "at": iso(self.until), "value": value})

    def _canaries(self, provider: str, model: str, probe: str, subject: dict[str, str]) -> None:
        random = generator(self.world.seed, "recorded", self.app.name, probe, provider)
        facts = MODELS[model]
        own = OVERHEAD_S if probe == "gateway_canary" else 0.0
        place = ":{provider}/{model}" if probe == "provider_canary" else ":{route}"
        times = self._spread(_CANARIES)
        first = own + facts.ttft_s * random.lognormal(0.0, 0.38, _CANARIES)
        spikes = random.random(_CANARIES) < 0.007
        first = np.where(spikes, first * 1.5, first)
        failed = (random.random(_CANARIES) < (0.002 if provider == ACME and not own else 0.001)).astype(float)
        answered = [number for number in range(_CANARIES) if not failed[number]]
        seen = [times[number] for number in answered]
        self._series(f"{probe}.ttft_s{place}", seen, [float(first[n]) for n in answered], **subject)
        self._series(f"{probe}.elapsed_s{place}", seen, [float(first[n]) for n in answered], **subject)
        self._series(f"{probe}.failed{place}", times, failed.tolist(), **subject)

    def _fingerprint(self) -> None:
        app, seed = self.app, self.world.seed
        question = Question(
            model=app.model, system="", text=PROMPT, max_tokens=MAX_TOKENS, logprobs=True, top_logprobs=5
        )
        means = []
        for number in range(_CANARIES):
            done = complete(seed, question, Form(), f"recorded/{number}")
            means.append(sum(token.logprob for token in done.tokens) / len(done.tokens))
        subject = {"provider": ACME, "model": app.model}
        self._series("model_fingerprint.logprob:{provider}/{model}", self._spread(_CANARIES), means, **subject)
        identity = {
            "model": app.model, "system_fingerprint": [MODELS[app.model].fingerprint],
            "logprobs": [round(mean, 6) for mean in means[:30]],
        }  # fmt: skip
        self._document("model_fingerprint.identity:{provider}/{model}", identity, **subject)

    def _golden(self, prompt: str, *, direct: bool) -> None:
        """Five runs of the set; the last one's results item by item."""
        subject = f"{prompt}/direct" if direct else prompt
        app, seed = self.app, self.world.seed
        stale = 0.0
        if app.index and not direct:
            stale = float(stale_share(self.world.ingestion.lag(np.array([self.until])))[0])
        system = version_text(prompt, BASE_VERSION)
        runs: list[list[bool]] = []
        for run in range(5):
            results = []
            for item in items(prompt):
                question = Question(model=app.model, system=system, text=item.input, max_tokens=1024)
                done = complete(seed, question, Form(stale=stale), f"recorded/{subject}/{run}")
                results.append(done.text == item.right)
            runs.append(results)
        flat = [float(passed) for results in runs for passed in results]
        self._series("golden.pass:{prompt}", self._spread(len(flat)), flat, prompt=subject)
        kept = {item.id: passed for item, passed in zip(items(prompt), runs[-1], strict=True)}
        version = str(BASE_VERSION)
        self._document("golden.items:{prompt}@{version}", kept, prompt=subject, version=version)

    # --- what the metrics showed --------------------------------------------------------------------------------

    def _metrics(self) -> None:
        if never(self.world.scenario.missing, "prometheus"):
            return
        moments = self._moments()
        grow = {
            "requests": "gen_ai_client_operation_duration_seconds_count{%s}",
            "failed": 'gen_ai_client_operation_duration_seconds_count{%s,error_type!=""}',
            "in": 'gen_ai_client_token_usage_sum{%s,gen_ai_token_type="input"}',
            "out": 'gen_ai_client_token_usage_sum{%s,gen_ai_token_type="output"}',
            "answers": 'gen_ai_client_token_usage_count{%s,gen_ai_token_type="input"}',
            "length": 'llm_finish_reasons_total{%s,reason="length"}',
            "refused": 'llm_finish_reasons_total{%s,reason=~"refusal|content_filter"}',
            "cached": "litellm_input_cached_tokens_metric_total{%s}",
            "reports": "app_user_reports_total{%s}", "tasks": "app_tasks_total{%s}",
            "calls": "app_llm_calls_total{%s}", "attempts": "app_llm_attempts_total{%s}",
            "tokens": "app_tokens_total{%s}",
            "usd": "litellm_spend_metric_total{%s}",
        }  # fmt: skip
        read = {name: self._read(f"sum(increase({text % self._own()}[5m]))", moments) for name, text in grow.items()}
        self._user_signal(read, moments)
        answers = np.maximum(read["answers"], 1.0)
        self._put("token_profile.length_share", read["length"] / answers, moments)
        self._put("token_profile.refusal_share", read["refused"] / answers, moments)
        self._put("token_profile.input_tokens", read["in"] / answers, moments)
        self._put("token_profile.output_tokens", read["out"] / answers, moments)
        self._put("token_profile.answers", read["answers"], moments)
        self._put("prompt_cache.cached_share", read["cached"] / np.maximum(read["in"], 1.0), moments)
        calls = np.maximum(read["calls"], 1.0)
        self._put("demand_profile.tasks", read["tasks"] / 5.0, moments)
        self._put("demand_profile.calls_per_task", read["calls"] / np.maximum(read["tasks"], 1.0), moments)
        self._put("demand_profile.attempts_per_call", read["attempts"] / calls, moments)
        self._put("spend.usd", read["usd"] / 5.0, moments)
        self._put("spend.price", 1e6 * read["usd"] / np.maximum(read["tokens"], 1.0), moments)
        self._put("demand_profile.tokens_per_call", read["tokens"] / calls, moments)
        self._gauges(moments)
        self._tenants(moments)
        shares = {reason: round(value, 5) for reason, value in self._reasons(self.app).items()}
        self._document("token_profile.finish_reasons", shares)

    def _own(self) -> str:
        return f'service="{self.app.name}"'

    def _moments(self) -> Floats:
        end = self.world.scenario.page_at - 60.0
        return end - _SLICE_S * np.arange(_SLICES, dtype=np.float64)[::-1]

    def _read(self, query: str, moments: Floats) -> Floats:
        found = evaluate(parse(query), source_of(self.world), moments)
        return next(iter(found.values())) if found else np.full(len(moments), np.nan)

    def _put(self, template: str, values: Floats, moments: Floats) -> None:
        """Store what was seen before the incident; a day that lies within it stands for the same hour days before."""
        kept = []
        for at, value in zip(moments, values, strict=True):
            if np.isnan(value):
                continue
            days = max(0.0, np.ceil((at - self.until) / 86_400.0))
            kept.append((float(at - days * 86_400.0), float(value)))
        kept.sort()
        if not kept:
            return  # a metric that was never there has left no samples
        self._series(template, [at for at, _ in kept], [value for _, value in kept])

    def _user_signal(self, read: dict[str, Floats], moments: Floats) -> None:
        self._put("user_signal.requests", read["requests"], moments)
        self._put("user_signal.error_share", read["failed"] / np.maximum(read["requests"], 1.0), moments)
        self._put("user_signal.reports", read["reports"], moments)
        for name, metric, q in (
            ("p50_s", "gen_ai_client_operation_duration_seconds_bucket", 0.5),
            ("p95_s", "gen_ai_client_operation_duration_seconds_bucket", 0.95),
            ("ttft_p95_s", "gen_ai_client_operation_time_to_first_chunk_seconds_bucket", 0.95),
        ):
            query = f"histogram_quantile({q}, sum by (le) (increase({metric}{{{self._own()}}}[5m])))"
            self._put(f"user_signal.{name}", self._read(query, moments), moments)

    def _gauges(self, moments: Floats) -> None:
        for template, metric in (
            ("user_signal.quality", "app_quality_score"),
            ("demand_profile.users", "app_users_active"),
            ("demand_profile.queue_depth", f"{self.app.kind.split('-')[0]}_queue_depth"),
            ("gateway_health.in_flight", "litellm_in_flight_requests"),
            ("telemetry_check.judge_agreement", "llm_judge_agreement"),
        ):
            values = self._read(f"sum({metric}{{{self._own()}}})", moments)
            if not np.isnan(values).all():
                self._put(template, values, moments)
        whole = self._read(f"sum(increase(litellm_request_total_latency_metric_sum{{{self._own()}}}[5m]))", moments)
        vendor = self._read(f"sum(increase(litellm_llm_api_latency_metric_sum{{{self._own()}}}[5m]))", moments)
        self._put("gateway_health.overhead_share", (whole - vendor) / np.maximum(whole, 1e-9), moments)

    def _tenants(self, moments: Floats) -> None:
        source = source_of(self.world)
        query = f"sum by (tenant) (increase(app_llm_calls_total{{{self._own()}}}[5m]))"
        found = {dict(labels)["tenant"]: values for labels, values in evaluate(parse(query), source, moments).items()}
        if not found:
            return  # the metric was never there
        rows = np.stack([found[tenant] for tenant in TENANTS])
        total = np.maximum(rows.sum(axis=0), 1.0)
        self._put("demand_profile.top_tenant_share", rows.max(axis=0) / total, moments)
        means = np.nanmean(rows / total, axis=1)
        shares = {tenant: round(float(mean), 4) for tenant, mean in zip(TENANTS, means, strict=True)}
        self._document("demand_profile.tenant_shares", shares)

    def _reasons(self, app: App) -> dict[str, float]:
        return dict(zip(("stop", "length", "content_filter", "tool_calls", "refusal"), app.finish, strict=True))


def record(healthy: World, services: tuple[str, ...] | None = None) -> list[Json]:
    """Recordings of these services (None: of all), by the world without faults."""
    chosen = services if services is not None else tuple(app.name for app in APPS)
    return [entry for service in chosen for entry in Recorder(healthy, service).all()]
