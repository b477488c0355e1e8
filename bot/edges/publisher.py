"""Writes an incident's documents to its folder: whole or not at all, under names that we choose."""

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from bot.domain.faults import FaultPoint, no_fault
from bot.domain.view import IncidentView
from bot.edges.export import Export
from bot.ports import Records

Drafted = Literal["md", "html", "json", "csv"]
"""What is written when an incident closes. PDF and Word take a second each: they are made when asked for."""


class Publisher:
    """Writes into ``folder``; a file that is there is replaced in one step."""

    def __init__(self, records: Records, folder: Path, fault: FaultPoint = no_fault) -> None:
        self._records = records
        self._folder = folder
        self._fault = fault

    async def publish(self, incident_id: str) -> Sequence[str]:
        """Write every form; returns the file names."""
        view = await self._records.view(incident_id)
        if view is None:
            return []
        return await asyncio.to_thread(self._write_all, view)

    def _write_all(self, view: IncidentView) -> list[str]:
        names = []
        for form in get_args(Drafted):
            name = f"{view.incident.id}.{form}"
            write(self._folder, name, Export().export(view, form), self._fault)
            names.append(name)
        return names


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
