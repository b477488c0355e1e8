"""The command line. Every command's module is imported when that command runs: help answers at once."""

import importlib

import click

_COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("bot.cli.demo", "Rehearse the whole way of an incident against a simulated LLM application."),
    "init": ("bot.cli.init", "Write a commented configuration and a Slack app manifest."),
    "doctor": ("bot.cli.doctor", "Check everything that a start needs, and say what to do about each failure."),
    "serve": ("bot.cli.serve", "Run Pagerunner."),
    "triage": ("bot.cli.triage", "Show what a page on file would find, probe and propose. Changes nothing."),
    "incidents": ("bot.cli.incidents", "List incidents, or show one."),
    "approve": ("bot.cli.approve", "Approve a proposal as shown."),
    "reject": ("bot.cli.reject", "Reject a proposal."),
    "review": ("bot.cli.review", "Review what somebody approved alone, by break-glass."),
    "link": ("bot.cli.link", "Let this command line act as you in Slack."),
    "unlink": ("bot.cli.unlink", "Take that back."),
    "ack": ("bot.cli.ack", "Acknowledge an incident."),
    "escalate": ("bot.cli.escalate", "Escalate an incident."),
    "resolve": ("bot.cli.resolve", "Resolve an incident."),
    "update": ("bot.cli.update", "Draft or send an update for an incident's stakeholders."),
    "freeze": ("bot.cli.freeze", "Stop all execution, for a service or for everything."),
    "unfreeze": ("bot.cli.unfreeze", "Allow execution again."),
    "export": ("bot.cli.export", "Write an incident's postmortem or timeline."),
    "timeline": ("bot.cli.timeline", "Look at a timeline, add to it, and edit how it is shown."),
    "followups": ("bot.cli.followups", "Note what is to follow an incident, and make GitHub issues of it."),
    "report": ("bot.cli.report", "Times to detect, acknowledge and mitigate over many incidents."),
    "replay": ("bot.cli.replay", "Recorded incidents once more, with today's runbooks: would we do better?"),
    "backtest": ("bot.cli.backtest", "What your own PagerDuty history would have found. Changes nothing."),
    "runbooks": ("bot.cli.runbooks", "Write, check, test and search runbooks."),
    "probes": ("bot.cli.tables", "Print the table of probes and actions."),
    "drill": ("bot.cli.drill", "List and run drills."),
    "eval": ("bot.cli.evaluate", "Measure retrieval and drills."),
    "gate": ("bot.cli.gate", "Compare a candidate's answers with the baseline's before it is deployed."),
    "history": ("bot.cli.history", "Import past incidents, recorded baselines and changes."),
    "audit": ("bot.cli.audit", "Verify the timeline's hash chain."),
}


class Lazy(click.Group):
    """A group that knows its commands by name and imports one only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pagerunner", message="pagerunner %(version)s")
def main() -> None:
    """The on-call assistant for LLM applications: from a page to a verified mitigation, with a person's approval.

    Exit codes: 0 done, 1 it could not be done, 2 wrong usage or configuration, 3 no server is running.
    """
