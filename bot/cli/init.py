"""``pagerunner init``: a commented configuration to start from. Never overwrites, and nobody may act with it yet."""

import os
from pathlib import Path

import click

from bot.cli.local import fail

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "config" / "example"
PRIVATE = frozenset({"pagerunner.yaml"})
"""Files that secrets may be written into: readable by their owner alone."""
FILES = ("pagerunner.yaml", "catalogue.yaml", "http-actions.yaml", "slack-manifest.yaml",
         "golden/chat.jsonl", "golden/support.jsonl", "golden/agent.jsonl")  # fmt: skip
NEXT = """
Next:
  1. Describe your services, teams and targets in {folder}/catalogue.yaml. Every service starts in mode observe: probes
     and proposals, and nothing that can be executed. Switch it to act once you trust what you see.
  2. Create the Slack app from {folder}/slack-manifest.yaml and the PagerDuty webhook: docs/slack-and-pagerduty.md
  3. export PAGERUNNER_CONFIG={folder}/pagerunner.yaml
  4. pagerunner doctor
  5. pagerunner serve"""


@click.command(name="init")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=Path())
def command(directory: Path) -> None:
    """Write a commented configuration, a Slack app manifest and an example of declared actions into DIRECTORY.

    What is there already is left as it is, and said.
    """
    try:
        written = [name for name in FILES if _write(directory / name, content(name), private=name in PRIVATE)]
    except OSError as error:
        fail(f"{error.filename or directory}: cannot be written: {error.strerror or error}")
    for name in FILES:
        note = "  (only you can read it)" if name in PRIVATE else ""
        click.echo(f"{'wrote' if name in written else 'kept '}  {directory / name}{note}"
                   f"{'' if name in written else '  (it was there already)'}")  # fmt: skip
    click.echo(NEXT.format(folder=directory))


def content(name: str) -> str:
    """What is written: the example, but no service of it may act."""
    text = (EXAMPLE / name).read_text("utf-8")
    return text.replace("mode: act\n", "mode: observe\n") if name == "catalogue.yaml" else text


def _write(path: Path, text: str, *, private: bool) -> bool:
    """Write a new file, never through a link. False if something is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600 if private else 0o644)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True
