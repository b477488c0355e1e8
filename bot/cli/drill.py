"""``pagerunner drill``: practise an incident. The list tells what people see, never why."""

import secrets
from pathlib import Path

import click

from bot.cli.local import fail, show
from bot.domain.drills import SEEN

SURPRISE = "surprise"


@click.group(name="drill")
def command() -> None:
    """List and run drills: real incidents of a simulated application, with nothing real at stake."""


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_(as_json: bool) -> None:
    """List the drills by what people see. `pagerunner drill run surprise` does not even tell which one it is."""
    if as_json:
        show([{"name": name, "seen": seen} for name, seen in SEEN.items()])
        return
    for name, seen in SEEN.items():
        click.echo(f"{name:20} {seen}")
    click.echo(f"{SURPRISE:20} any of them, and you find out which")


@command.command()
@click.argument("name")
@click.option("--seed", default=1, show_default=True, help="Another seed is another incident of the same kind.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
@click.pass_context
def run(context: click.Context, name: str, seed: int, out: Path) -> None:
    """Run the drill NAME, as `pagerunner demo --scenario NAME` does: decide here, or in the browser."""
    from bot.cli import demo  # noqa: PLC0415

    if name == SURPRISE:
        name = secrets.choice(list(demo.SCENARIOS))
    if name not in demo.SCENARIOS:
        fail(f"There is no drill {name!r}; `pagerunner drill list` shows what there is.", 2)
    context.invoke(demo.command, scenario=name, seed=seed, scripted_person=False, out=out)
