"""What people have set: the admin documents, as the numbers that the model needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drills.company import APPS, CLASSES, PROVIDERS, TENANTS
from drills.draws import Floats
from drills.engine_state import ENGINE_REPLICAS, USUAL_REPLICAS
from drills.faults import MODEL_ORDER
from drills.stack_documents import stack_settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Controls:
    """Constant between two admin writes."""

    weights: Floats
    """Share of a service's traffic that goes to each provider: services x providers."""
    admit: Floats
    """Share of each traffic class that is admitted, 0 to 1: services x classes."""
    max_retries: tuple[int, ...]
    """For each model, in the order of ``MODEL_ORDER``."""
    drained: tuple[bool, ...]
    """For each deployment."""
    max_steps: tuple[float | None, ...]
    """For each service."""
    max_tokens: tuple[float | None, ...]
    max_context: tuple[float | None, ...]
    tenant_limit: tuple[tuple[float | None, ...], ...]
    """Tokens a minute, for each service and tenant."""
    param_tokens: tuple[float | None, ...]
    """For each service: a limit on answers in its parameters that is lower than usual."""
    unsourced: tuple[bool, ...]
    """For each service: whether its parameters let it answer without a source."""
    pinned: tuple[bool, ...]
    """For each service: whether it asks for the dated snapshot instead of the alias."""
    on_timeout: tuple[str, ...]
    """For each service: what becomes of an item that waited too long: ``hold``, ``pass`` or ``block``."""
    hold: tuple[bool, ...]
    engine_scale: int = USUAL_REPLICAS
    engine_drained: tuple[bool, ...] = (False,) * ENGINE_REPLICAS
    """For each replica of the engine."""
    prompt_version: Mapping[str, int] = field(default_factory=dict)
    """Version in production of each prompt."""
    stack: Mapping[str, Mapping[str, Any]] = field(default_factory=stack_settings)
    """Path -> keys of what stands around the model."""


def neutral() -> Controls:
    """As set on an ordinary day."""
    count = len(APPS)
    weights = np.zeros((count, len(PROVIDERS)))
    weights[:, 0] = 1.0
    return Controls(
        weights=weights,
        admit=np.ones((count, len(CLASSES))),
        max_retries=(2,) * len(MODEL_ORDER),
        drained=(False, False, False),
        max_steps=(None,) * count,
        max_tokens=(None,) * count,
        max_context=(None,) * count,
        tenant_limit=((None,) * len(TENANTS),) * count,
        param_tokens=(None,) * count,
        unsourced=(False,) * count,
        pinned=(False,) * count,
        on_timeout=("block",) * count,
        hold=(False,) * count,
    )
