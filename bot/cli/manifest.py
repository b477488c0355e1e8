"""What the Slack app's manifest says: the one that ``pagerunner init`` writes."""

from typing import Any

from bot.cli.init import EXAMPLE
from config import strict_yaml


def manifest_scopes() -> tuple[str, ...]:
    """Its scopes: what the app needs."""
    value: Any = strict_yaml.load((EXAMPLE / "slack-manifest.yaml").read_text("utf-8")).value
    return tuple(value["oauth_config"]["scopes"]["bot"])
