"""Reading for commands: from the running server, or from the database read-only when none runs."""

import asyncio
import json
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bot.cli.local import NO_SERVER, WHERE, WRONG, Api, catalogue, fail
from config.settings import Settings

if TYPE_CHECKING:
    from bot.domain.view import IncidentView
    from bot.edges.database import Database

MOST = 500
_REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")


class Reader:
    """What is known, wherever it is kept. Ends with a message where it cannot be read."""

    def __init__(self, chosen: Settings) -> None:
        self._settings = chosen
        self._api = Api(chosen) if serving(chosen) else None
        self._path = chosen.data / "pagerunner.sqlite"

    def incidents(self, *, active_only: bool) -> list[dict[str, Any]]:
        """Newest first, as the API lists them."""
        if self._api is not None:
            listed: list[dict[str, Any]] = self._api.get("/incidents", active=str(active_only).lower(), limit=str(MOST))
            return listed
        self._must_exist()
        from bot.edges.records import SqlRecords  # noqa: PLC0415
        from bot.edges.views_json import IncidentOut  # noqa: PLC0415

        database = self._opened()
        try:
            records = SqlRecords(database, catalogue(self._settings))
            found = asyncio.run(records.incidents(active_only=active_only, limit=MOST))
        finally:
            database.close()
        return [IncidentOut.model_validate(one).model_dump(mode="json") for one in found]

    def view(self, reference: str) -> "IncidentView":
        """The incident of this id, or of the pager's reference."""
        if not _REFERENCE.fullmatch(reference):
            fail(
                f"{reference!r} is no incident's name; give its id, such as inc-7f3a2c, or the pager's reference.",
                WRONG,
            )
        found = self._asked(self._api, reference) if self._api is not None else self._read(reference)
        if found is None:
            fail(f"There is no incident {reference}; `pagerunner incidents --all` lists all.")
        return found

    def _asked(self, api: Api, reference: str) -> "IncidentView":
        from bot.domain import codec  # noqa: PLC0415
        from bot.domain.view import IncidentView  # noqa: PLC0415

        whole = json.loads(api.raw(f"/incidents/{reference}/export", format="json"))
        return codec.load(IncidentView, whole["view"])

    def _read(self, reference: str) -> "IncidentView | None":
        self._must_exist()
        from bot.edges.records import read_view  # noqa: PLC0415

        declared = catalogue(self._settings)
        database = self._opened()
        try:
            return database.run_now(lambda connection: read_view(connection, reference, declared))
        finally:
            database.close()

    @classmethod
    def database(cls, chosen: Settings) -> "Database | None":
        """The database read-only, also beside a server, which it never keeps from writing; None if there is none."""
        path = chosen.data / "pagerunner.sqlite"
        return cls._open(path) if path.exists() else None

    def _must_exist(self) -> None:
        if not self._path.exists():
            fail(f"{self._path}: there is no database here, and no server runs on it. {WHERE}", NO_SERVER)

    def _opened(self) -> "Database":
        return self._open(self._path)

    @staticmethod
    def _open(path: Path) -> "Database":
        from sqlalchemy.exc import DatabaseError  # noqa: PLC0415

        from bot.edges.database import Database, SchemaMismatch  # noqa: PLC0415
        from bot.ports import StorageDown  # noqa: PLC0415

        database = Database(path, read_only=True)
        try:
            database.open()
        except (StorageDown, SchemaMismatch) as error:
            database.close()
            fail(str(error))
        except DatabaseError as error:
            database.close()
            fail(f"{path}: {error.orig}; this is not a database of Pagerunner.")
        return database


def serving(chosen: Settings) -> bool:
    """Whether a server of this data folder takes connections: its address may be left from one that was killed."""
    try:
        address = urlsplit((chosen.data / "address").read_text("ascii").strip())
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=2):
            return True
    except (OSError, ValueError):
        return False
