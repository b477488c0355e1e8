"""The two model providers over HTTP: models, chat, embeddings, token counting, with their real headers and errors."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from drills import dialects
from drills.company import ACME, ACME_LARGE, BETA, ERRORS, MODEL_OF_PROVIDER, MODELS, TOKENS_PER_MINUTE
from drills.dialects import BadRequest, Envelope, Timing
from drills.draws import generator, uniform
from drills.faults import MODEL_INDEX
from drills.injections import error_suffix
from drills.model import PROMPT_MARK, Form, Question, complete
from drills.outgoing import Incoming, Outgoing, json_reply, no_reply
from drills.when import iso
from drills.world import Moment, World

_TIMEOUT_S = 90.0
"""How long a provider lets a request hang before it gives up."""
_ERROR_S = {
    "500": 0.7,
    "503": 0.35,
    "529": 0.3,
    "429": 0.12,
    "insufficient_quota": 0.12,
    "slow_down": 0.12,
    "401": 0.06,
    "404": 0.08,
    "timeout": _TIMEOUT_S,
}
_CREATED = 1_754_000_000


def alias_of(model: str) -> str:
    """The model whose capacity a request uses: a dated snapshot shares its alias's."""
    return model.removesuffix("-2026-08-01")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What came of one try at a model: an error word or none, and its timing."""

    error: str
    timing: Timing
    elapsed_s: float
    """For an error: until it came."""


def attempt(world: World, moment: Moment, model: str, nonce: str, *, zone: int | None) -> Attempt:
    """One try. ``zone``: through whose egress; None: not through one that can fail."""
    row = MODEL_INDEX[alias_of(model)]
    chances = moment.effects.fail[0, row].copy()
    if zone is not None:
        chances[ERRORS.index("connection_error")] += moment.effects.dns[0, zone]
    limited = float(moment.rejected[row])
    chances *= 1.0 - limited
    chances[ERRORS.index("429")] += limited
    if gone(moment, model):
        chances[:] = 0.0
        chances[ERRORS.index("404")] = 1.0
    drawn = uniform(world.seed, "attempt", model, nonce)
    place = int(np.searchsorted(np.cumsum(chances[1:]), drawn, side="right"))
    error = ERRORS[place + 1] if place < len(ERRORS) - 1 else ""
    random = generator(world.seed, "latency", model, nonce)
    facts = MODELS[model]
    load = 1.0 + 0.6 * float(np.clip(moment.util[row] - 0.75, 0.0, 0.5))
    first = facts.ttft_s * float(moment.effects.slow[0, row]) * load * float(random.lognormal(0.0, 0.38))
    timing = Timing(first_s=first, token_s=facts.token_s * float(random.gamma(8.0, 1 / 8.0)))
    elapsed = 3.0 if error == "connection_error" else _ERROR_S.get(error, 0.3)
    if error not in ("timeout", "connection_error"):
        elapsed *= float(random.lognormal(0.0, 0.3))
    return Attempt(error=error, timing=timing, elapsed_s=elapsed)


def gone(moment: Moment, model: str) -> bool:
    """Whether the provider does not know this model any more."""
    return model == ACME_LARGE and bool(moment.effects.path.gone[0])


def advertised(moment: Moment, model: str) -> float:
    """The limit that the first provider tells for this model, against the agreed one."""
    return float(moment.effects.path.limit[0]) if alias_of(model) == ACME_LARGE else 1.0


def form(
    world: World,
    moment: Moment,
    question: Question,
    *,
    stale: float = 0.0,
    missed: float = 0.0,
    lost: bool = False,
    said: str = "",
) -> Form:
    """In what shape the model meets this question: drift behind the alias, and the prompt that came with it."""
    row = MODEL_INDEX[alias_of(question.model)]
    pinned = question.model != alias_of(question.model)
    effect = 0.0
    mark = PROMPT_MARK.search(question.system)
    if mark:
        versions = world.scenario.prompt_effects.get(mark.group(1), {})
        effect = versions.get(int(mark.group(2)), (0.0, 0.0))[0]
    return Form(
        shift=0.0 if pinned else float(moment.effects.shift[0, row]),
        shifted=0.0 if pinned else float(moment.effects.shifted[0, row]),
        prompt_effect=effect,
        stale=stale,
        missed=missed,
        lost=lost,
        said=said,
    )


class Providers:
    """Routes requests below ``/providers``."""

    def __init__(self, world: World) -> None:
        self.world = world

    def handle(self, request: Incoming) -> Outgoing:
        """Answer one request; ``request.path`` begins with the provider's name."""
        name, _, rest = request.path.strip("/").partition("/")
        if name == ACME:
            return self._acme(request, f"/{rest}")
        if name == BETA:
            return self._beta(request, f"/{rest}")
        return json_reply({"error": "not found"}, 404)

    # --- the first provider ---------------------------------------------------------------------------------------

    def _acme(self, request: Incoming, path: str) -> Outgoing:
        world = self.world
        moment = world.moment(request.at)
        nonce = world.nonce(ACME, request.method, path, request.body)
        if uniform(world.seed, "egress", nonce) < float(moment.effects.dns[0, 0]):
            # The assistant shares zone a's egress, and no address is found there.
            return no_reply("dns", 0.05)
        if path == "/":
            return json_reply({"message": "Welcome to the Acme API"}, 404)
        if _unauthorised(request.headers.get("authorization", "").removeprefix("Bearer ")):
            message = "Incorrect API key provided. You can find your API key in your account."
            return dialects.openai_error(401, "invalid_request_error", "invalid_api_key", message)
        try:
            return self._acme_call(request, path, moment, nonce)
        except BadRequest as bad:
            return dialects.openai_error(bad.status, bad.kind, bad.code, bad.message, param=bad.param)

    def _acme_call(self, request: Incoming, path: str, moment: Moment, nonce: str) -> Outgoing:
        if request.method == "GET" and path.startswith("/v1/models"):
            return self._acme_models(path, moment, nonce)
        if request.method == "POST" and path == "/v1/chat/completions":
            return self.openai_chat(dialects.read_openai(request.json()), moment, nonce)
        if request.method == "POST" and path == "/v1/embeddings":
            return self._embeddings(request.json(), moment, nonce)
        raise BadRequest(404, "invalid_request_error", "unknown_url", f"Unknown request URL: {request.method} {path}")

    def _acme_models(self, path: str, moment: Moment, nonce: str) -> Outgoing:
        tried = attempt(self.world, moment, "acme-large", nonce, zone=None)
        if tried.error in ("500", "503", "401"):
            return self._acme_refusal("acme-large", tried, moment, nonce)
        entries = [
            {"id": name, "object": "model", "created": _CREATED, "owned_by": "acme"}
            for name in MODEL_OF_PROVIDER[ACME]
            if not gone(moment, name)
        ]
        wanted = path.removeprefix("/v1/models").strip("/")
        if not wanted:
            return json_reply({"object": "list", "data": entries}, elapsed_s=0.08)
        found = next((entry for entry in entries if entry["id"] == wanted), None)
        if found is None:
            raise BadRequest(404, "invalid_request_error", "model_not_found", f"The model '{wanted}' does not exist")
        return json_reply(found, elapsed_s=0.08)

    def openai_chat(self, question: Question, moment: Moment, nonce: str) -> Outgoing:
        """A chat completion asked of the first provider directly."""
        self._known(question.model, ACME)
        tried = attempt(self.world, moment, question.model, nonce, zone=None)
        if tried.error:
            return self._acme_refusal(question.model, tried, moment, nonce)
        done = complete(self.world.seed, question, form(self.world, moment, question), nonce)
        request_id = _request_id("req", nonce)
        util = moment.util_of(alias_of(question.model))
        elapsed = tried.timing.total(done.tokens_out)
        around = Envelope(
            answer_id=_request_id("chatcmpl", nonce), created=int(moment.at), model=question.model,
            headers=dialects.openai_headers(
                question.model, util, request_id, elapsed, advertised=advertised(moment, question.model)
            ),
        )  # fmt: skip
        return dialects.openai_answer(question, done, tried.timing, around)

    def _known(self, model: str, provider: str) -> None:
        if model not in MODEL_OF_PROVIDER[provider] or model == "acme-embed":
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise BadRequest(404, "invalid_request_error", "model_not_found", message)

    def _acme_refusal(self, model: str, tried: Attempt, moment: Moment, nonce: str) -> Outgoing:
        status, kind, code, message = dialects.OPENAI_ERRORS[tried.error]
        limit = TOKENS_PER_MINUTE[alias_of(model)]
        message = message.format(model=model, limit=round(limit), used=round(limit * 0.999), reset="1.8")
        message += error_suffix(self.world, nonce)
        util = 1.0 if tried.error == "429" else moment.util_of(alias_of(model))
        headers = dialects.openai_headers(
            model, util, _request_id("req", nonce), tried.elapsed_s, advertised=advertised(moment, model)
        )
        if tried.error in ("429", "slow_down"):
            headers["retry-after"] = "2"
        if tried.error in ("500", "timeout", "insufficient_quota", "401", "404"):
            headers = {name: value for name, value in headers.items() if not name.startswith("x-ratelimit")}
        return dialects.openai_error(status, kind, code, message, headers=headers, elapsed_s=tried.elapsed_s)

    def _embeddings(self, body: Any, moment: Moment, nonce: str) -> Outgoing:
        if not isinstance(body, dict) or body.get("model") != "acme-embed" or "input" not in body:
            raise BadRequest(404, "invalid_request_error", "model_not_found", "ask for model acme-embed with an input")
        tried = attempt(self.world, moment, "acme-small", nonce, zone=None)
        if tried.error:
            return self._acme_refusal("acme-small", tried, moment, nonce)
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [
            {"object": "embedding", "index": place, "embedding": embedding(str(text), nonce)}
            for place, text in enumerate(texts)
        ]
        tokens = sum(len(str(text)) // 4 + 1 for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        headers = dialects.openai_headers("acme-embed", 0.2, _request_id("req", nonce), 0.05)
        document = {"object": "list", "data": data, "model": "acme-embed", "usage": usage}
        return json_reply(document, headers=headers, elapsed_s=0.05 + 0.002 * len(texts))

    # --- the second provider --------------------------------------------------------------------------------------

    def _beta(self, request: Incoming, path: str) -> Outgoing:
        moment = self.world.moment(request.at)
        nonce = self.world.nonce(BETA, request.method, path, request.body)
        headers = {"request-id": _request_id("req", nonce)}
        if path == "/":
            return dialects.anthropic_error(404, "not_found_error", "Not Found", headers=headers)
        if _unauthorised(request.headers.get("x-api-key", "")):
            return dialects.anthropic_error(401, "authentication_error", "invalid x-api-key", headers=headers)
        if request.headers.get("anthropic-version") != "2023-06-01":
            message = "anthropic-version: header is required"
            return dialects.anthropic_error(400, "invalid_request_error", message, headers=headers)
        try:
            return self._beta_call(request, path, moment, nonce)
        except BadRequest as bad:
            return dialects.anthropic_error(bad.status, bad.kind, bad.message, headers=headers)

    def _beta_call(self, request: Incoming, path: str, moment: Moment, nonce: str) -> Outgoing:
        if request.method == "GET" and path.startswith("/v1/models"):
            return self._beta_models(path)
        if request.method == "POST" and path == "/v1/messages/count_tokens":
            question = dialects.read_anthropic({"max_tokens": 1, **(request.json() or {})})
            return json_reply({"input_tokens": (len(question.system) + len(question.text)) // 4 + 8}, elapsed_s=0.06)
        if request.method == "POST" and path == "/v1/messages":
            return self._messages(dialects.read_anthropic(request.json()), moment, nonce)
        raise BadRequest(404, "not_found_error", None, "Not Found")

    def _beta_models(self, path: str) -> Outgoing:
        entries = [
            {"type": "model", "id": name, "display_name": name.title(), "created_at": iso(_CREATED)}
            for name in MODEL_OF_PROVIDER[BETA]
        ]
        wanted = path.removeprefix("/v1/models").strip("/")
        if not wanted:
            listing = {"data": entries, "has_more": False, "first_id": entries[0]["id"], "last_id": entries[-1]["id"]}
            return json_reply(listing, elapsed_s=0.09)
        found = next((entry for entry in entries if entry["id"] == wanted), None)
        if found is None:
            raise BadRequest(404, "not_found_error", None, f"model: {wanted}")
        return json_reply(found, elapsed_s=0.09)

    def _messages(self, question: Question, moment: Moment, nonce: str) -> Outgoing:
        if question.model not in MODEL_OF_PROVIDER[BETA]:
            raise BadRequest(404, "not_found_error", None, f"model: {question.model}")
        tried = attempt(self.world, moment, question.model, nonce, zone=None)
        util = 1.0 if tried.error == "429" else moment.util_of(question.model)
        request_id = _request_id("req", nonce)
        headers = dialects.anthropic_headers(question.model, util, request_id, iso(moment.at + 60))
        if tried.error:
            status, kind, message = dialects.ANTHROPIC_ERRORS[tried.error]
            if tried.error == "429":
                headers["retry-after"] = "12"
            return dialects.anthropic_error(status, kind, message, headers=headers, elapsed_s=tried.elapsed_s)
        done = complete(self.world.seed, question, form(self.world, moment, question), nonce)
        around = Envelope(
            answer_id=_request_id("msg", nonce), created=int(moment.at), model=question.model, headers=headers
        )
        return dialects.anthropic_answer(question, done, tried.timing, around)


def _unauthorised(key: str) -> bool:
    """Keys that the world knows to be wrong; any other, and none, is let in."""
    return key.startswith(("wrong", "revoked"))


def _request_id(prefix: str, nonce: str) -> str:
    return f"{prefix}_{hashlib.blake2b(nonce.encode(), digest_size=12).hexdigest()}"


def embedding(text: str, nonce: str, size: int = 256) -> list[float]:
    """A unit vector of hashed words, the same for the same text up to the fourth decimal."""
    vector = np.zeros(size)
    for word in text.lower().split():
        place = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big")
        vector[place % size] += 1.0 if place & 0x10000 else -1.0
    vector += generator(0, "embedding", text).normal(0.0, 0.05, size)
    vector += generator(1, "embedding-jitter", nonce).normal(0.0, 1e-4, size)
    unit = vector / np.linalg.norm(vector)
    return [round(float(value), 6) for value in unit]
