"""How a workspace is born: people, channels, user groups and the installed app, from a file."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from config import strict_yaml


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SeedError(Exception):
    """What is wrong with the seed file, and where."""


class Team(_Frozen):
    """The workspace itself."""

    id: str = "T0LOOP"
    name: str = "Loopback"
    domain: str = "loopback"


class Command(_Frozen):
    """A slash command the app has declared."""

    name: str
    description: str = ""
    hint: str = ""


class Shortcut(_Frozen):
    """An entry the app has added to every message's menu."""

    callback_id: str
    name: str


class App(_Frozen):
    """The one installed app."""

    id: str
    bot_id: str
    user: str
    name: str
    commands: tuple[Command, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()
    scopes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    messages_tab: bool = True
    """Whether people can be written to directly."""


class User(_Frozen):
    """A person, or the app's bot user. ``team_id`` differs for people of other workspaces."""

    id: str
    name: str
    real_name: str
    title: str = ""
    tz: str = "Etc/UTC"
    email: str = ""
    is_email_confirmed: bool = True
    team_id: str = ""
    is_admin: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    deleted: bool = False


class SeedChannel(_Frozen):
    """A channel and who is in it."""

    id: str
    name: str
    topic: str = ""
    purpose: str = ""
    members: tuple[str, ...] = ()
    is_private: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False
    is_pending_ext_shared: bool = False


class Usergroup(_Frozen):
    """A user group."""

    id: str
    handle: str
    name: str
    users: tuple[str, ...] = ()


class Seed(_Frozen):
    """Everything a workspace starts with."""

    team: Team = Team()
    app: App
    users: tuple[User, ...]
    channels: tuple[SeedChannel, ...]
    usergroups: tuple[Usergroup, ...] = ()


def load(path: Path | None = None) -> Seed:
    """Read a seed file, or the one that comes with the package. Raises :class:`SeedError` with file and key."""
    path = path or Path(__file__).with_name("seed.yaml")
    try:
        document = strict_yaml.load(path.read_text(encoding="utf-8"))
        seed = Seed.model_validate(document.value)
    except OSError as error:
        raise SeedError(f"{path}: cannot be read ({error.strerror}); give an existing file to --seed") from error
    except strict_yaml.YamlError as error:
        raise SeedError(f"{path}:{error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        line, column = document.position(tuple(first["loc"]))
        raise SeedError(f"{path}:{line}:{column}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    known = {user.id for user in seed.users}
    for channel in seed.channels:
        if unknown := sorted(set(channel.members) - known):
            raise SeedError(f"{path}: channel {channel.id} has unknown members {', '.join(unknown)}; add them to users")
    if seed.app.user not in known:
        raise SeedError(f"{path}: app.user {seed.app.user} is not among users; add it")
    return seed
