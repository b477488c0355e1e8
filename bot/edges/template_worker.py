"""Renders one template in a process of its own, which may end at any moment: no files, no network, bounded CPU, memory
and output. Run as a script by ``templates.py``: reads one JSON object on standard input, writes one on standard output.

Only Jinja and the standard library are imported. The sandbox has no globals (no ``range``), a short list of filters,
and values that are plain JSON; in Markdown every value is escaped as the built-in postmortem escapes it.
"""

import contextlib
import json
import re
import resource
import sys
from collections.abc import Iterator
from typing import Any

CPU_S = 5
MEMORY = 512 * 1024 * 1024
FILTERS = (
    "abs", "capitalize", "count", "d", "default", "e", "escape", "first", "float", "groupby", "indent", "int", "join",
    "last", "length", "list", "lower", "max", "min", "rejectattr", "replace", "reverse", "round", "selectattr", "slice",
    "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount",
)  # fmt: skip
MACROS = "macros, calls, filter blocks and set blocks would be escaped twice in Markdown; write it out, or use include"
REFUSED: dict[str, str] = {
    "ScopedEvalContextModifier": "autoescape cannot be switched; what is ready-made (section.content) is not escaped",
    "EvalContextModifier": "autoescape cannot be switched; what is ready-made (section.content) is not escaped",
    "Import": "import is not available; use include",
    "FromImport": "import is not available; use include",
}
REFUSED_IN_MARKDOWN: dict[str, str] = {
    "Macro": MACROS, "CallBlock": MACROS, "FilterBlock": MACROS, "AssignBlock": MACROS,
}  # fmt: skip
_SPECIAL = re.compile(r"[\\`*_\[\]<>|~$@{}]|(?<!\d):(?=\S)|:(?=[^\s\d])|#(?=\d)|(?<=\bwww)\.", re.IGNORECASE)
"""What Markdown, GitHub's links and mentions, or HTML could begin with: each gets a backslash. Times keep colons."""
_FIRST = re.compile(r"^(\s*)(?:([-+=#])|(\d+)([.)]))")


class Problem(Exception):
    """What is wrong with a template, and in which line."""

    def __init__(self, what: str, line: int = 0, name: str = "") -> None:
        super().__init__(what)
        self.what, self.line, self.name = what, line, name


class Ready(str):
    """Text that our own code wrote and escaped. Whatever is done to it makes it ordinary text again."""

    __slots__ = ()


def markdown(value: Any) -> Any:
    """A value as Markdown text in which nothing is read as Markdown, HTML or a link."""
    if isinstance(value, Ready) or not isinstance(value, str):
        return value
    text = " ".join(value.replace("&", "&amp;").split())
    text = _SPECIAL.sub(lambda match: f"\\{match[0]}", text)
    return _FIRST.sub(lambda m: f"{m[1]}\\{m[2]}" if m[2] else f"{m[1]}{m[3]}\\{m[4]}", text)


def hydrated(value: Any, form: str) -> Any:
    """The context with its ready-made parts marked as such."""
    if isinstance(value, dict):
        if set(value) == {"$ready"}:
            if form == "md":
                return Ready(value["$ready"])
            from markupsafe import Markup  # noqa: PLC0415

            return Markup(value["$ready"])  # noqa: S704 - written and escaped by our own exporter
        return {key: hydrated(inner, form) for key, inner in value.items()}
    return [hydrated(inner, form) for inner in value] if isinstance(value, list) else value


def render(asked: dict[str, Any]) -> str:
    """The template's text. Raises :class:`Problem`."""
    from jinja2 import TemplateError  # noqa: PLC0415

    environment = _environment(asked["sources"], asked["form"])
    refused = REFUSED | (REFUSED_IN_MARKDOWN if asked["form"] == "md" else {})
    try:
        _checked(environment, asked, refused)
        template = environment.get_template(asked["name"])
        if asked.get("check"):
            return ""
        return "".join(_bounded(template.generate(hydrated(asked["context"], asked["form"])), asked["most"]))
    except Problem as problem:
        raise Problem(problem.what, problem.line or _line(problem), problem.name) from None
    except TemplateError as error:
        name = getattr(error, "name", None) or ""
        raise Problem(
            error.message or type(error).__name__, getattr(error, "lineno", 0) or _line(error), name
        ) from None
    except MemoryError:
        raise Problem(f"it needs more than {MEMORY // 2**20} MiB; shorten it", 0) from None
    except Exception as error:  # noqa: BLE001 - whatever a template does is the template's problem
        raise Problem(f"{type(error).__name__}: {error}", _line(error)) from None


def _checked(environment: Any, asked: dict[str, Any], refused: dict[str, str]) -> None:
    """Read the template and what it includes; raises :class:`Problem` for what a template may not do."""
    from jinja2 import TemplateSyntaxError, nodes  # noqa: PLC0415

    wanted, seen = [str(asked["name"])], set[str]()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in asked["sources"]:
            raise Problem(f"there is no {name} in the template folder", 0, str(asked["name"]))
        try:
            tree = environment.parse(asked["sources"][name])
        except TemplateSyntaxError as error:
            raise Problem(error.message or "it cannot be read", error.lineno, name) from None
        for node in tree.find_all(nodes.Node):
            if type(node).__name__ in refused:
                raise Problem(refused[type(node).__name__], node.lineno, name)
            if isinstance(node, nodes.Include | nodes.Extends):
                if not isinstance(node.template, nodes.Const) or not isinstance(node.template.value, str):
                    raise Problem("what is included must be a file name in quotes", node.lineno, name)
                wanted.append(node.template.value)


def _environment(sources: dict[str, str], form: str) -> Any:
    from jinja2 import DictLoader, StrictUndefined  # noqa: PLC0415
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    class Sandbox(ImmutableSandboxedEnvironment):
        """Numbers can be multiplied; texts and lists cannot, or one line could fill the memory."""

        intercepted_binops = frozenset({"*", "**", "%"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if not all(isinstance(one, int | float) for one in (left, right)) or operator == "**":
                raise Problem(f"{operator} is for two numbers (and ** is not available)")
            return super().call_binop(context, operator, left, right)

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            allowed = isinstance(obj, dict) and attr in ("items", "keys", "values", "get")
            return allowed and super().is_safe_attribute(obj, attr, value)

    made = Sandbox(
        loader=DictLoader(sources), autoescape=form == "html", undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, optimized=False, cache_size=20,
        finalize=markdown if form == "md" else None,
    )  # fmt: skip
    made.globals.clear()
    for name in set(made.filters) - set(FILTERS):
        del made.filters[name]
    return made


def _bounded(parts: Iterator[str], most: int) -> Iterator[str]:
    size = 0
    for part in parts:
        size += len(part)
        if size > most:
            raise Problem(f"it writes more than {most:,} characters; is a loop in a loop?")
        yield part


def _line(error: BaseException) -> int:
    """The template's line in a traceback: Jinja compiles each template under its own name."""
    found, trace = 0, error.__traceback__
    while trace is not None:
        if (
            trace.tb_frame.f_code.co_filename in ("<template>", "<unknown>")
            or "j2" in trace.tb_frame.f_code.co_filename
        ):
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def main() -> None:
    """Answer one request."""
    asked = json.loads(sys.stdin.buffer.read())
    for limit, most in ((resource.RLIMIT_CPU, CPU_S), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # Not every system has every limit; the caller's clock stays.
            resource.setrlimit(limit, (most, most))
    try:
        answer: dict[str, Any] = {"text": render(asked)}
    except Problem as problem:
        answer = {"problem": problem.what, "line": problem.line, "name": problem.name}
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
