"""What people wrote, out of Slack's own notation: entities, mentions, channels and links as they were seen."""

import re
from collections.abc import Mapping

_MARK = re.compile(r"<([@#!]?)([^<>|]+)(?:\|([^<>]*))?>")
_USER = re.compile(r"<@([A-Z0-9]+)")
_PERSON = re.compile(r"[UW][A-Z0-9]{2,20}")


def is_person(channel: str) -> bool:
    """Whether a person's id or e-mail address stands in the place of a channel."""
    return _PERSON.fullmatch(channel) is not None or "@" in channel


def mentioned(text: str) -> tuple[str, ...]:
    """The ids of the users that a message mentions."""
    return tuple(dict.fromkeys(_USER.findall(text)))


def written(text: str, names: Mapping[str, str]) -> str:
    """The text as its author saw it. A user of whom ``names`` has an empty name is left out: that is us."""

    def seen(match: "re.Match[str]") -> str:
        kind, about, label = match[1], match[2], match[3] or ""
        match kind:
            case "@":
                name = names.get(about, label or about)
                return f"@{name.removeprefix('@')}" if name else " "
            case "#":
                return f"#{label or about}"
            case "!":
                return label if label.startswith("@") else f"@{label or about.partition('^')[0]}"
            case _:
                return f"{label} ({about})" if label and label not in about else about

    return unescaped(_MARK.sub(seen, text)).strip()


def unescaped(text: str) -> str:
    """Slack's three entities undone; every sink escapes again."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
