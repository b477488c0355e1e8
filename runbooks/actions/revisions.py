"""Going back to an earlier revision of a settings document: one that keeps its own history."""

from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.actions.declared import nearest
from runbooks.actions.resource import Document
from runbooks.model import ActionError, DiffLine, Precondition


def history(document: Document) -> tuple[Mapping[str, Any], ...]:
    """Entries that can be gone back to, oldest first; entries without a time keep their place."""
    entries = [entry for entry in document.items("history") if "revision" in entry]
    return tuple(sorted(entries, key=lambda entry: str(entry.get("at", ""))))


def chosen(document: Document, to: str) -> Mapping[str, Any]:
    """The named revision; for ``previous`` the one in use before the present one. Raises :class:`ActionError`."""
    known, current = history(document), document.fields.get("revision")
    if to == "previous":
        at = next((i for i, entry in enumerate(known) if entry["revision"] == current), len(known))
        if at == 0:
            raise ActionError(
                f"{document.label}: revision {str(current)[:80]} is the oldest in the history; there is nothing to go "
                "back to"
            )
        return known[at - 1]
    found = next((entry for entry in known if str(entry["revision"]) == to), None)
    if found is None:
        hint = nearest(to, (str(entry["revision"]) for entry in known))
        raise ActionError(f"{document.label} has no revision {to!r} in its history{hint}")
    return found


def state_of(entry: Mapping[str, Any], document: Document, keys: Sequence[str]) -> dict[str, Any]:
    """The watched keys as they were in a revision; one that it does not tell stays as it is."""
    return {key: entry.get(key, document.fields.get(key)) for key in keys}


def diff_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[DiffLine, ...]:
    """A line for every key that differs."""
    return tuple(
        DiffLine(what=key.replace("_", " "), before=_told(before.get(key)), after=_told(after.get(key)))
        for key in after
        if before.get(key) != after.get(key)
    )


def known_revision(document: Document, to: str) -> Precondition:
    """That the revision is on record, as it was when the plan was made."""
    current = str(document.fields.get("revision"))[:80]
    return Precondition(
        text=f"revision {to} is in the history",
        ok=to in [str(entry["revision"]) for entry in history(document)],
        detail=f"revision {current} is in use",
    )


def _told(value: Any) -> str:
    return "nothing" if value in (None, "") else str(value)[:120]
