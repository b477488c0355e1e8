"""Makes the incident that a drill of a scenario file describes: the parts of its injectors, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

from drills.definition import Drill, Told, Use
from drills.documents import Setting
from drills.draws import uniform
from drills.injectors import has_service
from drills.missing import Missing
from drills.reading import Refused, Span
from drills.scenario import Change, Draw, Good, Scenario
from drills.scenarios import build

NO_FAULT = "no-fault"
_NEEDS_ANOTHER = ("outage", "slow_model", "spend_limit", "capacity_cut")
"""Only going to the second provider restores these."""
_SECOND = ("second_provider_outage", "second_provider_spend_limit")


def compose(drill: Drill, seed: int, start: float) -> Scenario:
    """Sample the incident. Raises :class:`~drills.reading.Refused` where two injectors cannot stand together."""
    if drill.scenario:
        made = build(drill.scenario, seed, start)
        made = replace(made, id=drill.id, page_of=drill.scenario)
    else:
        made = _together(drill, seed, start)
    return _with_the_rest(drill, made, seed)


def check(drill: Drill) -> None:
    """Raises :class:`~drills.reading.Refused` where two injectors cannot stand together."""
    compose(drill, 1, 0.0)


def _part(drill: Drill, number: int, use: Use, seed: int, start: float) -> Scenario:
    given: dict[str, float | str] = dict(use.injector.fixed)
    for name, value in use.given.items():
        drawn = uniform(seed, "given", drill.id, number, name)
        if isinstance(value, Span):
            given[name] = value.low + drawn * (value.high - value.low)
        else:
            given[name] = value[int(drawn * len(value))]
    if has_service(use.injector):
        given["service"] = drill.service
    return use.injector.make(Draw(drill.id, seed, start, given, key=f"{drill.id}/{number}"))


def _together(drill: Drill, seed: int, start: float) -> Scenario:
    parts = [_part(drill, number, use, seed, start) for number, use in enumerate(drill.uses)]
    _refuse_conflicts(drill, parts)
    leading = next(n for n, use in enumerate(drill.uses) if use.injector.page_of)
    paged = [part for part, use in zip(parts, drill.uses, strict=True) if use.injector.page_of]
    causes = [part for part in parts if part.truth != (NO_FAULT,)]
    onset = min(part.onset for part in [one for one in paged if one in causes] or paged)
    good = _good(drill, parts)
    told = [part.onset + part.status_lag_s - onset for part in parts if part.status_lag_s is not None]
    prompted = next((part for part in parts if part.prompt_in_production), parts[0])
    return replace(
        parts[leading], service=drill.service, onset=onset, ends=max(part.ends for part in causes or parts),
        truth=tuple(dict.fromkeys(mode for part in causes for mode in part.truth)) or (NO_FAULT,),
        faults=tuple(fault for part in parts for fault in part.faults), good=good,
        tempting=_tempting(parts, good), solvable=_solvable(drill, parts),
        sli=tuple(dict.fromkeys(name for part in causes or parts for name in part.sli)),
        prompt_in_production=prompted.prompt_in_production, prompt_deployed_at=prompted.prompt_deployed_at,
        prompt_effects=prompted.prompt_effects, placeholder=prompted.placeholder,
        settings={path: setting for part in parts for path, setting in part.settings.items()},
        changes=tuple(change for part in parts for change in part.changes),
        status_lag_s=min(told) if told else None,
        figures={name: value for part in reversed(parts) for name, value in part.figures.items()},
        page_of=drill.uses[leading].injector.page_of,
    )  # fmt: skip


def _refuse_conflicts(drill: Drill, parts: Sequence[Scenario]) -> None:
    """One document can be set once, and one prompt be released."""
    set_by: dict[str, str] = {}
    for number, (part, use) in enumerate(zip(parts, drill.uses, strict=True)):
        touched: Mapping[str, Setting | int] = {**part.settings, **dict.fromkeys(part.prompt_in_production, 0)}
        for path in touched:
            what = "a prompt" if path in part.prompt_in_production else path
            other = set_by.setdefault(what, use.name)
            if other != use.name:
                message = f"{use.name} and {other} both change {what}; one drill can have one of them"
                raise Refused([(("injectors", number, "kind"), message)])


def _good(drill: Drill, parts: Sequence[Scenario]) -> tuple[Good, ...]:
    nowhere = any(use.name in _SECOND for use in drill.uses)
    found: list[Good] = []
    for part in parts:
        for action, params in part.good:
            if (action, params) not in found and not (nowhere and action == "shift_traffic"):
                found.append((action, params))
    return tuple(found)


def _tempting(parts: Sequence[Scenario], good: Sequence[Good]) -> tuple[str, ...]:
    helping = {action for action, _ in good}
    return tuple(dict.fromkeys(name for part in parts for name in part.tempting if name not in helping))


def _solvable(drill: Drill, parts: Sequence[Scenario]) -> bool:
    names = [use.name for use in drill.uses]
    if any(name in _SECOND for name in names) and any(name in _NEEDS_ANOTHER for name in names):
        return False
    causes = [part for part, name in zip(parts, names, strict=True)
              if part.truth != (NO_FAULT,) and name not in _SECOND]  # fmt: skip
    return bool(causes) and all(part.solvable for part in causes)


def _with_the_rest(drill: Drill, made: Scenario, seed: int) -> Scenario:
    """What does not come from injectors."""
    changes = [_change(drill, number, one, made, seed) for number, one in enumerate(drill.changes)]
    made = _unknowable(made) if drill.undecidable else made
    return replace(
        made,
        changes=(*made.changes, *changes),
        missing=made.missing + tuple(_missing(one.source, one.names, one.from_min, one.minutes, made.page_at)
                      for one in drill.missing),
        page_text=drill.page,
        injected=made.injected or drill.orders,
        status_elsewhere=made.status_elsewhere or drill.status_elsewhere,
        truth=made.truth if drill.truth is None else drill.truth,
        good=made.good if drill.good is None else drill.good,
        tempting=made.tempting if drill.tempting is None else drill.tempting,
        solvable=made.solvable if drill.solvable is None else drill.solvable,
        decides=drill.approver,
    )  # fmt: skip


def _unknowable(made: Scenario) -> Scenario:
    """Nobody can say what is wrong, so nothing is right to do."""
    tempting = tuple(dict.fromkeys([*made.tempting, *(action for action, _ in made.good if action != "manual")]))
    return replace(made, undecidable=True, solvable=False, good=(), tempting=tempting)


def _change(drill: Drill, number: int, told: Told, made: Scenario, seed: int) -> Change:
    span = told.minutes_before_page
    minutes = span.low + uniform(seed, "told", drill.id, number) * (span.high - span.low)
    return Change(
        at=made.page_at - minutes * 60.0, kind=told.kind, service=told.service, summary=told.summary,
        before=told.before, after=told.after, actor=told.actor,
    )  # fmt: skip


def _missing(
    source: str, names: tuple[str, ...], from_min: float | None, minutes: float | None, page_at: float
) -> Missing:
    if from_min is None:
        return Missing(source=source, names=names)
    start = page_at + from_min * 60.0
    return Missing(source=source, names=names, start=start, end=inf if minutes is None else start + minutes * 60.0)
