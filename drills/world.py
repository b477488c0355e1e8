"""The world: one model whose state moves in fixed steps, from before the fault to any moment asked for.

Real and virtual time differ only in who says what time it is. A world is born with its past: 26 hours in steps of a
minute, then steps of five seconds. All draws are keyed, so who asks, when and how often changes nothing.
"""

import copy
from collections import Counter
from dataclasses import dataclass

import numpy as np

from drills import engine, queues
from drills.answers import PromptEffects
from drills.columns import DRAWS, ENGINE_DRAWS, MORE_DRAWS, TOPIC_DRAWS
from drills.company import ACME, APPS, BY_NAME, CLASSES, DEPLOYMENTS, PROVIDERS, TENANTS
from drills.controls import Controls
from drills.documents import Document, DocumentError, Documents, Json, engine_documents, gateway_documents
from drills.draws import Floats, chunk, digest, generator
from drills.engine_state import REPLICAS, SCALE
from drills.faults import MODEL_INDEX, MODEL_ORDER, Effects, effects
from drills.ingestion import Ingestion
from drills.ledger import Ledger
from drills.metrics import record, record_topics
from drills.path import standing
from drills.prompts import prompt_documents
from drills.scenarios import Scenario
from drills.stack import Stack
from drills.stack_documents import stack_documents, stack_settings
from drills.store import SCRAPE_S, Store
from drills.traffic import flow, weights_by_model
from drills.when import iso

