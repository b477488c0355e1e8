"""Which provider, model or gateway a probe is about: its parameter, or the service's own when that is not given."""

from config.catalogue import Engine, Gateway, Provider
from diagnostics.model import ProbeContext


def provider_of(context: ProbeContext, name: str | None) -> Provider:
    """The named provider, or the service's. Raises :class:`LookupError` if the catalogue has none of that name."""
    wanted = name or context.service.provider
    found = context.catalogue.provider(wanted)
    if found is None:
        raise LookupError(f"no provider named {wanted!r} in the catalogue; declare it under 'providers'")
    return found


def model_of(context: ProbeContext, provider: Provider, model: str | None) -> str:
    """The given model, or the one the service uses at this provider. Raises :class:`LookupError` if there is none."""
    service = context.service
    if model:
        return model
    if provider.name == service.provider:
        return service.model
    if provider.name == service.fallback_provider and service.fallback_model:
        return service.fallback_model
    if not provider.models:
        raise LookupError(f"provider {provider.name!r} declares no model; list one under its 'models'")
    return provider.models[0]


def gateway_of(context: ProbeContext, name: str | None) -> Gateway:
    """The named gateway, or the service's. Raises :class:`LookupError` if there is none."""
    wanted = name or context.service.gateway
    found = context.catalogue.gateway(wanted) if wanted else None
    if found is None:
        raise LookupError(f"no gateway named {wanted!r} in the catalogue; declare it under 'gateways'")
    return found


def engine_of(context: ProbeContext, name: str | None) -> Engine:
    """The named engine, or the service's. Raises :class:`LookupError` if there is none."""
    wanted = name or context.service.engine
    found = context.catalogue.engine(wanted) if wanted else None
    if found is None:
        raise LookupError(f"no engine named {wanted!r} in the catalogue; declare it under 'engines'")
    return found
