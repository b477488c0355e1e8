"""An incident as a file in Slack: uploaded below its card, or as text where files are not allowed."""

import re
from typing import Literal, cast

from bot.domain.untrusted import escape
from bot.domain.view import IncidentView, MessageRef
from bot.edges.slack_client import Refused, ask
from bot.edges.slack_desk import SlackDeps, Tell

SNIPPET = 2_600
Form = Literal["md", "html", "json", "csv"]


async def export(deps: SlackDeps, view: IncidentView, form: str, channel: str, tell: Tell) -> None:
    """Upload the incident in this form into its card's thread, or into ``channel`` when it has no card."""
    content = deps.exporter.export(view, cast("Form", form))
    where = view.message or MessageRef(channel=channel, ts="")
    await deps.chat.must_be_ours(where.channel)
    name = f"{re.sub(r'[^A-Za-z0-9_-]', '_', view.incident.id)}.{form}"
    try:
        await ask(
            deps.client.files_upload_v2(
                channel=where.channel, filename=name, content=content, title=name,
                thread_ts=where.ts or None, request_file_info=False,
            )
        )  # fmt: skip
    except Refused as refused:
        await tell(
            f"{escape(str(refused))}. Here is its beginning; `pagerunner export {view.incident.id}` has it whole."
        )
        text = content.decode("utf-8", "replace")[:SNIPPET].replace("```", "ˋˋˋ")
        await tell(f"```{escape(text)}```")
        return
    await tell(f"{escape(name)} is in the {'thread of the card' if where.ts else 'channel'}.")
