"""A company's own postmortem templates: files ``NAME.md.j2`` and ``NAME.html.j2`` of one folder, in a sandbox.

What a template can do is in ``template_worker.py``; what it is given, in ``template_context.py``; both are documented
in ``docs/postmortem-templates.md``.
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bot.domain.untrusted import line

TemplateForm = Literal["md", "html"]
FORMS: tuple[TemplateForm, ...] = ("md", "html")
MOST_FILES, MOST_BYTES, MOST_OUT = 100, 256 * 1024, 16_000_000
WALL_S = 15.0
_WORKER = Path(__file__).with_name("template_worker.py")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
CSP = ("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
       "img-src data:\">")  # fmt: skip


class TemplateProblem(Exception):
    """What is wrong with a template: which one, in which line, and what to do about it."""

    def __init__(self, name: str, what: str, *, line_: int = 0, fix: str = "") -> None:
        where = f"{name}:{line_}" if line_ else name
        super().__init__(f"Template {where}: {line(what, 300)}{f'. {fix}' if fix else ''}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A template of the folder, and what is wrong with it; empty if nothing is."""

    name: str
    form: TemplateForm
    problem: str = ""


class Templates:
    """The templates of ``folder``; None: there are none beside the built-in one."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def known(self) -> list[Known]:
        """Every template that can be asked for, by name, each compiled once. Raises :class:`TemplateProblem`."""
        sources = self._sources()
        found = []
        for file in sorted(sources):
            name, form = _split(file)
            if form is None or name.startswith("_"):
                continue
            try:
                _run({"name": file, "form": form, "sources": sources, "check": True})
            except TemplateProblem as problem:
                found.append(Known(name=name, form=form, problem=str(problem)))
            else:
                found.append(Known(name=name, form=form))
        return found

    def render(self, name: str, form: TemplateForm, context: Mapping[str, Any]) -> str:
        """The document that the template makes of this context. Raises :class:`TemplateProblem`."""
        if _NAME.fullmatch(name) is None:
            raise TemplateProblem(line(name, 40), "this is no template's name",
                                  fix="`pagerunner export --list-templates` lists them")  # fmt: skip
        sources = self._sources()
        file = f"{name}.{form}.j2"
        if file not in sources:
            there = ", ".join(sorted(sources)) or "none"
            where = self._folder or "the template folder, which is not set"
            raise TemplateProblem(file, f"there is no such file in {where}",
                                  fix=f"There are: {there}. The folder is the setting `templates`")  # fmt: skip
        made = _run({"name": file, "form": form, "sources": sources, "context": context, "most": MOST_OUT})
        return _guarded(made) if form == "html" else made

    def _sources(self) -> dict[str, str]:
        """File name -> text. Links that lead out of the folder are not followed; a template reads nothing else."""
        if self._folder is None:
            return {}
        if not self._folder.is_dir():
            raise TemplateProblem(str(self._folder), "this folder does not exist",
                                  fix="Make it, or correct the setting `templates` (PAGERUNNER_TEMPLATES)")  # fmt: skip
        root, found = self._folder.resolve(), {}
        for path in sorted(self._folder.glob("*.j2"))[:MOST_FILES]:
            try:
                if path.resolve().parent == root and path.stat().st_size <= MOST_BYTES:
                    found[path.name] = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise TemplateProblem(path.name, f"it cannot be read: {error}") from error
        return found


def _split(file: str) -> tuple[str, TemplateForm | None]:
    for form in FORMS:
        if file.endswith(f".{form}.j2"):
            return file.removesuffix(f".{form}.j2"), form
    return file, None


def _run(asked: dict[str, Any]) -> str:
    """Ask the worker; what it does not survive is the template's problem."""
    name = str(asked["name"])
    command = [sys.executable, "-I", "-B", str(_WORKER)]
    try:
        given = json.dumps(asked).encode()
        done = subprocess.run(command, input=given, capture_output=True, timeout=WALL_S, check=False, env={})
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise TemplateProblem(name, f"it did not end within {WALL_S:g} s", fix="Look for loops in loops") from None
    except ValueError:
        raise TemplateProblem(name, "it needed more time or memory than a template may (5 s of CPU, 512 MiB)",
                              fix="Look for loops in loops") from None  # fmt: skip
    if "problem" in answer:
        raise TemplateProblem(answer["name"] or name, answer["problem"], line_=answer["line"],
                              fix="What a template can use is in docs/postmortem-templates.md")  # fmt: skip
    return str(answer["text"])


def _guarded(page: str) -> str:
    """The page with our policy before everything else: nothing in it runs, and nothing is loaded from anywhere."""
    head = re.search(r"<head(?:\s[^>]*)?>", page, re.IGNORECASE)
    at = head.end() if head else 0
    return f"{page[:at]}{CSP}{page[at:]}" if head else f"<!DOCTYPE html><head>{CSP}</head>{page}"
