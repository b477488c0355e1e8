"""Workspaces that installed the app, with their tokens sealed, and installations that were finished lately."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, delete, insert, select

from bot.domain import codec
from bot.domain.incident import Status
from bot.domain.timeline import Fact, Provenance
from bot.edges import chain, outbox
from bot.edges.database import Database
from bot.edges.schema import incident, installation, oauth_state
from bot.edges.sealing import CannotOpen, Seal

STATE_VALID = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Installed:
    """The app in one workspace."""

    team_id: str
    name: str
    bot_user_id: str
    bot_id: str
    token: str = field(repr=False)
    """Empty when it was sealed with a key that is not here: the app has to be installed again."""
    scopes: frozenset[str]
    installed_by: str
    at: datetime


class SqlInstallations:
    """One row a workspace; the newest installation counts."""

    def __init__(self, database: Database, seal: Seal) -> None:
        self._database = database
        self._seal = seal

    async def all(self) -> Sequence[Installed]:
        rows = await self._database.run(lambda c: c.execute(select(installation).order_by(installation.c.team)).all())
        return [self._opened(row) for row in rows]

    async def save(self, new: Installed, teams: Sequence[str]) -> None:
        """Keep it, and let everything that could not be delivered to these teams be told again."""
        fact = _fact("app_installed", new.team_id, new.installed_by)

        def work(connection: Connection) -> None:
            connection.execute(delete(installation).where(installation.c.team == new.team_id))
            connection.execute(
                insert(installation).values(
                    team=new.team_id, name=new.name, bot_user=new.bot_user_id, bot=new.bot_id,
                    token=self._seal.close(new.token), scopes=",".join(sorted(new.scopes)),
                    installed_by=new.installed_by, at=codec.stamp(new.at),
                )
            )  # fmt: skip
            chain.append(connection, new.at, chain.INSTALLATION, [fact])
            over = (Status.RESOLVED.value, Status.CLOSED.value)
            open_ones = select(incident.c.id).where(incident.c.team.in_(teams), incident.c.status.not_in(over))
            for one in connection.execute(open_ones).scalars().all():
                outbox.card(connection, one, new.at)

        await self._database.run(work)

    async def remove(self, team_id: str, why: str, now: datetime) -> bool:
        """Forget a workspace and its token; False if it was not known."""

        def work(connection: Connection) -> bool:
            gone = connection.execute(delete(installation).where(installation.c.team == team_id)).rowcount > 0
            if gone:
                chain.append(connection, now, chain.INSTALLATION, [_fact("app_uninstalled", team_id, why=why)])
            return gone

        return await self._database.run(work)

    def begin(self, now: datetime) -> str:
        """A state for one installation, valid for ten minutes. Nothing is stored: anybody can begin one."""
        return self._seal.stamp(secrets.token_urlsafe(16), now)

    async def finish(self, state: str, now: datetime) -> bool:
        """Whether this state is one of ours, begun in time, and not finished before."""
        if not self._seal.younger(state, STATE_VALID, now):
            return False
        digest = hashlib.sha256(state.encode()).hexdigest()

        def work(connection: Connection) -> bool:
            connection.execute(delete(oauth_state).where(oauth_state.c.expires_at <= codec.stamp(now)))
            if connection.execute(select(oauth_state.c.digest).where(oauth_state.c.digest == digest)).first():
                return False
            until = codec.stamp(now + STATE_VALID)
            connection.execute(insert(oauth_state).values(digest=digest, expires_at=until))
            return True

        return await self._database.run(work)

    def _opened(self, row: Row[tuple[object, ...]]) -> Installed:
        try:
            token = self._seal.open(row.token)
        except CannotOpen:
            token = ""
        return Installed(
            team_id=row.team, name=row.name, bot_user_id=row.bot_user, bot_id=row.bot, token=token,
            scopes=frozenset(row.scopes.split(",")), installed_by=row.installed_by, at=codec.at(row.at),
        )  # fmt: skip


def _fact(kind: str, team: str, by: str = "", why: str = "") -> Fact:
    data = {"team": team, "by": by, "why": why}
    return Fact(kind=kind, provenance=Provenance.OBSERVED, actor=f"slack:{team}", data=data)
