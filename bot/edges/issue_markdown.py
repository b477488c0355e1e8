"""An issue as GitHub's Markdown: nothing that people or pages said mentions anybody, or links anywhere."""

from bot.domain.document import Points
from bot.domain.followups import IssueDraft, IssueText
from bot.edges.export_markdown import lines


def written(draft: IssueDraft) -> IssueText:
    """The issue exactly as it would be created; the hidden mark stands in the last line."""
    parts = [*lines(Points(items=(draft.head,))), ""]
    parts[0] = parts[0].removeprefix("- ")
    parts += lines(Points(items=draft.points))
    parts += [f"- **{what}:** <{link}>" for what, link in draft.links]
    body = "\n".join([*parts, "", draft.marker])
    return IssueText(entry=draft.entry, title=draft.title, body=body, marker=draft.marker)
