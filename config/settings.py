"""Settings: read once from the environment (``PAGERUNNER_*``) and one YAML file, checked whole, frozen.

The environment wins over the file. Only wiring and the CLI import this module; everything else is handed values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from config import strict_yaml
from config.catalogue import Catalogue
from config.library import FOLDER, REPOSITORY, CompanyLibrary, GitSource

PREFIX = "PAGERUNNER_"
SECRETS = (
    "slack_bot_token", "slack_app_token", "slack_signing_secret", "slack_client_secret", "pagerduty_api_key",
    "changes_token", "github_token",
)  # fmt: skip
SECRET_LISTS = ("pagerduty_secrets", "slack_token_keys")


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without any setting of Pagerunner: a rehearsal must not reach what the real one is set up for."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX)}


class ConfigError(Exception):
    """What is wrong with the configuration: every problem with its key, its place and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(BaseModel):
    """Everything an operator can set. Every key is also ``PAGERUNNER_<KEY>`` in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Path(".pagerunner")
    """Folder for the database, the search index and exports; created with mode 0700."""
    catalogue: Path = Path("catalogue.yaml")
    http_actions: Path | None = None
    """YAML file with declared HTTP actions."""
    runbooks: tuple[CompanyLibrary, ...] = ()
    """The company's runbook libraries beside the built-in one and the teams' own: folders and Git repositories."""
    runbooks_every_s: int = Field(default=60, ge=10, le=86_400)
    """How often branches and tags of runbook libraries are looked up."""
    exports: Path | None = None
    """Folder for postmortems; empty: ``exports`` below ``data``."""
    templates: Path | None = None
    """Folder of the company's own postmortem templates; empty: there is only the built-in form."""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    trust_network: bool = False
    """Allow another address than loopback: webhooks are signed and the API needs its token, but TLS is yours to add."""

    slack: Literal["off", "socket", "http"] = "off"
    slack_api: str = "https://slack.com/api/"
    slack_team: str = ""
    slack_app: str = ""
    slack_bot_token: SecretStr = SecretStr("")
    slack_app_token: SecretStr = SecretStr("")
    slack_signing_secret: SecretStr = SecretStr("")
    slack_client_id: str = ""
    """With the client secret: the app is installed into several workspaces through OAuth, in HTTP mode."""
    slack_client_secret: SecretStr = SecretStr("")
    slack_token_keys: tuple[SecretStr, ...] = ()
    """Keys that seal the bot tokens of those workspaces in the database; the first seals, the others still open.
    Empty: a key that is made in ``data``."""
    public_url: str = Field(default="", pattern=r"^(https://[^\s/?#]+)?$")
    """Where we are reached from outside, such as ``https://oncall.example.com``; for OAuth."""
    channel_message_every_s: float = Field(default=60, ge=0, le=600)
    """A channel gets at most one new message in this time; replies in threads and edits do not count."""
    timeline_reaction: str = Field(default="pushpin", pattern=r"^[a-z0-9_+'-]{0,100}$")
    """Name of the Slack reaction that puts a message on the timeline, without colons; empty: none does."""

    pagerduty_api: str = "https://api.pagerduty.com"
    pagerduty_api_key: SecretStr = SecretStr("")
    pagerduty_from: str = ""
    """E-mail address that PagerDuty shows as the author of changes."""
    pagerduty_secrets: tuple[SecretStr, ...] = ()
    """Signing secrets of the webhook subscription; several while one is being replaced."""
    changes_token: SecretStr = SecretStr("")
    """Bearer token for ``POST /changes``; empty: the API token."""

    github_api: str = Field(default="https://api.github.com", pattern=r"^https?://")
    """Of GitHub Enterprise: ``https://HOST/api/v3``."""
    github_token: SecretStr = SecretStr("")
    """Token that may write issues in the teams' repositories; empty: follow-ups stay on the timeline."""
    followups_redaction: Literal["internal", "company"] = "company"
    """How much an issue may tell; see ``--redaction`` of ``pagerunner export``."""
    drafts: tuple[Literal["md", "html", "json", "csv", "pdf", "docx"], ...] = Field(
        default=("md", "html", "json", "csv", "pdf", "docx"), min_length=1
    )
    """Forms in which a postmortem is drafted when an incident closes, and again when something about it changes. The
    first goes into the card's thread."""

    embedder: Path | None = None
    """Folder of another sentence-transformers model; empty: the packaged all-MiniLM-L6-v2."""
    canary_tokens_per_hour: int = Field(default=20_000, ge=0)
    """Budget of the recorded baselines for each service; 0: none are recorded."""
    baseline_every_s: int = Field(default=300, ge=30)
    canary_tokens_per_incident: int = Field(default=60_000, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("pagerduty_secrets", "slack_token_keys", "drafts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _complete(self) -> "Settings":
        problems = []
        if self.slack != "off" and not self.oauth and not self.slack_bot_token.get_secret_value():
            problems.append("slack_bot_token: needed for Slack; copy it from the app's OAuth page (xoxb-...)")
        if self.slack == "socket" and not self.slack_app_token.get_secret_value():
            problems.append("slack_app_token: needed for Socket Mode; make one with connections:write (xapp-...)")
        problems += self._oauth_problems()
        if self.slack == "http" and not self.slack_signing_secret.get_secret_value():
            problems.append("slack_signing_secret: needed for HTTP mode; copy it from the app's Basic Information page")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def oauth(self) -> bool:
        """Whether workspaces install the app through OAuth, instead of one token being set here."""
        return bool(self.slack_client_id or self.slack_client_secret.get_secret_value())

    def _oauth_problems(self) -> list[str]:
        if not self.oauth or self.slack == "off":
            return []
        where = "the app's page Basic Information"
        problems = []
        if self.slack != "http":
            problems.append("slack: OAuth needs http; set it, or remove slack_client_id and slack_client_secret")
        if not self.slack_client_id:
            problems.append(f"slack_client_id: needed with slack_client_secret; copy it from {where}")
        if not self.slack_client_secret.get_secret_value():
            problems.append(f"slack_client_secret: needed with slack_client_id; copy it from {where}")
        if self.slack_bot_token.get_secret_value():
            problems.append("slack_bot_token: remove it, every workspace gets its own through OAuth; "
                            "or remove slack_client_id and slack_client_secret")  # fmt: skip
        if not self.slack_app:
            problems.append(f"slack_app: needed for OAuth, so that no other app's requests are taken; copy the App ID "
                            f"from {where}")  # fmt: skip
        if re.fullmatch(r"T[A-Z0-9]{2,20}", self.slack_team) is None:
            problems.append("slack_team: needed for OAuth: the id (T...) of the workspace of fallback_channel and of "
                            "the teams that name none")  # fmt: skip
        if not self.public_url:
            problems.append("public_url: needed for OAuth: our address as Slack and browsers reach it, https://...")
        return problems

    @property
    def export_folder(self) -> Path:
        return self.exports or self.data / "exports"

    def secrets(self) -> tuple[str, ...]:
        """Every configured secret, for redaction."""
        single = [getattr(self, name).get_secret_value() for name in SECRETS]
        several = [s.get_secret_value() for s in (*self.pagerduty_secrets, *self.slack_token_keys)]
        return tuple(s for s in (*single, *several) if s)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where each setting came from, for error messages."""

    file: str
    document: strict_yaml.Document
    variables: Mapping[str, str]

    def of(self, key: str, place: strict_yaml.Path = ()) -> str:
        """Of ``key``, or more exactly of ``place`` in it."""
        if key in self.variables:
            return f"environment variable {self.variables[key]}"
        if (key,) in self.document.positions:
            line, column = self.document.position(place or (key,))
            return f"{self.file}:{line}:{column}"
        return self.file or "settings"


def load(environ: Mapping[str, str], path: Path | None = None) -> Settings:
    """Read the settings. ``path`` defaults to ``PAGERUNNER_CONFIG``; relative paths inside are relative to that file.
    Raises :class:`ConfigError` with every problem at once."""
    path = path or (Path(environ["PAGERUNNER_CONFIG"]) if environ.get("PAGERUNNER_CONFIG") else None)
    document = _read(path) if path else strict_yaml.Document({})
    if document.value is not None and not isinstance(document.value, dict):
        raise ConfigError([f"{path}:1:1: settings are written as key: value; `pagerunner init` writes an example"])
    values: dict[str, Any] = dict(document.value or {})
    folder = path.parent if path else Path()
    for key in ("data", "catalogue", "http_actions", "exports", "templates", "embedder"):
        if isinstance(values.get(key), str):
            values[key] = folder / values[key]
    if isinstance(values.get("runbooks"), list):
        values["runbooks"] = [folder / part if isinstance(part, str) else part for part in values["runbooks"]]
    variables = {name[len(PREFIX) :].lower(): name for name in environ if name.startswith(PREFIX)}
    variables = {key: name for key, name in variables.items() if key in Settings.model_fields}
    for key, name in variables.items():
        values[key] = [p for p in environ[name].split(":") if p] if key == "runbooks" else environ[name]
    values = {key: value for key, value in values.items() if value is not None}
    try:
        read = Settings.model_validate(values)
    except ValidationError as error:
        origin = Origin(str(path or ""), document, variables)
        raise ConfigError([told for e in error.errors() for told in _explain(e, origin)]) from None
    books = tuple(one.beside(folder) if isinstance(one, GitSource) else one for one in read.runbooks)
    return read.model_copy(update={"runbooks": books})


def load_catalogue(path: Path) -> Catalogue:
    """Read and check the catalogue. Raises :class:`ConfigError` with file, line and column of every problem."""
    document = _read(path)
    try:
        return Catalogue.model_validate({} if document.value is None else document.value)
    except ValidationError as error:
        problems = []
        for item in error.errors():
            location = _place(item)
            for message in _message(item).split("\n"):
                line, column = document.position(location or _named(document, message))
                what = f"{'.'.join(map(str, location))}: " if location else ""
                problems.append(f"{path}:{line}:{column}: {what}{message}")
        raise ConfigError(problems) from None


def _named(document: strict_yaml.Document, message: str) -> strict_yaml.Path:
    """Where the thing stands that a message such as ``services.chat.team: ...`` begins with: names become positions."""
    found: list[str | int] = []
    value, rest = document.value, message.split(": ", maxsplit=1)[0] + "."
    while rest:
        known = {str(n): n for n in range(len(value))} if isinstance(value, list) else {}
        items = enumerate(value) if isinstance(value, list) else ()
        known |= {str(item["name"]): n for n, item in items if isinstance(item, dict) and "name" in item}
        keys: dict[str, str | int] = {**known, **({key: key for key in value} if isinstance(value, dict) else {})}
        part = next((key for key in sorted(keys, key=len, reverse=True) if rest.startswith(f"{key}.")), None)
        if part is None:
            break
        found.append(keys[part])
        value = value[keys[part]]  # type: ignore[index]
        rest = rest[len(part) + 1 :]
    return tuple(found)


def _read(path: Path) -> strict_yaml.Document:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such file; `pagerunner init` writes one to start from"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from error
    try:
        return strict_yaml.load(text)
    except strict_yaml.YamlError as error:
        raise ConfigError([f"{path}:{error}"]) from error


def _explain(item: Any, origin: Origin) -> list[str]:
    key = str(item["loc"][0]) if item["loc"] else ""
    if not key:
        return [f"{origin.of(part.split(':')[0])}: {part}" for part in _message(item).split("\n")]
    place = _place(item)
    return [f"{origin.of(key, place)}: {'.'.join(map(str, place))}: {_message(item)}"]


def _place(item: Any) -> tuple[str | int, ...]:
    """Where a mistake stands, without what pydantic adds about how it looked at it."""
    return tuple(part for part in item["loc"] if part not in ("function-after", FOLDER, REPOSITORY))


def _message(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        return "unknown key; remove it or correct its spelling"
    shown = (
        "" if item["type"] == "value_error" or isinstance(item.get("input"), dict) else f" (got {item.get('input')!r})"
    )
    key = str(item["loc"][0]) if item["loc"] else ""
    return message + ("" if key in SECRETS or "secret" in key or "token" in key else shown)
