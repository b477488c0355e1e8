"""``pagerunner drill``: practise an incident. The list tells what people see, never why."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.local import fail, show
from bot.cli.scenario_files import ask, definitions
from bot.domain.drills import SEEN

if TYPE_CHECKING:
    from bot.cli.demo import Place

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "config" / "example"
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


@dataclass(frozen=True, kw_only=True, slots=True)
class GameDay:
    """See :class:`bot.cli.demo.Game`."""

    scenario: str
    what: str | dict[str, Any]
    seed: int
    out: Path
    runbooks: Path | None
    longest_s: float

    def score(self, place: "Place", incident: Mapping[str, Any] | None, start: float, why: str) -> None:
        """Print the score, and write it."""
        from bot.cli import drill_score  # noqa: PLC0415 - help must not wait for it
        from bot.domain import codec  # noqa: PLC0415
        from bot.domain.view import IncidentView  # noqa: PLC0415
        from config.settings import load_catalogue  # noqa: PLC0415

        if incident is None:
            fail("No incident was opened, so there is nothing to score.")
        view = codec.load(IncidentView, incident["view"])
        catalogue = load_catalogue(EXAMPLE / "catalogue.yaml")
        told = drill_score.reported(view, drill_score.shelf_of(self.runbooks, catalogue), catalogue)
        yours = drill_score.scored(view, place.referee("POST", "/finish", told))
        scores = {
            "scenario": self.scenario, "seed": self.seed, "ended": why or "It ended with the postmortem.",
            "yours": yours, "rehearsal": drill_score.rehearsed(self.what, self.seed, start, self.runbooks),
        }  # fmt: skip
        drill_score.write(self.out, scores)
        click.echo("\n".join(drill_score.text(scores)))
        click.echo(f"\nWritten to {self.out / 'score.md'} and {self.out / 'score.json'}")


@command.command()
@click.argument("name")
@click.option("--seed", default=1, show_default=True, help="Another seed is another incident of the same kind.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
@click.option("--runbooks", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A folder of runbooks "
              "that are in use besides the built-in ones, merged or not.")  # fmt: skip
@click.option("--minutes", default=30, show_default=True, type=click.IntRange(1, 240), help="How long people have.")
@click.option("--scripted-person", is_flag=True, help="A scripted person clicks Approve in the workspace.")
def run(name: str, seed: int, out: Path, runbooks: Path | None, minutes: int, scripted_person: bool) -> None:
    """Run the drill NAME as a game day: decide here or in the browser; the score comes at the end.

    Ctrl-C ends it early. Beside the score stands what a rehearsal of the same incident came to, with an approver who
    agrees at once: it is what the runbooks in use would have done. NAME may be a scenario file, of which one drill is
    chosen, or FILE#ID for a certain one.
    """
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"  # before anything imports it
    from bot.cli import demo  # noqa: PLC0415

    if name == SURPRISE:
        name = secrets.choice(list(demo.SCENARIOS))
    what = _chosen(name, demo.SCENARIOS)
    out = out.resolve()
    game = GameDay(scenario=name, what=what, seed=seed, out=out, longest_s=60.0 * minutes,
                   runbooks=runbooks.resolve() if runbooks else None)  # fmt: skip
    demo.play(what, seed, out, scripted=scripted_person, game=game)


def _chosen(name: str, scenarios: Mapping[str, str]) -> str | dict[str, Any]:
    """The id of a built-in scenario, or the definition of one of a file."""
    file, _, wanted = name.partition("#")
    if Path(file).suffix in (".yaml", ".yml"):
        found = definitions(Path(file))
        if wanted and wanted not in found:
            fail(f"{file} has no drill {wanted!r}; it has {', '.join(found)}.", 2)
        definition: dict[str, Any] = found[wanted or secrets.choice(list(found))]
        return definition
    if name not in scenarios:
        fail(f"There is no drill {name!r}; `pagerunner drill list` shows what there is.", 2)
    return scenarios[name]


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check a scenario file and name every problem by file, line and field. docs/drills.md has the format."""
    click.echo(ask("check", str(file)), nl=False)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def injectors(as_json: bool) -> None:
    """List the faults that a scenario file may use, with parameters, units and bounds."""
    click.echo(ask("injectors", *["--json"] * as_json), nl=False)
