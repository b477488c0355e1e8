"""Block Kit as Slack checks it: kinds, limits and uniqueness; what passes gets the ids Slack would add."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from drills.slack.elements import IN_ACTIONS, IN_INPUT, IN_SECTION, Problems, element, text_object
from drills.slack.wire import Json, SlackError

LONGEST_TOTAL = 13_200
"""Characters of all texts of a message together, beyond which Slack answers ``msg_blocks_too_long``."""

_IN_MESSAGES = ("section", "divider", "image", "actions", "context", "header", "rich_text", "markdown", "input", "file",
                "video", "table")  # fmt: skip
_IN_VIEWS = ("section", "divider", "image", "actions", "context", "header", "rich_text", "input", "video")
_RICH_CONTAINERS = ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote")
_RICH_PARTS = ("text", "user", "channel", "emoji", "link", "team", "usergroup", "date", "broadcast", "color")


def checked(blocks: Any, *, view: bool = False, pointer: str = "/blocks") -> list[Json]:
    """The blocks with every ``block_id`` and ``action_id`` filled in, or :class:`SlackError` ``invalid_blocks``."""
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    problems = Problems()
    limit = 100 if view else 50
    problems.count(blocks, pointer, limit, least=0)
    for index, block in enumerate(blocks):
        _block(problems, block, f"{pointer}/{index}", _IN_VIEWS if view else _IN_MESSAGES)
    _unique(problems, blocks, pointer)
    if problems.messages:
        raise SlackError("invalid_arguments" if view else "invalid_blocks", problems.messages)
    if not view and sum(map(len, texts(blocks))) > LONGEST_TOTAL:
        raise SlackError("msg_blocks_too_long")
    return [_completed(block, index) for index, block in enumerate(blocks)]


def texts(value: Any) -> Iterator[str]:
    """Every ``text`` string in a tree of blocks, in order."""
    if isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "text" and isinstance(item, str):
                yield item
            else:
                yield from texts(item)


def interactive(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Each block with each of its elements that carries an ``action_id``."""
    for block in blocks:
        inner = [*block.get("elements", []), block.get("accessory"), block.get("element")]
        for item in inner:
            if isinstance(item, dict) and "action_id" in item:
                yield block, item


