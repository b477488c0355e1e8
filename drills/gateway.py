"""The LLM gateway over HTTP, like LiteLLM's proxy: the production path with its prompt, parameters, weights, zones and
retries; its health and metrics; and the admin API that mitigations use.
"""

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

from drills import answer_cache, dialects, grounding, guard
from drills.admin import Admin
from drills.answers import stale_share
from drills.company import (
    ACME,
    ACME_SMALL,
    APPS,
    BETA,
    BY_ROUTE,
    DEPLOYMENT_PROVIDER,
    DEPLOYMENTS,
    ERRORS,
    MODEL_OF_PROVIDER,
    MODELS,
    PROVIDERS,
    VECTOR_STORES,
    App,
)  # fmt: skip
from drills.dialects import BadRequest, Envelope, Timing
from drills.draws import uniform
from drills.exported import catalogue
from drills.faults import MODEL_INDEX
from drills.gateway_path import Way
from drills.injections import error_suffix
from drills.metrics import OVERHEAD_S
from drills.model import Question, complete
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.prompts import version_text
from drills.providers import Attempt, advertised, alias_of, attempt, form
from drills.search_http import lost_to_retrieval, ordered
from drills.tools import said_without_tool
from drills.traffic import STICKY
from drills.world import Moment, World

_VERSION = "1.109.1"
_ATTEMPT_TIMEOUT_S = 30.0
"""After this long the gateway gives an attempt up."""
_BACKOFF_S = 0.5
_EXCEPTIONS: dict[str, tuple[int, str, str]] = {
    "500": (500, "InternalServerError", "The server had an error while processing your request. Sorry about that!"),
    "503": (503, "ServiceUnavailableError", "Our servers are currently overloaded. Please try again later."),
    "529": (529, "InternalServerError", "Overloaded"),
    "429": (429, "RateLimitError", "Rate limit reached on tokens per min (TPM). Please try again in 1.8s."),
    "insufficient_quota": (429, "RateLimitError", "You exceeded the spend limit of this project."),
    "slow_down": (429, "RateLimitError", "slow_down: we are experiencing high demand, your limit has been lowered."),
    "401": (401, "AuthenticationError", "Incorrect API key provided. You can find your API key in your account."),
    "404": (404, "NotFoundError", "The model does not exist or you do not have access to it."),
    "timeout": (408, "Timeout", "APITimeoutError - Request timed out."),
    "connection_error": (500, "APIConnectionError", "[Errno -3] Temporary failure in name resolution"),
}  # fmt: skip


@dataclass(slots=True)
class Trail:
    """What happened on the way to an answer."""

    model: str = ""
    deployment: str = ""
    provider: str = ACME
    retries: int = 0
    fallbacks: int = 0
    elapsed_s: float = 0.0
    last: Attempt | None = None
    errors: list[str] = field(default_factory=list)


