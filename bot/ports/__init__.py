"""The ports: what the flow needs from the outside, by role. Each has a real edge and an offline one."""

from bot.ports.arriving import Inbox, Intake, Jobs, Placed, Received, StorageDown, Understand
from bot.ports.asking import Declaration, Desk, Duty, Quoted, Role, TimelineEdit, Told, VoteContext
from bot.ports.effecting import NOTHING, Claim, Executor, Follow, Gate, Planned, Planner, Step
from bot.ports.finding_out import Investigated, Triage, Verifier
from bot.ports.keeping import Casebook, DutyBook, History, Records, Scribe
from bot.ports.linking import CodeMade, Link, Links
from bot.ports.reaching import (
    Chat,
    Exporter,
    Made,
    OnCall,
    Pager,
    People,
    Responder,
    RetryLater,
    Rota,
    Undeliverable,
)

__all__ = [
    "NOTHING",
    "Casebook",
    "Chat",
    "Claim",
    "CodeMade",
    "Declaration",
    "Desk",
    "Duty",
    "DutyBook",
    "Executor",
    "Exporter",
    "Follow",
    "Gate",
    "History",
    "Inbox",
    "Intake",
    "Investigated",
    "Jobs",
    "Link",
    "Links",
    "Made",
    "OnCall",
    "Pager",
    "People",
    "Placed",
    "Planned",
    "Planner",
    "Quoted",
    "Received",
    "Records",
    "Responder",
    "RetryLater",
    "Role",
    "Rota",
    "Scribe",
    "Step",
    "StorageDown",
    "TimelineEdit",
    "Told",
    "Triage",
    "Undeliverable",
    "Understand",
    "Verifier",
    "VoteContext",
]