def _block(problems: Problems, block: Any, pointer: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(block, dict):
        problems.add("must be an object", pointer)
        return
    kind = block.get("type")
    if kind not in allowed:
        problems.add(f"unsupported type: {kind}", f"{pointer}/type")
        return
    if "block_id" in block:
        problems.text(block["block_id"], f"{pointer}/block_id", 255)
    _CHECKS.get(str(kind), _anything)(problems, block, pointer)


def _section(problems: Problems, block: Json, pointer: str) -> None:
    problems.keys(block, ("type", "block_id", "text", "fields", "accessory", "expand"), pointer)
    if "text" in block:
        text_object(problems, block["text"], f"{pointer}/text")
    elif "fields" not in block:
        problems.add("missing required field: text", pointer)
    if "fields" in block:
        for index, field in enumerate(problems.count(block["fields"], f"{pointer}/fields", 10)):
            text_object(problems, field, f"{pointer}/fields/{index}", 2000)
    if "accessory" in block:
        element(problems, block["accessory"], f"{pointer}/accessory", IN_SECTION)


def _divider(problems: Problems, block: Json, pointer: str) -> None:
    problems.keys(block, ("type", "block_id"), pointer)


def _header(problems: Problems, block: Json, pointer: str) -> None:
    problems.keys(block, ("type", "block_id", "text", "level"), pointer)
    text_object(problems, block.get("text"), f"{pointer}/text", 150, plain_only=True)


def _actions(problems: Problems, block: Json, pointer: str) -> None:
    problems.keys(block, ("type", "block_id", "elements"), pointer)
    for index, item in enumerate(problems.count(block.get("elements"), f"{pointer}/elements", 25)):
        element(problems, item, f"{pointer}/elements/{index}", IN_ACTIONS)


def _context(problems: Problems, block: Json, pointer: str) -> None:
    problems.keys(block, ("type", "block_id", "elements"), pointer)
    for index, item in enumerate(problems.count(block.get("elements"), f"{pointer}/elements", 10)):
        at = f"{pointer}/elements/{index}"
        if isinstance(item, dict) and item.get("type") == "image":
            element(problems, item, at, ("image",))
        else:
            text_object(problems, item, at)


def _image(problems: Problems, block: Json, pointer: str) -> None:
    problems.keys(block, ("type", "block_id", "image_url", "slack_file", "alt_text", "title"), pointer)
    element(problems, {k: v for k, v in block.items() if k not in ("block_id", "title")}, pointer, ("image",))
    if "title" in block:
        text_object(problems, block["title"], f"{pointer}/title", 2000, plain_only=True)


def _input(problems: Problems, block: Json, pointer: str) -> None:
    problems.keys(block, ("type", "block_id", "label", "element", "hint", "optional", "dispatch_action"), pointer)
    text_object(problems, block.get("label"), f"{pointer}/label", 2000, plain_only=True)
    element(problems, block.get("element"), f"{pointer}/element", IN_INPUT)
    if "hint" in block:
        text_object(problems, block["hint"], f"{pointer}/hint", 2000, plain_only=True)


def _markdown(problems: Problems, block: Json, pointer: str) -> None:
    problems.text(block.get("text"), f"{pointer}/text", 12_000)


def _rich_text(problems: Problems, block: Json, pointer: str) -> None:
    problems.keys(block, ("type", "block_id", "elements"), pointer)
    for index, item in enumerate(problems.count(block.get("elements"), f"{pointer}/elements", 1000, least=0)):
        _rich_container(problems, item, f"{pointer}/elements/{index}")


def _rich_container(problems: Problems, item: Any, pointer: str) -> None:
    if not isinstance(item, dict) or item.get("type") not in _RICH_CONTAINERS:
        problems.add(f"unsupported type: {item.get('type') if isinstance(item, dict) else item}", f"{pointer}/type")
        return
    for index, part in enumerate(problems.count(item.get("elements"), f"{pointer}/elements", 1000, least=0)):
        at = f"{pointer}/elements/{index}"
        if item["type"] == "rich_text_list":
            _rich_container(problems, part, at)
        elif not isinstance(part, dict) or part.get("type") not in _RICH_PARTS:
            problems.add(f"unsupported type: {part.get('type') if isinstance(part, dict) else part}", f"{at}/type")
        elif part["type"] == "text":
            problems.text(part.get("text"), f"{at}/text", 12_000)
    if item["type"] == "rich_text_list" and item.get("style") not in ("bullet", "ordered"):
        problems.add("must be a valid enum value", f"{pointer}/style")


def _anything(problems: Problems, block: Json, pointer: str) -> None:
    """Kinds that Pagerunner does not use and the page shows by their name."""


def _unique(problems: Problems, blocks: list[Any], pointer: str) -> None:
    seen: set[str] = set()
    for index, block in enumerate(item for item in blocks if isinstance(item, dict)):
        block_id = block.get("block_id")
        if isinstance(block_id, str) and block_id in seen:
            problems.add(f"block_id {block_id} already exists", f"{pointer}/{index}/block_id")
        seen.add(str(block_id))
        inner = block.get("elements")
        ids = [item.get("action_id") for item in inner if isinstance(item, dict)] if isinstance(inner, list) else []
        named = [item for item in ids if item]
        for twice in sorted({str(item) for item in named if named.count(item) > 1}):
            problems.add(f"`action_id` {twice} already exists for this block", f"{pointer}/{index}/elements")


def _completed(block: Json, index: int) -> Json:
    """A copy with the ids that Slack makes up where the app gave none; the same content gets the same ids."""
    digest = hashlib.sha256(json.dumps([index, block], sort_keys=True).encode()).hexdigest()
    done = {**block, "block_id": block.get("block_id") or digest[:7]}
    if block.get("type") in ("actions", "context"):
        done["elements"] = [_named(item, f"{digest[7:12]}{i}") for i, item in enumerate(block["elements"])]
    for name in ("accessory", "element"):
        if name in block:
            done[name] = _named(block[name], digest[12:18])
    return done


def _named(item: Json, name: str) -> Json:
    if item.get("type") in ("image", "plain_text", "mrkdwn"):
        return dict(item)
    return {**item, "action_id": item.get("action_id") or name}


_CHECKS: dict[str, Callable[[Problems, Json, str], None]] = {
    "section": _section,
    "divider": _divider,
    "header": _header,
    "actions": _actions,
    "context": _context,
    "image": _image,
    "input": _input,
    "markdown": _markdown,
    "rich_text": _rich_text,
}