class Gateway:
    """Routes requests below ``/gateway``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.admin = Admin(world)

    def handle(self, request: Incoming) -> Outgoing:
        """Answer one request; ``request.path`` is what follows ``/gateway``."""
        path = request.path.rstrip("/") or "/"
        if path.startswith("/admin"):
            return self.admin.handle(replace(request, path=path.removeprefix("/admin")))
        if request.method == "POST" and path == "/v1/chat/completions":
            return self._chat(request)
        if request.method != "GET":
            return json_reply({"detail": "Method Not Allowed"}, 405)
        if path == "/v1/models":
            data = [{"id": app.route, "object": "model", "owned_by": "llm-gateway"} for app in APPS]
            return json_reply({"object": "list", "data": data})
        if path in ("/health/readiness", "/health/liveliness", "/health/liveness"):
            return self._health(path)
        if path == "/metrics":
            return self._metrics(request.at)
        return json_reply({"detail": "Not Found"}, 404)

    def _health(self, path: str) -> Outgoing:
        if path != "/health/readiness":
            return json_reply("I'm alive!")
        return json_reply({"status": "healthy", "db": "connected", "cache": None, "litellm_version": _VERSION})

    def _metrics(self, at: float) -> Outgoing:
        """The gateway's own series in the text exposition format, as last scraped."""
        self.world.advance(at)
        rows = self.world.store.rows[len(self.world.store.seen()) - 1]
        lines: list[str] = []
        for name, found in sorted(catalogue().items()):
            if not name.startswith("litellm_"):
                continue
            for series in found:
                labels = ",".join(f'{key}="{value}"' for key, value in series.labels.items() if key != "__name__")
                lines.append(f"{name}{{{labels}}} {rows[list(series.columns)].sum():g}")
        text = "\n".join(lines) + "\n"
        return Outgoing(headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"}, body=text.encode(),
                        elapsed_s=0.02, first_byte_s=0.02)  # fmt: skip

    # --- the production path --------------------------------------------------------------------------------------

    def _chat(self, request: Incoming) -> Outgoing:
        try:
            question = dialects.read_openai(request.json())
        except BadRequest as bad:
            return dialects.openai_error(bad.status, bad.kind, bad.code or "400", bad.message, param=bad.param)
        app = BY_ROUTE.get(question.model)
        if question.model in MODELS:
            return self._by_model(question, request)
        if app is None:
            message = (
                f"Invalid model name passed in model={question.model}. Call `/v1/models` to view available models."
            )
            return dialects.openai_error(400, "invalid_request_error", "400", message, param="model")
        world = self.world
        moment = world.moment(request.at)
        nonce = world.nonce("gateway", request.body)
        way = Way(world=world, app=app, moment=moment, nonce=nonce)
        refused = way.refusal()
        if refused is not None:
            return refused
        checked = guard.check(world, app, question.text, moment.at, nonce)
        if checked in ("block", "refuse"):
            return guard.refusal(question, checked, nonce, moment.at)
        trail = self._walk(app, moment, nonce)
        if trail.provider == ACME and way.astray():
            trail.model, trail.fallbacks = ACME_SMALL, 1
        cached = answer_cache.look(world, app, question, moment.at)
        headers = {**self._headers(trail, nonce), **cached.headers}
        if trail.last is None or trail.last.error:
            return self._refusal(app, trail, headers, nonce)
        asked = self._production(app, question, trail, nonce)
        shape = form(
            world, moment, asked, stale=self._stale(app, moment), lost=self._lost(app, asked, moment.at, nonce),
            said=self._said(app, asked, moment.at, nonce),
        )  # fmt: skip
        shape = replace(shape, sourced=grounding.said(world, app, asked.text, moment.at, nonce))
        structured = asked.json_mode or asked.json_schema is not None
        done = cached.instead_of(way.shaped(complete(world.seed, asked, shape, nonce), structured=structured))
        timing = trail.last.timing
        around = Envelope(
            answer_id=f"chatcmpl-{nonce[:24]}", created=int(moment.at), model=trail.model,
            headers={**headers, **_forwarded(trail, moment, nonce)},
        )  # fmt: skip
        first = trail.elapsed_s + timing.first_s + OVERHEAD_S + way.wait_s()
        return way.sent(dialects.openai_answer(asked, done, Timing(first_s=first, token_s=timing.token_s), around))

    def _by_model(self, question: Question, request: Incoming) -> Outgoing:
        """A model under its own name, as LiteLLM serves it beside the routes: only what is asked for is added."""
        unknown = [name for name in question.indexes if name not in VECTOR_STORES]
        if unknown:
            return dialects.openai_error(400, "invalid_request_error", "400", f"no vector store {unknown[0]}")
        world, moment = self.world, self.world.moment(request.at)
        nonce = world.nonce("gateway", request.body)
        provider = ACME if question.model in MODEL_OF_PROVIDER[ACME] else BETA
        trail = Trail(provider=provider, model=question.model, deployment=DEPLOYMENTS[0 if provider == ACME else 2])
        trail.last = attempt(world, moment, question.model, nonce, zone=None)
        headers = self._headers(trail, nonce)
        if trail.last.error:
            return self._refusal(APPS[0], trail, headers, nonce)
        lag = float(stale_share(world.ingestion.lag(np.array([moment.at])))[0]) if question.indexes else 0.0
        missed = max((VECTOR_STORES[name] for name in question.indexes), default=0.0)
        shape = form(world, moment, question, stale=lag, missed=missed)
        done = complete(world.seed, question, shape, nonce)
        around = Envelope(answer_id=f"chatcmpl-{nonce[:24]}", created=int(moment.at), model=question.model,
                          headers={**headers, **_forwarded(trail, moment, nonce)})  # fmt: skip
        first = trail.last.timing.first_s + OVERHEAD_S
        return dialects.openai_answer(question, done, Timing(first_s=first, token_s=trail.last.timing.token_s), around)

    def _walk(self, app: App, moment: Moment, nonce: str) -> Trail:
        """Choose a provider by weight, then try its deployments until one answers or the retries are used up."""
        world, controls = self.world, self.world.controls
        weights = controls.weights[[a.name for a in APPS].index(app.name)]
        provider = 0 if uniform(world.seed, "route", nonce) < float(weights[0]) else 1
        trail = Trail(provider=PROVIDERS[provider])
        trail.model = world.model_of(app.name, trail.provider)
        open_ = [n for n, p in enumerate(DEPLOYMENT_PROVIDER) if p == provider and not controls.drained[n]]
        if not open_:
            return trail
        stuck: Attempt | None = None
        for number in range(controls.max_retries[MODEL_INDEX[alias_of(trail.model)]] + 1):
            key = f"{nonce}/{number}"
            zone = open_[int(uniform(world.seed, "zone", key) * len(open_))]
            trail.deployment, trail.retries = DEPLOYMENTS[zone], number
            trail.last = stuck or attempt(world, moment, trail.model, key, zone=zone)
            if not trail.last.error:
                return trail
            trail.errors.append(trail.last.error)
            trail.elapsed_s += min(trail.last.elapsed_s, _ATTEMPT_TIMEOUT_S) + _BACKOFF_S * (number > 0)
            kept = uniform(world.seed, "stuck", nonce) < float(STICKY[ERRORS.index(trail.last.error)])
            stuck = trail.last if kept else None
        return trail

    def _production(self, app: App, question: Question, trail: Trail, nonce: str) -> Question:
        """The question as the route sends it: with its production prompt and its limits."""
        world = self.world
        number = [a.name for a in APPS].index(app.name)
        caps = (world.controls.max_tokens[number], world.controls.param_tokens[number])
        limit = min([question.max_tokens, *(int(cap) for cap in caps if cap is not None)])
        system = question.system
        if app.prompt:
            version = world.controls.prompt_version[app.prompt]
            system = version_text(app.prompt, version, placeholder=self._unresolved(app, version, nonce))
            system = f"{system}\n{question.system}".strip()
        asked = replace(question, model=trail.model, system=system, max_tokens=limit)
        # The second vendor's dialect has no log probabilities to pass on.
        return asked if trail.provider == ACME else replace(asked, logprobs=False, top_logprobs=0)

    def _unresolved(self, app: App, version: int, nonce: str) -> bool:
        """Whether the placeholder of this version stays unfilled in this request."""
        scenario = self.world.scenario
        if scenario.placeholder != (app.prompt, version):
            return False
        share = scenario.prompt_effects[app.prompt][version][1]
        return uniform(self.world.seed, "placeholder", nonce) < share

    def _stale(self, app: App, moment: Moment) -> float:
        if not app.index:
            return 0.0
        lag = self.world.ingestion.lag(np.array([moment.at]))
        return float(stale_share(lag)[0])

    def _said(self, app: App, question: Question, at: float, nonce: str) -> str:
        """What is said whatever the model knows: without the tool, or by order of a document."""
        if app.kind == "agent":
            return said_without_tool(self.world, at, nonce)
        return ordered(self.world, question.text.strip(), at, nonce) if app.index else ""

    def _lost(self, app: App, question: Question, at: float, nonce: str) -> bool:
        """Whether the document that answers this question is not among what retrieval hands over."""
        if not app.index:
            return False
        return lost_to_retrieval(self.world, question.text.strip(), at, nonce)

    def _headers(self, trail: Trail, nonce: str) -> dict[str, str]:
        return {
            "x-litellm-call-id": hashlib.blake2b(nonce.encode(), digest_size=16).hexdigest(),
            "x-litellm-model-id": trail.deployment,
            "x-litellm-model-name": trail.model,
            "x-litellm-version": _VERSION,
            "x-litellm-attempted-fallbacks": str(trail.fallbacks),
            "x-litellm-num-retries": str(trail.retries),
            "x-litellm-attempted-retries": str(trail.retries),
            "x-litellm-overhead-duration-ms": f"{OVERHEAD_S * 1000:.1f}",
        }

    def _refusal(self, app: App, trail: Trail, headers: dict[str, str], nonce: str) -> Outgoing:
        if trail.last is None:
            message = f"No deployments available for selected model, Try again in 5 seconds. Passed model={app.route}."
            return dialects.openai_error(429, "throttling_error", "429", message, headers=headers, elapsed_s=0.02)
        error = trail.last.error
        status, exception, text = _EXCEPTIONS[error]
        vendor = "OpenAIException" if trail.provider == ACME else "AnthropicException"
        message = f"litellm.{exception}: {exception}: {vendor} - {text}{error_suffix(self.world, nonce)}"
        details = {"code": "project_spend_limit_exceeded"} if error == "insufficient_quota" else {}
        if error == "429":
            details = {"category": "vendor_rate_limit", "rate_limit_type": "tokens"}
        kind = {"429": "throttling_error", "insufficient_quota": "insufficient_quota"}.get(error)
        document = {"error": {"message": message, "type": kind, "param": None, "code": str(status)}}
        if details:
            document["error"]["provider_specific_fields"] = details  # type: ignore[assignment]
        if status in (500, 503, 529):
            headers = {**headers, "llm_provider-x-request-id": f"req_{nonce[:20]}"}
        return json_reply(document, status, headers=headers, elapsed_s=trail.elapsed_s + OVERHEAD_S)


def _forwarded(trail: Trail, moment: Moment, nonce: str) -> dict[str, str]:
    """The provider's own headers, as the gateway passes them on."""
    model = alias_of(trail.model)
    request_id = f"req_{nonce[:20]}"
    if trail.provider == ACME:
        told = advertised(moment, model)
        original = dialects.openai_headers(model, moment.util_of(model), request_id, 0.4, advertised=told)
    else:
        original = dialects.anthropic_headers(model, moment.util_of(model), request_id, "")
    return {f"llm_provider-{name}": value for name, value in original.items()}
