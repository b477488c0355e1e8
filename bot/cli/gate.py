"""``pagerunner gate``: whether a candidate answers worse than what runs now, before it is deployed."""

import asyncio
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail, show

if TYPE_CHECKING:
    from bot.cli.gate_report import Told
    from bot.cli.gate_setup import Spec
    from config.catalogue import Catalogue, Service
    from diagnostics.golden import GoldenItem, GoldenSet
    from diagnostics.model import ProbeContext, TextEmbedder
    from diagnostics.regression import Regression

CODES = {"no_worse": 0, "worse": 1, "undecided": 4, "no_answers": 5}
LEAST_ITEMS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """What was typed."""

    baseline: str
    candidate: str
    service: str
    golden: Path | None
    tags: tuple[str, ...]
    n: int
    smallest: float | None
    alpha: float
    max_tokens: int
    max_usd: float | None
    bisect: bool


@click.command(
    name="gate",
    epilog="""Exit codes: 0 the candidate is no worse; 1 it is worse; 2 wrong usage or input,
nothing was asked; 4 cannot tell (too few items, or the budget was used up); 5 too many calls failed.""",
)
@click.option("--baseline", default="production", show_default=True, metavar="SETUP", help="What to compare with.")
@click.option("--candidate", required=True, metavar="SETUP", help="What is to be deployed.")
@click.option("--service", default="", metavar="NAME", help="Service of the catalogue; needed where it has several.")
@click.option("--set", "golden", type=click.Path(path_type=Path), help="Golden set; default: the service's own.")
@click.option("--tag", "tags", multiple=True, help="Only items with this tag; may be given several times.")
@click.option(
    "--items", "n", default=500, show_default=True, type=click.IntRange(LEAST_ITEMS, 2000), help="Items to ask at most."
)
@click.option(
    "--smallest-drop",
    "smallest",
    metavar="SHARE",
    type=click.FloatRange(0.01, 0.5),
    help="The smallest drop of the pass rate that matters; default: what so many items show with 80 %, at most 0.2.",
)
@click.option(
    "--alpha",
    default=0.01,
    show_default=True,
    type=click.FloatRange(0.0001, 0.2),
    help="Chance of failing a candidate that is no worse.",
)
@click.option(
    "--max-tokens",
    default=200_000,
    show_default=True,
    type=click.IntRange(1),
    help="Tokens to spend at most, judge and bisection included.",
)
@click.option("--max-usd", type=click.FloatRange(0, min_open=True), help="Money to spend at most, at declared prices.")
@click.option("--no-bisect", is_flag=True, help="Do not look for the dimension that moved.")
@click.option("--allow-undecided", is_flag=True, help="Exit with 0 also where it cannot be told.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML here.")
@click.option("--json-file", type=click.Path(path_type=Path), help="Write JSON here.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Append Markdown here, such as $GITHUB_STEP_SUMMARY.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the readable report.")
@CONFIG
def command(
    config: Path | None, as_json: bool, allow_undecided: bool, junit: Path | None, json_file: Path | None,
    markdown: Path | None, no_bisect: bool, **typed: Any,
) -> None:  # fmt: skip
    """Ask the golden set of a baseline and of a candidate, and fail if the candidate answers worse.

    SETUP is `production` (what runs now), `last-good` (what ran before the newest change of the last three days),
    KEY=VALUE pairs such as `prompt=14,params.temperature=0.2`, or a YAML or JSON file with these keys: base, prompt (a
    version), prompt_file, provider, model, params, index, tools_file, route. What is left out is production's.

    Both are asked the same questions at the same time. The answer is one of: worse, no worse (a drop that matters is
    excluded), or cannot tell. If several dimensions differ and it is worse, each is tried alone to name the one that
    moved. Needs no server, Slack or PagerDuty: only the catalogue, and the targets that it names.
    """
    ask = Ask(bisect=not no_bisect, **typed)
    _writable([path for path in (junit, json_file, markdown) if path])
    where = Installed(config, needs_catalogue=True)
    told = _compared(where, ask)
    code = CODES[told.found.word]
    code = 0 if code == CODES["undecided"] and allow_undecided else code
    redact = _redactor(where)
    if as_json:
        from bot.cli.gate_files import document  # noqa: PLC0415

        show(_clean(document(told), redact))
    else:
        from bot.cli.gate_report import text  # noqa: PLC0415

        click.echo(redact(text(told)))
    _write(told, code, junit=junit, json_file=json_file, markdown=markdown, redact=redact)
    raise SystemExit(code)