STEP_S = 5.0
PAST_STEP_S = 60.0
PAST_S = 26 * 3600.0
FINE_BEFORE_S = 3600.0
"""How long before the page the five-second steps begin."""
_CHUNK = 12
_MOST_STEPS = 240
"""Steps that are worked out together: many small ones cost as much as a few large ones."""
USUAL_TOKENS = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What a request meets at one moment."""

    at: float
    effects: Effects
    util: Floats
    rejected: Floats

    def util_of(self, model: str) -> float:
        return float(self.util[MODEL_INDEX[model]])


class World:
    """One scenario with one seed."""

    def __init__(self, scenario: Scenario, seed: int, *, noise: float = 1.0) -> None:
        self.scenario = scenario
        self.seed = seed
        self.noise = noise
        self.documents = Documents(by_path=self._documents())
        self.initial_hash = self.documents.state_hash()
        self.ingestion = Ingestion(seed)
        since = {path: setting.at for path, setting in scenario.settings.items() if setting.at is not None}
        self.stack = Stack(faults=scenario.faults, since=since)
        for fault in scenario.faults:
            if fault.kind == "ingestion_stall":
                self.ingestion.stand_still(fault.start)
        self.controls = self._controls()
        self.faults = standing(scenario.faults, self.documents)
        self.store = Store()
        self.ledger = Ledger()
        self.cached: set[tuple[str, str, str]] = set()
        """What canary tenants have asked: route, question, tenant."""
        self._queues = np.zeros(len(APPS))
        self._asked: Counter[int] = Counter()
        page = np.floor(scenario.page_at / PAST_STEP_S) * PAST_STEP_S
        self.fine_from = float(page - FINE_BEFORE_S)
        self.born = self.fine_from - PAST_S
        self.reached = self.born
        self.latest = scenario.started_at
        """The latest moment that anybody asked for."""
        self._past()
        self.advance(scenario.started_at)

    def _past(self) -> None:
        times = np.arange(self.born, self.fine_from, PAST_STEP_S)
        first = generator(self.seed, "past").random((len(times), DRAWS))
        draws = np.concatenate([first, generator(self.seed, "past-more").random((len(times), MORE_DRAWS))], axis=1)
        own = generator(self.seed, "past-engine").random((len(times), ENGINE_DRAWS))
        asked = generator(self.seed, "past-topics").random((len(times), TOPIC_DRAWS))
        self._block(times, PAST_STEP_S, draws, own, asked)

    def advance(self, to: float) -> None:
        """Let all steps that are over by then happen. Going back is not possible, and asking for it does nothing."""
        self.latest = max(self.latest, to)
        steps = int((to - self.reached) // STEP_S)
        while steps > 0:
            count = min(steps, _MOST_STEPS)
            first = round((self.reached - self.fine_from) / STEP_S)
            draws = np.concatenate(
                [self._draws("steps", first, count, DRAWS), self._draws("steps-more", first, count, MORE_DRAWS)], axis=1
            )
            own = self._draws("steps-engine", first, count, ENGINE_DRAWS)
            asked = self._draws("steps-topics", first, count, TOPIC_DRAWS)
            self._block(self.reached + STEP_S * np.arange(count, dtype=np.float64), STEP_S, draws, own, asked)
            steps -= count

    def _draws(self, component: str, first: int, count: int, columns: int) -> Floats:
        """The uniforms of these steps, which belong to fixed chunks of steps."""
        numbers = range(first // _CHUNK, (first + count - 1) // _CHUNK + 1)
        drawn = np.concatenate([chunk(self.seed, component, number, _CHUNK, columns) for number in numbers])
        return drawn[first % _CHUNK : first % _CHUNK + count]

    def _block(
        self, starts: Floats, step_s: float, draws: Floats, engine_draws: Floats, topic_draws: Floats
    ) -> None:  # fmt: skip
        acting = effects(self.seed, self.faults, starts, noise=self.noise)
        ends = starts + step_s
        current = flow(
            self.seed,
            starts,
            acting,
            self.controls,
            index_lag=self.ingestion.lag(starts),
            stack=self.stack,
            prompts=PromptEffects(by_version=self.scenario.prompt_effects, since=self.scenario.prompt_deployed_at),
        )
        queue, self._queues = queues.advance(current, self.controls, self._queues, step_s)
        counts, gauges = record(current, queue, draws, step_s, self.ingestion.watermark(ends))
        scale, open_ = self.controls.engine_scale, engine.serving(self.controls)
        more, levels = engine.record(current, engine.Replicas(scale=scale, open=open_), ends, engine_draws, step_s)
        graded = record_topics(current, topic_draws, step_s)
        counts, gauges = np.concatenate([counts, more, graded], axis=1), np.concatenate([gauges, levels], axis=1)
        self.store.append(ends, counts, gauges, np.isclose(ends % SCRAPE_S, 0.0).astype(np.float64))
        calls = current.calls.sum(axis=2) * 60.0 * current.attempts
        weights = weights_by_model(self.controls)
        acme, beta = (calls * weights[:, :2].sum(axis=1)).sum(axis=1), (calls * weights[:, 2:].sum(axis=1)).sum(axis=1)
        zones = [0.0 if self.controls.drained[n] else 1.0 for n in range(2)]
        parts = [acme * zone / max(sum(zones), 1.0) for zone in zones]
        load = np.stack([*parts, beta * (0.0 if self.controls.drained[2] else 1.0)], axis=1)
        self.ledger.add(starts, current, queue, load, engine.load(current, open_))
        self.reached = float(ends[-1])

    def twin(self) -> "World":
        """The same world as it is now, to live on by itself."""
        return copy.deepcopy(self)

    def moment(self, at: float) -> Moment:
        """What acts now; load and limits are those of the last whole step."""
        self.advance(at)
        rows = self.ledger.before(at)
        load = self.ledger.models[0][rows][-1]
        acting = effects(self.seed, self.faults, np.array([at]), noise=self.noise)
        return Moment(at=at, effects=acting, util=load[0], rejected=load[1])

    def nonce(self, *parts: object) -> str:
        """Names this very request by its content and how often it has been made, not by when it came."""
        key = digest(*parts)
        self._asked[key] += 1
        return f"{key:x}#{self._asked[key]}"

    # --- what people set -----------------------------------------------------------------------------------------

    def put(self, path: str, changes: object, if_match: str | None, *, at: float, agent: str = "") -> Document:
        """Change a document by compare-and-set; it acts from the next step on. Raises :class:`DocumentError`."""
        self.advance(at)
        before = len(self.documents.writes)
        document = self.documents.put(path, changes, if_match, at=at, agent=agent)
        if len(self.documents.writes) > before:
            self._apply(path, document, at)
        return document

    def _apply(self, path: str, document: Document, at: float) -> None:
        if path.startswith("ingestion/") and "state" in document.keys:
            if document.keys["state"] == "running":
                self.ingestion.resume(at, catch_up=document.keys["catch_up"])
            else:
                self.ingestion.stand_still(at)
        if "revision" in document.keys:
            self._remember_revision(document, at)
        self.controls = self._controls()
        self.faults = standing(self.scenario.faults, self.documents)

    def _remember_revision(self, document: Document, at: float) -> None:
        known = {entry["revision"] for entry in document.fixed["history"]}
        if document.keys["revision"] not in known:
            entry = {**document.keys, "at": iso(at)}
            document.fixed["history"].append(entry)

    def document(self, path: str, at: float) -> Json:
        """A document as it reads at that moment."""
        self.advance(at)
        public = self.documents.get(path).public()
        if path.startswith("ingestion/") and "state" in public:
            lag = float(self.ingestion.lag(np.array([at]))[0])
            public["watermark"] = iso(at - lag)
            public["queue_depth"] = round(max(lag - 300.0, 0.0) / 45.0)
        return public

    def _documents(self) -> dict[str, Document]:
        scenario = self.scenario
        made = {"r16": iso(scenario.page_at - 38 * 86_400), "r17": iso(scenario.page_at - 9 * 86_400 - 7200)}
        stalled = any(fault.kind == "ingestion_stall" for fault in scenario.faults)
        keys = {"state": "stalled" if stalled else "running", "catch_up": False}
        found = gateway_documents(made)
        found["ingestion/support-kb"] = Document(version=5, keys=keys, fixed={"name": "support-kb"})
        found |= engine_documents() | stack_documents(made) | prompt_documents(scenario)
        for path, setting in scenario.settings.items():
            setting.put_into(found[path])
        return found

    def _controls(self) -> Controls:
        get = self.documents.get
        routes = [app.route for app in APPS]
        weights = np.array([[get(f"gateway/routes/{r}").keys["weights"].get(p, 0) for p in PROVIDERS] for r in routes])
        caps = [get(f"gateway/caps/{route}").keys for route in routes]
        moderation = [
            get(f"gateway/moderation/{app.route}").keys if app.kind.startswith("moderation") else None for app in APPS
        ]
        pinned = [get(f"gateway/params/{route}").keys["model"].endswith("-2026-08-01") for route in routes]
        admit = [[get(f"gateway/classes/{route}/{name}").keys["admit_percent"] for name in CLASSES] for route in routes]
        prompts = {app.prompt for app in APPS if app.prompt}
        return Controls(
            weights=weights / 100.0,
            admit=np.array(admit) / 100.0,
            max_retries=tuple(
                min(get(path).keys["max_retries"] for path in ("gateway/retries", f"gateway/retries/{model}"))
                for model in MODEL_ORDER
            ),
            drained=tuple(get(f"gateway/deployments/{name}").keys["drained"] for name in DEPLOYMENTS),
            max_steps=tuple(cap["max_steps"] for cap in caps),
            max_tokens=tuple(cap["max_tokens"] for cap in caps),
            max_context=tuple(cap["max_context"] for cap in caps),
            tenant_limit=tuple(
                tuple(get(f"gateway/limits/{route}/{name}").keys["tokens_per_minute"] for name in TENANTS)
                for route in routes
            ),
            param_tokens=tuple(_lower(get(f"gateway/params/{route}").keys["params"]) for route in routes),
            unsourced=tuple(
                get(f"gateway/params/{route}").keys["params"].get("on_no_source") == "answer" for route in routes
            ),
            pinned=tuple(pinned),
            on_timeout=tuple(entry["on_timeout"] if entry else "block" for entry in moderation),
            hold=tuple(bool(entry and entry["hold_for_review"]) for entry in moderation),
            stack={path: get(path).keys for path in stack_settings()},
            engine_scale=get(SCALE).keys["replicas"],
            engine_drained=tuple(get(f"engine/replicas/{name}").keys["drained"] for name in REPLICAS),
            prompt_version={name: get(f"prompts/{name}").keys["aliases"]["production"] for name in prompts},
        )

    def model_of(self, service: str, provider: str) -> str:
        """The model that a service's route asks a provider for."""
        app = BY_NAME[service]
        if provider == ACME:
            return str(self.documents.get(f"gateway/params/{app.route}").keys["model"])
        if not app.fallback:
            raise DocumentError(404, f"route {app.route} has no model at {provider}")
        return app.fallback


def _lower(params: Json) -> float | None:
    """The limit on answers, where it is lower than the usual one."""
    limit = params.get("max_tokens", USUAL_TOKENS)
    return float(limit) if limit < USUAL_TOKENS else None
