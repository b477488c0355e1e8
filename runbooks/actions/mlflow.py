"""MLflow as a target: the alias of a registered prompt, and the models behind an AI gateway endpoint.

MLflow knows no conditional write. What is there is compared right before it is set; a change by somebody else in that
moment would be overwritten, which is why the plan says so. Its admin API answers at once, and its serving processes go
on with what they have cached for up to a minute: only a canary tells when traffic has moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.catalogue import Provider
from config.http import Http, HttpError, Reply
from runbooks.actions.documents import EFFECT_TIMEOUT_S, fetch
from runbooks.actions.resource import Document, State
from runbooks.model import ActionContext, ActionError, Precondition

ALIAS = "/api/2.0/mlflow/registered-models/alias"
REGISTERED = "/api/2.0/mlflow/registered-models/get"
VERSIONS = "/api/2.0/mlflow/model-versions/search"
ENDPOINT = "/api/3.0/mlflow/gateway/endpoints/get"
UPDATE = "/api/3.0/mlflow/gateway/endpoints/update"
UNCONDITIONAL = " MLflow has no conditional write: a change by somebody else in the same second would be overwritten."
NEWEST = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class MlflowPrompt:
    """A registered prompt, as a document of the shape ``{"aliases": {...}, "versions": [...]}``."""

    label: str
    target: str
    prompt: str
    alias: str

    @property
    def settles(self) -> str:
        return "applications that cache the alias follow within a minute"

    async def read(self, http: Http) -> Document:
        quoted = self.prompt.replace("'", "''")
        registered = await fetch(http, self.target, REGISTERED, self.label, query={"name": self.prompt})
        found = await fetch(
            http, self.target, VERSIONS, f"{self.label}/versions",
            query={"filter": f"name='{quoted}' AND tags.`mlflow.prompt.is_prompt`='true'", "max_results": str(NEWEST),
                   "order_by": "version_number DESC"},
        )  # fmt: skip
        model = Document(label=self.label, fields=registered.mapping("registered_model"))
        aliases = model.items("aliases") if "aliases" in model.fields else ()
        versions = found.items("model_versions") if "model_versions" in found.fields else ()
        try:
            fields = {
                "aliases": {str(entry["alias"]): int(entry["version"]) for entry in aliases},
                "versions": [{"version": int(v["version"]), "note": str(v.get("description") or "")} for v in versions],
            }
        except (KeyError, ValueError) as error:
            raise ActionError(f"{self.label}: an alias or version without a usable {error}") from error
        return Document(label=self.label, fields=fields, version=str(model.fields.get("last_updated_timestamp", "")))

    def state(self, document: Document) -> State:
        return {"aliases": {self.alias: document.mapping("aliases").get(self.alias)}}

    async def write(self, http: Http, document: Document, wanted: State) -> Reply:
        del document
        body = {"name": self.prompt, "alias": self.alias, "version": str(wanted["aliases"][self.alias])}
        return await http.request(self.target, "POST", ALIAS, purpose="effect", body=body, timeout_s=EFFECT_TIMEOUT_S)


@dataclass(frozen=True, kw_only=True, slots=True)
class MlflowEndpoint:
    """A gateway endpoint, as ``{"weights": {name: percent}, "fallbacks": [name, ...]}``.

    A model definition carries the name of the provider in our catalogue. Those in ``fallbacks`` are asked in that order
    when the others fail; the others share the traffic by weight.
    """

    label: str
    target: str
    endpoint: str

    @property
    def settles(self) -> str:
        return "MLflow's admin API accepted it, and traffic follows when its cache runs out, about a minute later"

    async def read(self, http: Http) -> Document:
        reply = await fetch(http, self.target, ENDPOINT, self.label, query={"name": self.endpoint})
        endpoint = Document(label=self.label, fields=reply.mapping("endpoint"))
        split = "routing_strategy" in endpoint.fields
        try:
            models = [_Model.of(mapping) for mapping in endpoint.items("model_mappings")]
        except (KeyError, TypeError, ValueError) as error:
            raise ActionError(
                f"{self.label}: a model mapping without a usable {error}; check MLflow's version"
            ) from error
        primaries = [model for model in models if model.primary]
        if len({model.name for model in models}) < len(models) or (len(primaries) != 1 and not split):
            raise ActionError(
                f"{self.label} has {len(primaries)} primary models and its names are "
                f"{', '.join(model.name for model in models)}: every name once, one primary, or a traffic split"
            )
        total = sum(model.weight for model in primaries) or 1.0
        fields = {
            "weights": {m.name: round(100 * m.weight / total) if m.primary else 0 for m in models},
            "fallbacks": [m.name for m in sorted((m for m in models if not m.primary), key=lambda m: m.order)],
            "split": split,
            "ids": {model.name: model.definition_id for model in models},
            "endpoint_id": endpoint.text("endpoint_id"),
            "fallback_config": endpoint.fields.get("fallback_config"),
        }
        return Document(label=self.label, fields=fields, version=str(endpoint.fields.get("last_updated_at", "")))

    def state(self, document: Document) -> State:
        return {key: document.fields[key] for key in ("weights", "fallbacks")}

    async def write(self, http: Http, document: Document, wanted: State) -> Reply:
        # The update replaces all of an endpoint's models, and forgets the fallback settings that it is not given.
        body: dict[str, Any] = {
            "endpoint_id": document.fields["endpoint_id"],
            "model_configs": [
                _model_config(name, document.fields["ids"][name], share, wanted["fallbacks"])
                for name, share in wanted["weights"].items()
            ],
        }
        if document.fields["fallback_config"] is not None:
            body["fallback_config"] = document.fields["fallback_config"]
        return await http.request(self.target, "POST", UPDATE, purpose="effect", body=body, timeout_s=EFFECT_TIMEOUT_S)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    name: str
    definition_id: str
    primary: bool
    weight: float
    order: int

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> "_Model":
        return cls(
            name=str(mapping["model_definition"]["name"]),
            definition_id=str(mapping["model_definition_id"]),
            primary=mapping["linkage_type"] == "PRIMARY",
            weight=float(mapping.get("weight", 1.0)),
            order=int(mapping.get("fallback_order", 0)),
        )


def _model_config(name: str, definition_id: str, share: int, fallbacks: Sequence[str]) -> dict[str, Any]:
    if name in fallbacks:
        order = list(fallbacks).index(name)
        return {"model_definition_id": definition_id, "linkage_type": "FALLBACK", "weight": 1, "fallback_order": order}
    return {"model_definition_id": definition_id, "linkage_type": "PRIMARY", "weight": share / 100}


def fallbacks_after(document: Document, weights: Mapping[str, int]) -> list[str]:
    """The fallbacks when traffic is shared by ``weights``: who begins to carry traffic leaves its place to who stops.
    Raises :class:`ActionError` for shares that the endpoint cannot be given."""
    unknown = sorted(set(weights) - set(document.fields["ids"]))
    if unknown:
        known = ", ".join(sorted(document.fields["ids"]))
        raise ActionError(f"{document.label} has no model definition named {unknown[0]!r}; it has {known}")
    before: list[str] = list(document.fields["fallbacks"])
    if not document.fields["split"] and any(share not in (0, 100) for share in weights.values()):
        raise ActionError(f"{document.label} has no traffic split, so it can only be shifted as a whole: percent 100")
    stopping = [name for name, share in weights.items() if share == 0 and name not in before]
    after = []
    for name in before:
        if weights[name] == 0:
            after.append(name)
        elif stopping:
            after.append(stopping.pop(0))
    return after


async def answers_now(context: ActionContext, provider: Provider) -> Precondition:
    """Whether a provider is there now: MLflow does not say how its models do, so the provider itself is asked."""
    headers = {"anthropic-version": "2023-06-01"} if provider.api == "anthropic" else {}
    try:
        reply = await context.http.request(provider.target, "GET", "/v1/models", headers=headers)
        ok, detail = reply.status == 200, f"its models listing answers HTTP {reply.status}"
    except HttpError as error:
        ok, detail = False, str(error)
    return Precondition(text=f"{provider.name} answers now", ok=ok, detail=detail)