def _compared(where: Installed, ask: Ask) -> "Told":
    """Read everything that was named, and only then ask anything."""
    from bot.cli.gate_report import Told  # noqa: PLC0415 - help must not wait for it
    from bot.cli.gate_setup import SpecError, read_spec  # noqa: PLC0415
    from config.http import HttpError  # noqa: PLC0415
    from diagnostics.item_file import ItemFileError  # noqa: PLC0415
    from diagnostics.setups import SetupError  # noqa: PLC0415
    from knowledge.model import KnowledgeError  # noqa: PLC0415

    assert where.catalogue is not None
    service = _service(where.catalogue, ask.service)
    try:
        golden = _golden(where, service, ask)
        items = _items(golden, ask)
        specs = (read_spec("--baseline", ask.baseline), read_spec("--candidate", ask.candidate))
        found = asyncio.run(_ask(where, service, ask, golden, items, specs))
    except (ItemFileError, SpecError, SetupError) as error:
        fail(str(error), WRONG)
    except HttpError as error:
        fail(f"{error}; nothing can be asked until this is put right in the catalogue or the environment", WRONG)
    except KnowledgeError as error:
        fail(f"the embedding model that 'similar' checks need cannot be used: {error}", WRONG)
    return Told(service=service.name, golden_set=golden.path, of=len(items), found=found)


def _service(catalogue: "Catalogue", wanted: str) -> "Service":
    names = ", ".join(service.name for service in catalogue.services)
    if not wanted and len(catalogue.services) == 1:
        return catalogue.services[0]
    service = catalogue.service(wanted) if wanted else None
    if service is None:
        fail(f"--service: {'name one' if not wanted else f'no service {wanted!r} in the catalogue'}; there are {names}",
             WRONG)  # fmt: skip
    return service


def _golden(where: Installed, service: "Service", ask: Ask) -> "GoldenSet":
    from diagnostics.golden import load  # noqa: PLC0415

    if ask.golden is not None:
        return load(ask.golden)
    if not service.golden_set:
        fail(f"service {service.name} has no golden set: give one with --set, or declare 'golden_set' in the catalogue",
             WRONG)  # fmt: skip
    return load(where.settings.catalogue.parent / service.golden_set)


def _items(golden: "GoldenSet", ask: Ask) -> "tuple[GoldenItem, ...]":
    from diagnostics.replay import chosen  # noqa: PLC0415

    wanted = set(ask.tags)
    fitting = [item for item in golden.items if not wanted or wanted & set(item.tags)]
    if len(fitting) < LEAST_ITEMS:
        known = sorted({tag for item in golden.items for tag in item.tags})
        tagged = f" with tag {', '.join(ask.tags)}" if ask.tags else ""
        there = f"; the tags are {', '.join(known)}" if ask.tags and known else ""
        fail(f"{golden.path}: {len(fitting)} items{tagged}; a comparison needs {LEAST_ITEMS}{there}", WRONG)
    return chosen(golden.model_copy(update={"items": tuple(fitting)}), ask.n)


