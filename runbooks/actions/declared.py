"""Names in parameters against the catalogue. An action reaches what its own service declares, no more."""

import difflib
from collections.abc import Iterable

from config.catalogue import Engine, Gateway, Guardrail, Index, PromptStore, Provider
from runbooks.actions.documents import VersionedDocument, segment
from runbooks.model import ActionContext, ActionError


def gateway_of(context: ActionContext, name: str | None) -> Gateway:
    """The service's gateway; ``name`` may repeat it, and may not be another."""
    service = context.service
    _own("gateway", name, service.gateway, service.name)
    gateway = context.catalogue.gateway(service.gateway or "")
    if gateway is None:
        raise ActionError(
            f"service {service.name} has no gateway in the catalogue; add services.{service.name}.gateway"
        )
    return gateway


def route_of(context: ActionContext, name: str | None) -> str:
    """The service's route at its gateway."""
    _own("route", name, context.service.route, context.service.name)
    return context.service.route


def model_of(context: ActionContext, name: str) -> str:
    """The service's model, or the one that it falls back to."""
    if name != context.service.fallback_model:
        _own("model", name, context.service.model, context.service.name)
    return name


def prompt_store_of(context: ActionContext, name: str | None) -> PromptStore:
    """The registry of the service's prompts."""
    service = context.service
    _own("prompt store", name, service.prompts, service.name)
    store = context.catalogue.prompt_store(service.prompts or "")
    if store is None:
        raise ActionError(
            f"service {service.name} has no prompt store in the catalogue; add services.{service.name}.prompts"
        )
    return store


def prompt_of(context: ActionContext, name: str | None) -> str:
    """The service's prompt."""
    service = context.service
    _own("prompt", name, service.prompt, service.name)
    if not service.prompt:
        raise ActionError(
            f"service {service.name} names no prompt in the catalogue; add services.{service.name}.prompt"
        )
    return service.prompt


def index_of(context: ActionContext, name: str | None) -> Index:
    """The service's retrieval index."""
    service = context.service
    _own("index", name, service.index, service.name)
    index = context.catalogue.index(service.index or "")
    if index is None:
        raise ActionError(f"service {service.name} has no index in the catalogue; add services.{service.name}.index")
    return index


def guardrail_of(context: ActionContext, name: str | None) -> Guardrail:
    """The guardrail in front of the service."""
    service = context.service
    _own("guardrail", name, service.guardrail, service.name)
    rail = context.catalogue.guardrail(service.guardrail or "")
    if rail is None:
        raise ActionError(
            f"service {service.name} has no guardrail in the catalogue; add services.{service.name}.guardrail"
        )
    return rail


def engine_of(context: ActionContext, name: str | None) -> tuple[Engine, str]:
    """The service's own engine and the target of its admin API."""
    service = context.service
    _own("engine", name, service.engine, service.name)
    engine = context.catalogue.engine(service.engine or "")
    if engine is None:
        raise ActionError(f"service {service.name} has no engine in the catalogue; add services.{service.name}.engine")
    if engine.admin is None:
        raise ActionError(
            f"engine {engine.name} declares no admin target; add engines.{engine.name}.admin or use a manual step"
        )
    return engine, engine.admin


def provider_of(context: ActionContext, name: str) -> Provider:
    """Any declared provider."""
    provider = context.catalogue.provider(name)
    if provider is None:
        raise ActionError(
            f"no provider {name!r} in the catalogue{nearest(name, (p.name for p in context.catalogue.providers))}"
        )
    return provider


def admin_document(gateway: Gateway, path: str, *keys: str) -> VersionedDocument:
    """A document of a gateway's admin API; ``path`` such as ``routes/chat``, already made of safe segments."""
    if gateway.kind == "mlflow":
        raise ActionError(
            f"gateway {gateway.name} is an MLflow gateway, whose API has no {path.split('/', maxsplit=1)[0]}; "
            "use an http_action or a manual step"
        )
    return VersionedDocument(
        label=f"{gateway.name}/{path}", target=gateway.admin, path=f"/{path}", keys=tuple((key,) for key in keys)
    )


def nearest(name: str, names: Iterable[str]) -> str:
    """``; did you mean ...?``, or what there is, or nothing."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there is {', '.join(repr(one) for one in known[:6])}" if known else ""


def _own(kind: str, named: str | None, own: str | None, service: str) -> None:
    if named is not None and named != own:
        has = f"its {kind} is {own!r}" if own else f"it has no {kind}"
        raise ActionError(
            f"{kind} {named!r} is not {service}'s: {has}; an action changes only what its service declares"
        )


__all__ = [
    "admin_document", "engine_of", "gateway_of", "guardrail_of", "index_of", "model_of", "nearest", "prompt_of",
    "prompt_store_of", "provider_of", "route_of", "segment",
]  # fmt: skip
