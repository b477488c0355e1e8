"""What a scenario file says of one drill, read and checked: which faults, what is missing, who approves, what is true.

Values come as text, as the strict YAML loader leaves them, or as JSON over the referee's API. Every problem is found at
once and names its field; nothing is half-read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter

from drills.company import SERVICES
from drills.exported import catalogue
from drills.injectors import Injector, Parameter, injectors, known_actions, known_modes, serves
from drills.missing import SOURCES
from drills.pages import BLANKS
from drills.reading import Path, Reading, Span
from drills.scenario import Good
from drills.scenarios import every

APPROVERS: Mapping[str, str] = {
    "prompt": "approves what is proposed, 20 s after seeing it",
    "slow": "the same after `seconds`",
    "rejects_first": "rejects the first proposal, asks for another look, and approves what comes of it",
    "never": "decides nothing",
    "disagree": "one approves and another rejects, each time",
}
"""How the people decide."""
ASSISTANT_LLM = ("up", "down", "slow", "garbage")
"""How the assistant's own LLM is. It has none yet, so this changes nothing that it does; the results name it."""
KINDS = ("prompt", "model", "config", "gateway", "index", "tool", "secret", "guardrail", "dependency", "deploy",
         "network", "other")  # fmt: skip
_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,59}")
_KEYS = frozenset({
    "id", "service", "scenario", "injectors", "noise", "missing_telemetry", "approver", "assistant_llm", "changes",
    "page", "untrusted_orders", "status_elsewhere", "truth", "good", "tempting", "solvable",
    "undecidable",
})  # fmt: skip
MOST = 6
"""Injectors of one drill."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """One injector with what is given of its parameters."""

    name: str
    injector: Injector
    given: Mapping[str, Span | tuple[str, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """A source that is missing: from so many minutes after the page (before it if negative), for so long."""

    source: str
    names: tuple[str, ...] = ()
    from_min: float | None = None
    """None: it was never there."""
    minutes: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A further entry of the change log."""

    minutes_before_page: Span
    kind: str
    service: str
    summary: str
    before: str
    after: str
    actor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Drill:
    """All of it."""

    id: str
    service: str = ""
    scenario: str = ""
    """A built-in scenario instead of injectors."""
    uses: tuple[Use, ...] = ()
    noise: float = 1.0
    missing: tuple[Gone, ...] = ()
    approver: str = "prompt"
    approver_s: float = 20.0
    assistant_llm: str = "up"
    changes: tuple[Told, ...] = ()
    page: tuple[str, str] | None = None
    orders: bool = False
    status_elsewhere: bool = False
    truth: tuple[str, ...] | None = None
    good: tuple[Good, ...] | None = None
    tempting: tuple[str, ...] | None = None
    solvable: bool | None = None
    undecidable: bool = False


def read(value: object) -> Drill:
    """Raises :class:`~drills.reading.Refused` with every problem."""
    reading = Reading()
    given = reading.mapping(value, (), _KEYS)
    made = _drill(reading, given)
    reading.done()
    return made


def _drill(reading: Reading, given: Mapping[str, object]) -> Drill:
    service = reading.word(given.get("service"), ("service",), SERVICES) if "service" in given else ""
    kind, seconds = _approver(reading, given.get("approver", "prompt"))
    scenario = reading.word(given["scenario"], ("scenario",), tuple(every())) if "scenario" in given else ""
    if bool(scenario) == ("injectors" in given):
        reading.problem((), "give either `injectors` or `scenario` (the id of a built-in one)")
    if not scenario and "service" not in given:
        reading.problem(("service",), f"is missing; one of {', '.join(SERVICES)}")
    if scenario and service:
        reading.problem(("service",), "a built-in scenario has its own service; leave this out")
    return Drill(
        id=_id(reading, given.get("id")),
        service=service,
        scenario=scenario,
        uses=_uses(reading, given["injectors"], service) if "injectors" in given else (),
        noise=_noise(reading, given.get("noise", "on")),
        missing=tuple(
            _gone(reading, one, ("missing_telemetry", n))
            for n, one in enumerate(reading.items(given.get("missing_telemetry", []), ("missing_telemetry",)))
        ),
        approver=kind,
        approver_s=seconds,
        assistant_llm=reading.word(given.get("assistant_llm", "up"), ("assistant_llm",), ASSISTANT_LLM),
        changes=tuple(
            _told(reading, one, ("changes", n))
            for n, one in enumerate(reading.items(given.get("changes", []), ("changes",)))
        ),
        page=_page(reading, given["page"]) if "page" in given else None,
        orders=reading.flag(given.get("untrusted_orders", "false"), ("untrusted_orders",)),
        status_elsewhere=reading.flag(given.get("status_elsewhere", "false"), ("status_elsewhere",)),
        truth=reading.words(given["truth"], ("truth",), known_modes()) if "truth" in given else None,
        good=_good(reading, given["good"]) if "good" in given else None,
        tempting=reading.words(given["tempting"], ("tempting",), known_actions()) if "tempting" in given else None,
        solvable=reading.flag(given["solvable"], ("solvable",)) if "solvable" in given else None,
        undecidable=reading.flag(given.get("undecidable", "false"), ("undecidable",)),
    )


def _id(reading: Reading, value: object) -> str:
    text = reading.text(value, ("id",))
    if text and (not _ID.fullmatch(text) or text.upper() in every()):
        reading.problem(("id",), f"{text!r} must be 2 to 60 small letters, digits and hyphens, and not a scenario's id")
    return text