async def _ask(
    where: Installed, service: "Service", ask: Ask, golden: "GoldenSet", items: "Sequence[GoldenItem]",
    specs: "tuple[Spec, Spec]",
) -> "Regression":  # fmt: skip
    from bot.cli.gate_setup import Setups  # noqa: PLC0415
    from bot.cli.triage import credentials  # noqa: PLC0415
    from bot.edges.http import ReadingHttp, SafeHttp  # noqa: PLC0415
    from diagnostics import paired  # noqa: PLC0415
    from diagnostics.marking import marker_for  # noqa: PLC0415
    from diagnostics.purse import Purse  # noqa: PLC0415
    from diagnostics.regression import Plan, compare  # noqa: PLC0415
    from diagnostics.setups import Asker  # noqa: PLC0415

    assert where.catalogue is not None
    embedder = _embedder(where) if "similar" in golden.needs else None
    async with SafeHttp(where.catalogue, credentials(where.catalogue)) as http:
        context = _context(where, service, ReadingHttp(http), embedder)
        setups = Setups(context)
        baseline, candidate = [await setups.of(spec) for spec in specs]
        asker = Asker.of(context, [baseline, candidate])
        _priced(ask, {asker.side("", setup).price for setup in (baseline, candidate)})
        purse = Purse(tokens=ask.max_tokens, usd=ask.max_usd)
        marker = await marker_for(golden, context, purse)
        smallest = ask.smallest or paired.guarded(len(items), alpha=ask.alpha)
        rule = paired.Rule(planned=len(items), alpha=ask.alpha, smallest=smallest)
        plan = Plan(baseline=baseline, candidate=candidate, items=tuple(items), rule=rule, bisect=ask.bisect)
        return await compare(plan, asker, marker, purse)


def _context(where: Installed, service: "Service", http: Any, embedder: "TextEmbedder | None") -> "ProbeContext":
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.edges.history import FrozenBaselines, FrozenChanges  # noqa: PLC0415
    from diagnostics.model import ProbeContext  # noqa: PLC0415

    assert where.catalogue is not None
    return ProbeContext(
        service=service, catalogue=where.catalogue, http=http, clock=SystemClock(),
        baselines=FrozenBaselines({}, {}), changes=FrozenChanges(()), started_at=datetime.now(UTC),
        golden_root=str(where.settings.catalogue.parent), embedder=embedder,
    )  # fmt: skip


def _embedder(where: Installed) -> "TextEmbedder":
    from knowledge.embedder import SentenceTransformerEmbedder  # noqa: PLC0415 - takes seconds

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return SentenceTransformerEmbedder(where.settings.embedder)


def _priced(ask: Ask, providers: "set[Any]") -> None:
    """Money can be limited only where prices are known."""
    unknown = sorted(p.name for p in providers if not (p.usd_per_1k_input or p.usd_per_1k_output))
    if ask.max_usd is not None and unknown:
        fail(f"--max-usd: provider {', '.join(unknown)} declares no price; set usd_per_1k_input and usd_per_1k_output "
             "in the catalogue, or limit tokens with --max-tokens", WRONG)  # fmt: skip


# --- Reports -----------------------------------------------------------------------------------------------------


def _writable(paths: Sequence[Path]) -> None:
    """Find out before anything is spent."""
    for path in paths:
        if not path.parent.is_dir():
            fail(f"{path}: its folder does not exist; make it first", WRONG)
        if path.is_dir():
            fail(f"{path}: is a folder; name a file", WRONG)


def _write(
    told: "Told", code: int, *, junit: Path | None, json_file: Path | None, markdown: Path | None,
    redact: Callable[[str], str],
) -> None:  # fmt: skip
    import json  # noqa: PLC0415

    from bot.cli import gate_files, gate_report  # noqa: PLC0415

    try:
        if junit:
            junit.write_text(gate_files.junit(told, failed=code != 0, redact=redact), "utf-8")
        if json_file:
            whole = _clean(gate_files.document(told), redact)
            json_file.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", "utf-8")
        if markdown:
            with markdown.open("a", encoding="utf-8") as file:
                file.write(redact(gate_report.markdown(told)))
    except OSError as error:
        fail(f"{error.filename}: cannot be written: {error.strerror or error}")


def _clean(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _clean(item, redact) for key, item in value.items()}
    return [_clean(item, redact) for item in value] if isinstance(value, list | tuple) else value


def _redactor(where: Installed) -> Callable[[str], str]:
    """Secrets out of what is shown."""
    from bot.cli.triage import credentials  # noqa: PLC0415
    from bot.edges.redact import Redactor  # noqa: PLC0415

    values = {f"configured-{number}": value for number, value in enumerate(where.settings.secrets())}
    return Redactor({**values, **credentials(where.catalogue)}, secrets.token_bytes(32))
