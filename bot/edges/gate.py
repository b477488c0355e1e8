"""The gate: proposals, votes and effects as rows.

Nothing else in the product has authority to act: an effect runs only after :meth:`SqlEffects.claim` said yes, once.
"""

from bot.edges.ballots import SqlBallots
from bot.edges.database import Database
from bot.edges.effects import SqlEffects


class SqlGate(SqlBallots, SqlEffects):
    """See :class:`bot.ports.Gate`."""

    def __init__(self, database: Database) -> None:
        SqlBallots.__init__(self, database)
