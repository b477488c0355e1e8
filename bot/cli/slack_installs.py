"""Several workspaces, put together from settings: where tokens are kept, and who may install the app."""

from dataclasses import replace

from bot.cli.manifest import manifest_scopes
from bot.edges.checks_channels import scopes, wanted
from bot.edges.database import Database
from bot.edges.installations import Installed, SqlInstallations
from bot.edges.sealing import Seal, key_of
from bot.edges.slack_app import refused
from bot.edges.slack_client import Us
from bot.edges.slack_oauth import INSTALL, Install, OAuthParts
from bot.edges.slack_side import Side, SideParts, build_side
from bot.edges.slack_workspaces import Workplaces, WorkspaceParts, Workspaces
from bot.edges.team_records import TeamRecords
from config.catalogue import Catalogue
from config.settings import Settings


def places(chosen: Settings, declared: Catalogue) -> Workplaces:
    """Which team is in which workspace."""
    return Workplaces(catalogue=declared, default=chosen.slack_team)


def store(chosen: Settings, database: Database) -> SqlInstallations:
    """Where tokens are kept, sealed with the keys of the settings, or with one of this installation's own."""
    keys = [key.get_secret_value() for key in chosen.slack_token_keys if key.get_secret_value()]
    return SqlInstallations(database, Seal(keys or [key_of(chosen.data / "slack-tokens.key")]))


def needed_scopes(declared: Catalogue) -> tuple[str, ...]:
    """What the app asks for: the manifest's, and what the catalogue's channels need."""
    more = {scope for _, policy, _ in wanted(declared) for scope in scopes(policy)}
    return tuple(dict.fromkeys((*manifest_scopes(), *sorted(more))))


async def several(chosen: Settings, database: Database, parts: SideParts) -> tuple[Workspaces, Install]:
    """All workspaces that installed the app, and how further ones do."""
    where, kept = places(chosen, parts.catalogue), store(chosen, database)
    holder: list[Workspaces] = []

    def build(one: Installed) -> Side:
        return build_side(one.token, _own(parts, where, one.team_id, holder[0]), Us(
            team_id=one.team_id, bot_user_id=one.bot_user_id, bot_id=one.bot_id,
        ))  # fmt: skip

    async def not_let_in(team: str, app: str) -> None:
        await refused(parts, team, app)

    workspaces = Workspaces(
        WorkspaceParts(places=where, store=kept, records=parts.records, clock=parts.clock, audit=parts.audit,
                       first_time=parts.first_time, build=build, install_url=f"{chosen.public_url}{INSTALL}")
    )  # fmt: skip
    holder.append(workspaces)
    await workspaces.load()
    install = Install(
        OAuthParts(
            client_id=chosen.slack_client_id, client_secret=chosen.slack_client_secret.get_secret_value(),
            app_id=chosen.slack_app, scopes=needed_scopes(parts.catalogue), public_url=chosen.public_url,
            api=chosen.slack_api, allowed=where.all, teams_of=where.teams_of, store=kept, clock=parts.clock,
            installed=workspaces.installed, refused=not_let_in,
        )
    )  # fmt: skip
    return workspaces, install


def _own(parts: SideParts, where: Workplaces, team_id: str, workspaces: Workspaces) -> SideParts:
    """What one workspace is built on: it sees its own teams, and what it says twice is told apart from others."""

    async def first_time(key: str) -> bool:
        return await parts.first_time(f"{team_id}:{key}")

    async def gone(why: str) -> None:
        await workspaces.gone(team_id, why)

    return replace(
        parts, catalogue=where.seen_by(team_id), records=TeamRecords(parts.records, where.teams_of(team_id)),
        first_time=first_time, gone=gone, whole=team_id == where.default,
    )  # fmt: skip
