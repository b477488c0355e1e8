"""Which raw columns the world keeps: families of counts that are drawn, sums that follow, and levels.

An exported series is a sum of some of them, so a histogram bucket is stored once and not once for each ``le``.
"""

from collections.abc import Mapping

import numpy as np

from drills.company import APPS, CLASSES, DEPLOYMENTS, ERRORS, FEATURES, FINISH, FIRST_ERRORS, PROVIDERS, TENANTS
from drills.engine_state import ENGINE_REPLICAS
from drills.queues import OUTCOMES
from drills.topics import GRADES, TOPICAL, TOPICS

LE = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, float("inf"))
"""Bounds of all histograms, seconds."""
ENGINE_LE = (0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, float("inf"))
"""Bounds of the engine's histograms, seconds: some of vLLM's."""
_R = ENGINE_REPLICAS
_S, _P, _E, _B, _T = len(APPS), len(PROVIDERS), FIRST_ERRORS, len(LE), len(TENANTS)

DRAWN: dict[str, tuple[int, ...]] = {
    "ok": (_S, _P, _B), "ttft": (_S, _P, _B), "failed": (_S, _P, _E), "finish": (_S, len(FINISH)),
    "tasks": (_S, _T, len(CLASSES)), "calls": (_S, _T), "retries": (_S, _T), "reports": (_S,),
    "decisions": (_S, len(OUTCOMES)), "cooled": (_S, _P), "fallbacks": (_S,),
}  # fmt: skip
"""Families whose counts are Poisson draws."""
MORE: dict[str, tuple[int, ...]] = {
    "failed_more": (_S, _P, len(ERRORS) - FIRST_ERRORS),
}  # fmt: skip
"""Further families of counts, from uniforms of their own: what the first ones draw does not depend on them."""
SUMS: dict[str, tuple[int, ...]] = {
    "ok_sum": (_S, _P), "ttft_sum": (_S, _P), "tokens_in": (_S,), "tokens_out": (_S,), "tenant_tokens": (_S, _T),
    "overhead_sum": (_S,), "cached_in": (_S,), "guard": (_S, 2), "spend": (_S, _T, len(FEATURES), 2),
}  # fmt: skip
"""Families that follow from the draws."""
GAUGES: dict[str, tuple[int, ...]] = {
    "users": (_S,), "quality": (_S,), "in_flight": (_S,), "remaining": (_S, _P), "state": (_S, len(DEPLOYMENTS)),
    "queue": (_S,), "judge": (_S,), "up": (_S,), "watermark": (1,),
}  # fmt: skip
ENGINE_COUNTS: dict[str, tuple[int, ...]] = {
    "engine_ttft": (_R, len(ENGINE_LE)), "engine_failed": (_R,), "engine_corrupted": (_R,), "engine_preempted": (_R,),
}  # fmt: skip
"""The engine's counts, from uniforms of their own."""
ENGINE_LEVELS: dict[str, tuple[int, ...]] = {
    "engine_waiting": (_R,), "engine_running": (_R,), "engine_kv": (_R,), "engine_started": (_R,), "engine_up": (_R,),
}  # fmt: skip
"""And its levels; none for a replica that there is not."""
TOPIC_COUNTS: dict[str, tuple[int, ...]] = {"graded": (len(TOPICAL), len(TOPICS), len(GRADES))}
"""Graded answers by topic, from uniforms of their own."""
NOISY = ("users", "quality", "in_flight", "judge")


def _offsets(families: Mapping[str, tuple[int, ...]], start: int) -> dict[str, tuple[int, tuple[int, ...]]]:
    result = {}
    for name, shape in families.items():
        result[name] = (start, shape)
        start += int(np.prod(shape))
    return result


def width(families: Mapping[str, tuple[int, ...]]) -> int:
    """Number of columns of these families."""
    return sum(int(np.prod(shape)) for shape in families.values())


DRAWS = width(DRAWN) + len(NOISY) * _S
"""Uniforms that one step needs."""
MORE_DRAWS = width(MORE)
ENGINE_DRAWS = width(ENGINE_COUNTS) + 2 * ENGINE_REPLICAS
TOPIC_DRAWS = width(TOPIC_COUNTS)
COUNTERS = width(DRAWN) + width(SUMS) + width(MORE) + width(ENGINE_COUNTS) + width(TOPIC_COUNTS)
COLUMNS = COUNTERS + width(GAUGES) + width(ENGINE_LEVELS)
AT = {
    **_offsets(DRAWN, 0), **_offsets(SUMS, width(DRAWN)), **_offsets(MORE, width(DRAWN) + width(SUMS)),
    **_offsets(ENGINE_COUNTS, COUNTERS - width(TOPIC_COUNTS) - width(ENGINE_COUNTS)),
    **_offsets(TOPIC_COUNTS, COUNTERS - width(TOPIC_COUNTS)),
    **_offsets(GAUGES, COUNTERS), **_offsets(ENGINE_LEVELS, COUNTERS + width(GAUGES)),
}  # fmt: skip


def column(family: str, *position: int) -> int:
    """Number of a raw column."""
    start, shape = AT[family]
    return start + int(np.ravel_multi_index(position, shape))


def failed_column(number: int, place: int, kind: int) -> int:
    """The column of a service's failures at a provider, by number of the error type."""
    if kind < FIRST_ERRORS:
        return column("failed", number, place, kind)
    return column("failed_more", number, place, kind - FIRST_ERRORS)
