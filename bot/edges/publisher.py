"""Writes an incident's documents to its folder: whole or not at all, under names that we choose."""

import asyncio
import base64
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.domain.faults import FaultPoint, no_fault
from bot.domain.presentation import Form
from bot.domain.view import IncidentView
from bot.edges import export_json
from bot.edges.export import Export
from bot.ports import Drafted, Records

log = logging.getLogger("pagerunner.drafts")

QUICK: tuple[Form, ...] = ("md", "html", "json", "csv")
PAPER: tuple[Form, ...] = ("pdf", "docx")
"""These take a second and much memory each: they are made in a process of its own."""
WALL_S = 120.0
_ROOT = Path(__file__).resolve().parents[2]


class Publisher:
    """Writes into ``folder``, one incident at a time; a file that is there is replaced in one step."""

    def __init__(
        self, records: Records, folder: Path, fault: FaultPoint = no_fault, *, forms: Sequence[Form] = QUICK,
        exporter: Export | None = None,
    ) -> None:  # fmt: skip
        self._records = records
        self._folder = folder
        self._fault = fault
        self._forms = tuple(dict.fromkeys(forms))
        self._exporter = exporter or Export()
        self._one_at_a_time = asyncio.Lock()

    async def publish(self, incident_id: str) -> Drafted:
        """Write every form; returns the file names, and what could not be made."""
        async with self._one_at_a_time:
            view = await self._records.view(incident_id)
            if view is None:
                return Drafted(files=())
            return await asyncio.to_thread(self._write_all, view)

    def _write_all(self, view: IncidentView) -> Drafted:
        paper = [form for form in self._forms if form in PAPER]
        made: dict[str, bytes | str] = {form: self._exporter.export(view, form) for form in self._forms
                                        if form not in PAPER}  # fmt: skip
        if paper:
            made |= on_paper(self._exporter.clean(view), paper)
        names, problems = [], []
        for form in self._forms:
            name, content = f"{view.incident.id}.{form}", made[form]
            if isinstance(content, str):
                log.error("%s could not be made: %s", name, content)
                problems.append(f"{name} could not be made: {content}")
            else:
                write(self._folder, name, content, self._fault)
                names.append(name)
        upto = view.timeline[-1].seq if view.timeline else 0
        return Drafted(files=tuple(names), problems=tuple(problems), upto=upto)


def on_paper(view: IncidentView, forms: Sequence[Form]) -> Mapping[str, bytes | str]:
    """Each form, or why there is none. The worker sees no variable of ours, and no more of the world than the view."""
    command = [sys.executable, "-B", "-m", "bot.edges.paper_worker", *forms]
    environment = {"PYTHONPATH": str(_ROOT), "PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(command, input=export_json.export(view), capture_output=True, timeout=WALL_S,
                              check=False, env=environment, cwd=_ROOT)  # fmt: skip
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return dict.fromkeys(forms, f"it did not end within {WALL_S:g} s")
    except ValueError:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"it ended with {done.returncode}"]
        return dict.fromkeys(forms, f"it needed more time or memory than a draft may ({last[0][:200]})")
    return {form: base64.b64decode(one["content"]) if "content" in one else str(one["problem"])
            for form, one in answer.items()}  # fmt: skip


def write(folder: Path, name: str, content: bytes, fault: FaultPoint = no_fault) -> Path:
    """Put ``content`` under ``name``: a temporary file first, synced, then renamed; never through a link."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stray in folder.glob(f".{name}.*"):
        stray.unlink(missing_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        fault("K13")
        os.fsync(file.fileno())
    path = folder / name
    Path(temporary).replace(path)
    return path
