"""The prompt registry: versions of each prompt with their texts, and the alias that production follows."""

from typing import TYPE_CHECKING

from drills.documents import Document, Json
from drills.when import iso

if TYPE_CHECKING:
    from drills.scenarios import Scenario

BASE_VERSION = 12
_ROLE = {
    "chat": "You are the assistant of an office suite. Answer briefly and correctly.",
    "support": "You are the support assistant. Answer from the documents that you are given, and cite them.",
    "agent": "You are the order agent. Use the tools; confirm what you did with the order number.",
}
_STYLE = {
    10: "Be helpful.",
    11: "Be helpful. If you do not know, say so.",
    12: "Be helpful and exact. If you do not know, say so. Keep to the format that is asked for.",
    13: "Be helpful, warm and concise. Keep to the format that is asked for.",
}
_NOTES = {10: "first version in the registry", 11: "admit not knowing", 12: "exact formats", 13: "friendlier wording"}
PLACEHOLDER_LINE = "Write in a {{tone}} tone throughout."


def version_text(name: str, version: int, *, placeholder: bool = False) -> str:
    """The text of a version. It says itself which one it is."""
    lines = [f"[prompt {name} v{version}]", _ROLE[name], _STYLE.get(version, _STYLE[BASE_VERSION])]
    return "\n".join([*lines, PLACEHOLDER_LINE] if placeholder else lines)


def prompt_documents(scenario: "Scenario") -> dict[str, Document]:
    """One document for each prompt."""
    found = {}
    for name in _ROLE:
        newest = scenario.prompt_in_production.get(name, BASE_VERSION)
        versions: list[Json] = []
        for version in range(10, newest + 1):
            made = scenario.page_at - (newest - version) * 12 * 86_400 - 20 * 86_400
            if version > BASE_VERSION:
                made = scenario.prompt_deployed_at
            versions.append({"version": version, "created_at": iso(made), "note": _NOTES.get(version, "")})
        found[f"prompts/{name}"] = Document(
            version=newest, keys={"aliases": {"production": newest}}, fixed={"name": name, "versions": versions}
        )
    return found
