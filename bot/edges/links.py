"""Links as rows: a command line acts as a person in Slack once that person typed its code and it confirmed the person.

The secret never leaves the command line's file but as proof, and only its SHA-256 is kept; of the code a keyed hash is
kept, so that who reads the database has neither.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from bot.domain import codec
from bot.domain.proposal import Principal
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import line
from bot.edges import chain
from bot.edges.database import Database
from bot.edges.schema import cli_link, cli_link_try
from bot.ports import CodeMade, Link, Told
from config.clock import Clock

CODE_VALID = timedelta(minutes=10)
CONFIRM_WITHIN = timedelta(minutes=10)
"""After the code's own time; what nobody confirmed by then is void."""
LINK_VALID = timedelta(days=90)
ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without letters and digits that are read for each other: 30 to the 8 codes."""
CODE_LENGTH = 8
WAITING_AT_MOST = 5
"""Codes that wait to be typed: each is one more that a guess could meet."""
MADE_AT_MOST = 20
"""Codes in :data:`WINDOW`."""
WRONG_AT_MOST = 5
"""Wrong codes of one person in :data:`WINDOW`."""
WRONG_OF_ALL = 50
WINDOW = timedelta(hours=1)
USED_EVERY = timedelta(minutes=1)

_WRONG = "This code is not valid: it works once, for ten minutes. Run `pagerunner link` again for a new one."
_GONE = "There is no such link, or it was ended."
T = TypeVar("T")


class SqlLinks:
    """See :class:`bot.ports.Links`. ``key`` is of this installation and not in the database."""

    def __init__(self, database: Database, clock: Clock, key: bytes) -> None:
        self._database = database
        self._clock = clock
        self._key = key

    async def make(self, secret_hash: str, label: str, by: str) -> CodeMade | Told:
        now, code = self._clock.now(), "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
        link, until = f"ln-{secrets.token_hex(4)}", now + CODE_VALID

        def work(connection: Connection) -> CodeMade | Told:
            at = codec.stamp(now)
            waiting = select(func.count()).where(
                cli_link.c.code_hash != "", cli_link.c.code_until > at, cli_link.c.ended_at.is_(None)
            )
            lately = select(func.count()).where(cli_link.c.made_at > codec.stamp(now - WINDOW))
            if connection.execute(waiting).scalar_one() >= WAITING_AT_MOST:
                return Told(ok=False, text=f"{WAITING_AT_MOST} codes wait to be typed; use one, or wait ten minutes.")
            if connection.execute(lately).scalar_one() >= MADE_AT_MOST:
                return Told(ok=False, text=f"{MADE_AT_MOST} codes were made in the last hour; wait, and try again.")
            connection.execute(
                insert(cli_link).values(
                    id=link, code_hash=self._hash(code), secret_hash=secret_hash, label=line(label, 120), made_by=by,
                    made_at=at, code_until=codec.stamp(until), valid_until=codec.stamp(now + LINK_VALID),
                    principal="", name="",
                )
            )  # fmt: skip
            _tell(connection, now, "link_made", by, {"link": link, "label": line(label, 120), "by": by})
            return CodeMade(link=link, code=f"{code[:4]}-{code[4:]}", expires_at=until)

        return await self._database.run(work)

    async def of_secret(self, link_id: str, secret: str) -> Link | None:
        return await self._with(link_id, secret, lambda _, row: as_link(row))

    async def acts_as(self, link_id: str, secret: str) -> Link | None:
        now = self._clock.now()

        def work(connection: Connection, row: Row[Any]) -> Link | None:
            if row.confirmed_at is None or not row.principal:
                return None
            if row.used_at is None or row.used_at < codec.stamp(now - USED_EVERY):
                _set(connection, row.id, used_at=codec.stamp(now))
            return as_link(row)

        return await self._with(link_id, secret, work)

    async def asked(self, code: str, who: Principal) -> Link | Told:
        return await self._typed(code, who, lambda _, row: as_link(row))

    async def claim(self, code: str, who: Principal) -> Told:
        now = self._clock.now()

        def work(connection: Connection, row: Row[Any]) -> Told:
            _set(connection, row.id, principal=who.id, name=who.name, code_hash="")
            data = {"link": row.id, "label": row.label, "name": who.name}
            _tell(connection, now, "link_claimed", who.id, data)
            text = f"Now go back to {row.label} and confirm there that you are {who.name}. Link {row.id}; to take it "
            return Told(ok=True, text=f"{text}back: /oncall unlink {row.id}")

        return await self._typed(code, who, work)

    async def confirm(self, link_id: str, secret: str) -> Told:
        now = self._clock.now()

        def work(connection: Connection, row: Row[Any]) -> Told:
            if not row.principal:
                return Told(ok=False, text="Nobody has typed the code yet.")
            if row.confirmed_at is None:
                _set(connection, row.id, confirmed_at=codec.stamp(now))
                data = {"link": row.id, "label": row.label, "name": row.name}
                _tell(connection, now, "link_confirmed", row.made_by, data)
            return Told(ok=True, text=f"From now on this command line acts as {row.name} in Slack.")

        return await self._with(link_id, secret, work) or Told(ok=False, text=_GONE)

    async def end(self, link_id: str, by: Principal, *, only_of: str = "") -> Told:
        now = self._clock.now()

        def work(connection: Connection) -> Told:
            row = connection.execute(select(cli_link).where(cli_link.c.id == link_id)).one_or_none()
            if row is None or row.ended_at is not None or (only_of and row.principal != only_of):
                return Told(ok=False, text=_GONE)
            _set(connection, link_id, ended_at=codec.stamp(now), code_hash="")
            data = {"link": link_id, "label": row.label, "by": by.name}
            _tell(connection, now, "link_ended", by.id, data)
            return Told(ok=True, text=f"The command line of {row.label} acts as nobody any more ({link_id}).")

        return await self._database.run(work)

    async def links(self, principal: str = "") -> Sequence[Link]:
        at, late = codec.stamp(self._clock.now()), codec.stamp(self._clock.now() - CONFIRM_WITHIN)
        query = select(cli_link).where(
            cli_link.c.ended_at.is_(None), cli_link.c.valid_until > at,
            cli_link.c.confirmed_at.is_not(None)
                | (cli_link.c.code_until > at)
                | ((cli_link.c.principal != "") & (cli_link.c.code_until > late)),
        ).order_by(cli_link.c.made_at.desc())  # fmt: skip
        if principal:
            query = query.where(cli_link.c.principal == principal)
        return await self._database.run(lambda c: [as_link(row) for row in c.execute(query)])

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _with(self, link_id: str, secret: str, work: Callable[[Connection, Row[Any]], T]) -> T | None:
        """Do this with the link that the secret belongs to, while it holds."""
        digest, at = hashlib.sha256(secret.encode()).hexdigest(), codec.stamp(self._clock.now())

        def look(connection: Connection) -> T | None:
            row = connection.execute(select(cli_link).where(cli_link.c.id == link_id)).one_or_none()
            if row is None or not hmac.compare_digest(row.secret_hash, digest):
                return None
            confirmable = row.code_until + (CONFIRM_WITHIN.total_seconds() if row.principal else 0)
            if row.ended_at is not None or row.valid_until <= at or (row.confirmed_at is None and confirmable <= at):
                return None
            return work(connection, row)

        return await self._database.run(look)

    async def _typed(self, code: str, who: Principal, work: Callable[[Connection, Row[Any]], T]) -> T | Told:
        """Do this with the link of a code that waits; a wrong one is counted, and too many are not looked at."""
        wanted, now = self._hash("".join(c for c in code.upper() if c in ALPHABET)), self._clock.now()

        def look(connection: Connection) -> T | Told:
            tries = _tries(connection, who.id, now)
            if tries:
                return Told(ok=False, text=tries)
            row = connection.execute(
                select(cli_link).where(
                    cli_link.c.code_hash == wanted, cli_link.c.code_until > codec.stamp(now),
                    cli_link.c.ended_at.is_(None), cli_link.c.principal == "",
                )
            ).one_or_none()  # fmt: skip
            if row is not None:
                return work(connection, row)
            connection.execute(insert(cli_link_try).values(principal=who.id, at=codec.stamp(now)))
            _tell(connection, now, "link_refused", who.id, {"name": who.name, "why": "the code is not valid"})
            return Told(ok=False, text=_WRONG)

        return await self._database.run(look)

    def _hash(self, code: str) -> str:
        return hmac.new(self._key, code.encode(), hashlib.sha256).hexdigest()


def _tries(connection: Connection, principal: str, now: datetime) -> str:
    """Why no code is looked at now; empty if one is. The refusal itself counts as no try."""
    since = codec.stamp(now - WINDOW)
    connection.execute(delete(cli_link_try).where(cli_link_try.c.at <= since))
    of_all = connection.execute(select(func.count()).select_from(cli_link_try)).scalar_one()
    own = connection.execute(select(func.count()).where(cli_link_try.c.principal == principal)).scalar_one()
    if own < WRONG_AT_MOST and of_all < WRONG_OF_ALL:
        return ""
    return "Too many wrong codes in the last hour, so none is looked at. Wait, and make a new one with pagerunner link."


def _set(connection: Connection, link_id: str, **values: Any) -> None:
    connection.execute(update(cli_link).where(cli_link.c.id == link_id).values(**values))


def _tell(connection: Connection, now: datetime, kind: str, actor: str, data: Mapping[str, Any]) -> None:
    """On the installation's own timeline: ``pagerunner audit log`` lists it."""
    fact = Fact(kind=kind, provenance=Provenance.HUMAN, actor=actor, data=data)
    chain.append(connection, now, chain.INSTALLATION, [fact])


def as_link(row: Row[Any]) -> Link:
    return Link(
        id=row.id, label=row.label, made_at=codec.at(row.made_at), principal=row.principal, name=row.name,
        active=row.confirmed_at is not None, used_at=codec.moment(row.used_at),
    )  # fmt: skip
