"""``pagerunner runbooks``: write runbooks, check them before 03:00 does, and see which one a page would find."""

import importlib

import click

_COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("bot.cli.runbook_list", "List the libraries, their revisions, and what takes the place of what."),
    "sync": ("bot.cli.runbook_list:sync", "Look at the Git repositories of libraries now."),
    "new": ("bot.cli.runbook_new", "Write a new runbook, or put front matter on a page that exists."),
    "lint": ("bot.cli.runbook_lint", "Check runbooks, and say what they could earn next."),
    "search": ("bot.cli.runbook_search", "Show which runbooks a page would find, and why."),
    "test": ("bot.cli.runbook_test", "Try every page phrase, step, recording and drill of runbooks."),
    "record": ("bot.cli.runbook_record", "Keep what the probes showed in an incident as a test."),
    "diff": ("bot.cli.runbook_diff", "Show which pages would find another runbook than at a Git revision."),
    "coverage": ("bot.cli.runbook_coverage", "Show what the last incidents found, and what rots."),
    "render": ("bot.cli.runbook_render", "Show a runbook as people on call see it."),
    "schema": ("bot.cli.runbook_schema", "Print the JSON Schema of the format, for editors."),
}


class Lazy(click.Group):
    """Knows its commands by name; imports one only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name or "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(name="runbooks", cls=Lazy)
def command() -> None:
    """Write, check, test and search runbooks."""