def _uses(reading: Reading, value: object, service: str) -> tuple[Use, ...]:
    found: list[Use] = []
    for number, one in enumerate(reading.items(value, ("injectors",))):
        place: Path = ("injectors", number)
        entry = reading.mapping(one, place, None)
        name = reading.word(entry.get("kind"), (*place, "kind"), tuple(injectors()))
        if not name:
            continue
        if any(use.name == name for use in found):
            reading.problem((*place, "kind"), f"{name} stands here twice")
        found.append(_use(reading, name, entry, place))
        if service and not serves(found[-1].injector, service):
            can = ", ".join(found[-1].injector.services)
            reading.problem((*place, "kind"), f"nobody is paged for {service} because of {name}; it is about {can}")
    if not found or len(found) > MOST:
        reading.problem(("injectors",), f"must be 1 to {MOST} injectors; `pagerunner drill injectors` lists them")
    elif not any(use.injector.page_of for use in found):
        reading.problem(("injectors",), f"nobody would be paged for {found[0].name} alone; put another beside it")
    return tuple(found)


def _use(reading: Reading, name: str, entry: Mapping[str, object], place: Path) -> Use:
    injector = injectors()[name]
    given: dict[str, Span | tuple[str, ...]] = {}
    for key, value in entry.items():
        if key == "kind":
            continue
        parameter = injector.parameters.get(key)
        if parameter is None:
            known = ", ".join(injector.parameters)
            reading.problem((*place, key), f"{name} has no parameter {key!r}; it has {known}")
        else:
            given[key] = _value(reading, value, (*place, key), parameter)
    return Use(name=name, injector=injector, given=given)


def _value(reading: Reading, value: object, place: Path, parameter: Parameter) -> Span | tuple[str, ...]:
    if parameter.options:
        return reading.words(value if isinstance(value, list) else [value], place, parameter.options)
    return reading.span(value, place, parameter.low, parameter.high)


def _noise(reading: Reading, value: object) -> float:
    if value in ("on", True):
        return 1.0
    return 0.0 if value in ("off", False) else reading.number(value, ("noise",), 0.0, 5.0)


def _gone(reading: Reading, value: object, place: Path) -> Gone:
    entry = reading.mapping(value, place, frozenset({"source", "names", "from_min", "minutes"}))
    source = reading.word(entry.get("source"), (*place, "source"), tuple(SOURCES))
    names: tuple[str, ...] = ()
    if source == "series":
        names = reading.words(entry.get("names"), (*place, "names"), tuple(catalogue()))
    elif "names" in entry:
        reading.problem((*place, "names"), "only the source `series` has names")
    if "minutes" in entry and "from_min" not in entry:
        reading.problem((*place, "minutes"), "needs from_min: minutes after the page, negative before it")
    if source == "recordings" and "from_min" in entry:
        reading.problem((*place, "from_min"), "recordings are there or not; leave this out")
    return Gone(
        source=source, names=names,
        from_min=reading.number(entry["from_min"], (*place, "from_min"), -1440, 600) if "from_min" in entry else None,
        minutes=reading.number(entry["minutes"], (*place, "minutes"), 1, 2880) if "minutes" in entry else None,
    )  # fmt: skip


def _approver(reading: Reading, value: object) -> tuple[str, float]:
    if isinstance(value, dict):
        entry = reading.mapping(value, ("approver",), frozenset({"kind", "seconds"}))
        kind = reading.word(entry.get("kind"), ("approver", "kind"), tuple(APPROVERS))
        if kind != "slow" and "seconds" in entry:
            reading.problem(("approver", "seconds"), "only `slow` has seconds")
        return kind, reading.number(entry.get("seconds", 300), ("approver", "seconds"), 1, 1500)
    kind = reading.word(value, ("approver",), tuple(APPROVERS))
    return kind, 300.0 if kind == "slow" else 20.0


def _told(reading: Reading, value: object, place: Path) -> Told:
    keys = frozenset({"minutes_before_page", "kind", "service", "summary", "before", "after", "actor"})
    entry = reading.mapping(value, place, keys)
    return Told(
        minutes_before_page=reading.span(entry.get("minutes_before_page"), (*place, "minutes_before_page"), 0, 1440),
        kind=reading.word(entry.get("kind"), (*place, "kind"), KINDS),
        service=reading.word(entry.get("service", "*"), (*place, "service"), (*SERVICES, "*")),
        summary=reading.text(entry.get("summary"), (*place, "summary")),
        before=reading.text(entry.get("before", "-"), (*place, "before")),
        after=reading.text(entry.get("after", "-"), (*place, "after")),
        actor=reading.text(entry.get("actor", "release-bot"), (*place, "actor")),
    )


def _page(reading: Reading, value: object) -> tuple[str, str]:
    entry = reading.mapping(value, ("page",), frozenset({"title", "body"}))
    for key in ("title", "body"):
        text = reading.text(entry.get(key), ("page", key))
        try:
            blanks = {name for _, name, _, _ in Formatter().parse(text) if name is not None}
        except ValueError as error:
            reading.problem(("page", key), f"{error}; write {{{{ for a brace")
            continue
        if blanks - set(BLANKS):
            reading.problem(("page", key), f"nothing fills in {sorted(blanks - set(BLANKS))}; there are {BLANKS}")
    return str(entry.get("title", "")), str(entry.get("body", ""))


def _good(reading: Reading, value: object) -> tuple[Good, ...]:
    found: list[Good] = []
    for number, one in enumerate(reading.items(value, ("good",))):
        entry = one if isinstance(one, dict) else {"action": one}
        action = reading.word(entry.get("action"), ("good", number), known_actions())
        found.append((action, {key: item for key, item in entry.items() if key != "action"}))
    return tuple(found)
