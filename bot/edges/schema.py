"""The tables. Truth lives here: every change and its timeline row are one transaction."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

VERSION = 4
"""Raised with every change of the schema; a step in :mod:`bot.edges.migrations` makes it of the one before."""

metadata = MetaData()

meta = Table("meta", metadata, Column("key", String, primary_key=True), Column("value", Text, nullable=False))

inbox = Table(
    "inbox", metadata,
    Column("key", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("state", String, nullable=False),  # new | done | quarantined
    Column("incident", String),
    Column("reason", Text, nullable=False, default=""),
)  # fmt: skip
Index("inbox_state", inbox.c.state, inbox.c.received_at)

incident = Table(
    "incident", metadata,
    Column("id", String, primary_key=True),
    Column("status", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("service", String, nullable=False),
    Column("team", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("key", String, nullable=False),
    Column("signature", String, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("started_at", Float, nullable=False),
    Column("last_page_at", Float, nullable=False),
    Column("acknowledged_at", Float),
    Column("mitigated_at", Float),
    Column("resolved_at", Float),
    Column("reopened_at", Float),
    Column("pages", Integer, nullable=False),
    Column("investigations", Integer, nullable=False),  # asked for
    Column("investigated", Integer, nullable=False),  # finished
    Column("attempts", Integer, nullable=False),  # since it was last opened
    Column("attempts_before", Integer, nullable=False, default=0),
    Column("pager_ref", String, nullable=False),
    Column("pager_status", String, nullable=False),
    Column("source", String, nullable=False),
    Column("running", JSON, nullable=False),
    Column("retrieval", JSON),
    Column("diagnosis", JSON),
    Column("card_channel", String, nullable=False, default=""),
    Column("card_ts", String, nullable=False, default=""),
    Column("hints", JSON, nullable=False),
)  # fmt: skip
Index("incident_key", incident.c.key)
Index("incident_card", incident.c.card_channel, incident.c.card_ts)

page = Table(
    "page", metadata,
    Column("event_id", String, primary_key=True),
    Column("incident", String, ForeignKey("incident.id"), nullable=False),
    Column("incident_ref", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", Float, nullable=False),
)  # fmt: skip
Index("page_incident", page.c.incident)
Index("page_ref", page.c.incident_ref)

pager = Table(  # the pager's own incidents, by their newest event
    "pager", metadata,
    Column("ref", String, primary_key=True),
    Column("incident", String, ForeignKey("incident.id"), nullable=False),
    Column("status", String, nullable=False),  # triggered | acknowledged | resolved; empty: of long ago
    Column("at", Float, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("merged_into", String, nullable=False),
)  # fmt: skip
Index("pager_incident", pager.c.incident)
Index("pager_merged", pager.c.merged_into)

finding = Table(
    "finding", metadata,
    Column("id", String, primary_key=True),
    Column("incident", String, ForeignKey("incident.id"), nullable=False),
    Column("investigation", Integer, nullable=False),
    Column("call", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("at", Float, nullable=False),
    UniqueConstraint("incident", "investigation", "call"),
)  # fmt: skip

proposal = Table(
    "proposal", metadata,
    Column("id", String, primary_key=True),
    Column("incident", String, ForeignKey("incident.id"), nullable=False),
    Column("service", String, nullable=False),
    Column("target", String, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("plan_hash", String, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("approved_at", Float),
    Column("proposed_by", String, nullable=False),
    Column("rationale", Text, nullable=False),
    Column("votable", Boolean, nullable=False),
    Column("withheld", Text, nullable=False),
    Column("step", String, nullable=False),
)  # fmt: skip
Index("proposal_incident", proposal.c.incident)
Index("proposal_state", proposal.c.state)

vote = Table(
    "vote", metadata,
    Column("proposal", String, ForeignKey("proposal.id"), primary_key=True),
    Column("principal", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("decision", String, nullable=False),
    Column("plan_hash", String, nullable=False),
    Column("at", Float, nullable=False),
)  # fmt: skip

effect = Table(
    "effect", metadata,
    Column("id", String, primary_key=True),  # {proposal}:apply | {proposal}:revert
    Column("proposal", String, ForeignKey("proposal.id"), nullable=False),
    Column("incident", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("claimed_at", Float),
    Column("finished_at", Float),
    Column("detail", Text, nullable=False),
    Column("verify_by", Float),
    Column("next_check_at", Float),
    Column("checks", Integer, nullable=False),
    Column("verdict", String, nullable=False),
    Column("lease_until", Float),
    UniqueConstraint("proposal", "kind"),
)  # fmt: skip

timeline = Table(
    "timeline", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("incident", String, nullable=False),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("provenance", String, nullable=False),
    Column("actor", String, nullable=False),
    Column("data", Text, nullable=False),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
)  # fmt: skip
Index("timeline_incident", timeline.c.incident, timeline.c.seq)

room = Table(  # an incident's own channel in chat
    "room", metadata,
    Column("incident", String, ForeignKey("incident.id"), primary_key=True),
    Column("state", String, nullable=False),  # wanted | open | archived | thread
    Column("name", String, nullable=False),  # reserved before it is made: no two incidents want the same one
    Column("channel", String, nullable=False),
    Column("home", String, nullable=False),  # the team's channel
    Column("private", Boolean, nullable=False),
    Column("topic", Text, nullable=False),
    Column("wanted_at", Float, nullable=False),
    Column("archive_after_s", Float),
    Column("pointer_ts", String, nullable=False, default=""),
    Column("pointer_text", Text, nullable=False, default=""),
    Column("done", JSON, nullable=False),
    Column("problems", JSON, nullable=False),
)  # fmt: skip
Index("room_channel", room.c.channel)
Index("room_name", room.c.name)

installation = Table(  # workspaces that installed the app through OAuth
    "installation", metadata,
    Column("team", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("bot_user", String, nullable=False),
    Column("bot", String, nullable=False),
    Column("token", LargeBinary, nullable=False),  # sealed
    Column("scopes", Text, nullable=False),
    Column("installed_by", String, nullable=False),
    Column("at", Float, nullable=False),
)  # fmt: skip

oauth_state = Table(  # installations that were finished lately: each may be once
    "oauth_state", metadata,
    Column("digest", String, primary_key=True),
    Column("expires_at", Float, nullable=False),
)  # fmt: skip

outbox = Table(
    "outbox", metadata,
    Column("id", Integer, primary_key=True),
    Column("lane", String, nullable=False),  # chat:CHANNEL | rooms | pager
    Column("kind", String, nullable=False),  # card | pointer | say | file | room | archive | note | status …
    Column("key", String, unique=True),  # cards: one row an incident; others: idempotency
    Column("incident", String, nullable=False),
    Column("data", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sent", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("dead", Text, nullable=False),
)  # fmt: skip

frozen = Table(
    "frozen", metadata,
    Column("service", String, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("at", Float, nullable=False),
)  # fmt: skip

change = Table(
    "change", metadata,
    Column("id", String, primary_key=True),
    Column("at", Float, nullable=False),
    Column("service", String, nullable=False),
    Column("data", JSON, nullable=False),
)  # fmt: skip
Index("change_service", change.c.service, change.c.at)

sample = Table(
    "sample", metadata,
    Column("id", Integer, primary_key=True),
    Column("service", String, nullable=False),
    Column("series", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("value", Float, nullable=False),
)  # fmt: skip
Index("sample_series", sample.c.service, sample.c.series, sample.c.at)

document = Table(
    "document", metadata,
    Column("id", Integer, primary_key=True),
    Column("service", String, nullable=False),
    Column("key", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("data", JSON, nullable=False),
)  # fmt: skip
Index("document_key", document.c.service, document.c.key, document.c.at)

author_note = Table(  # who hears how their runbooks fared, and when they did
    "author_note", metadata,
    Column("id", Integer, primary_key=True),
    Column("incident", String, nullable=False),
    Column("episode", Float, nullable=False),  # when the incident was resolved
    Column("owner", String, nullable=False),
    Column("place", String, nullable=False),  # channel, person, or empty: the card's thread
    Column("due_at", Float, nullable=False),
    Column("told_at", Float),
    UniqueConstraint("incident", "episode", "owner"),
)  # fmt: skip
Index("author_note_told", author_note.c.told_at)
Index("author_note_place", author_note.c.place, author_note.c.told_at)

seen = Table(
    "seen", metadata,
    Column("key", String, primary_key=True),
    Column("at", Float, nullable=False),
)  # fmt: skip

debt = Table(  # what a break-glass approval left, until somebody else has looked at it
    "debt", metadata,
    Column("proposal", String, ForeignKey("proposal.id"), primary_key=True),
    Column("incident", String, nullable=False),
    Column("service", String, nullable=False),
    Column("team", String, nullable=False),
    Column("principal", String, nullable=False),
    Column("name", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("reviewed_by", String, nullable=False, default=""),
    Column("reviewer", String, nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),
    Column("reviewed_at", Float),
)  # fmt: skip

cli_link = Table(  # a command line that acts as a person in Slack; neither code nor secret is kept
    "cli_link", metadata,
    Column("id", String, primary_key=True),
    Column("code_hash", String, nullable=False),  # keyed; empty once it was used
    Column("secret_hash", String, nullable=False),
    Column("label", String, nullable=False),
    Column("made_by", String, nullable=False),
    Column("made_at", Float, nullable=False),
    Column("code_until", Float, nullable=False),
    Column("valid_until", Float, nullable=False),
    Column("principal", String, nullable=False, default=""),
    Column("name", String, nullable=False, default=""),
    Column("confirmed_at", Float),
    Column("used_at", Float),
    Column("ended_at", Float),
)  # fmt: skip

cli_link_try = Table(  # wrong codes, counted
    "cli_link_try", metadata,
    Column("id", Integer, primary_key=True),
    Column("principal", String, nullable=False),
    Column("at", Float, nullable=False),
)  # fmt: skip
Index("cli_link_try_at", cli_link_try.c.at)

imported = Table(  # past incidents from elsewhere, for people to read; what a person confirmed ranks
    "imported", metadata,
    Column("id", String, primary_key=True),  # names its source too
    Column("batch", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("imported_at", Float, nullable=False),
    Column("at", Float, nullable=False),
    Column("data", JSON, nullable=False),
)  # fmt: skip
Index("imported_at", imported.c.at)
Index("imported_batch", imported.c.batch)
