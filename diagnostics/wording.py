"""Numbers as people read them in one sentence: thin, exact, the same everywhere."""

from datetime import datetime


def percent(share: float) -> str:
    """``0.184`` -> ``18.4 %``; two digits below one percent."""
    value = 100 * share
    digits = 0 if value in (0, 100) else 2 if 0 < abs(value) < 0.95 else 1
    return f"{value:.{digits}f} %"


def count(number: float) -> str:
    """``1203.4`` -> ``1,203``."""
    return f"{round(number):,}"


def seconds(value: float) -> str:
    """``0.42`` -> ``0.42 s``, ``7200`` -> ``2 h``: the unit that fits."""
    if value < 10:
        return f"{value:.2f} s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.0f} min"
    return f"{value / 3600:.0f} h" if value < 172_800 else f"{value / 86_400:.0f} days"


def probability(p_value: float) -> str:
    """``p < 1e-9`` for the surely small, ``p = 0.03`` otherwise."""
    if p_value < 1e-9:
        return "p < 1e-9"
    return f"p = {p_value:.1e}" if p_value < 1e-3 else f"p = {p_value:.2g}"


def ratio(value: float) -> str:
    """``2.31`` -> ``2.3 times``."""
    return f"{value:.0f} times" if value >= 10 else f"{value:.1f} times"


def clock(at: datetime) -> str:
    """``12:05 UTC``."""
    return f"{at:%H:%M} UTC"


def no_baseline(have: float, need: float) -> str:
    """What every probe says on a cold start."""
    return f"no baseline yet, {count(have)} of {count(need)}"
