"""Questions that show whether answers rest on the documents: a file that a person writes (JSON Lines or YAML).

``{"id": "refund-eu", "question": "...", "expect": "cite", "documents": ["kb-17"]}``: the answer stands in the corpus,
and must name one of these documents. ``{"id": "no-parking", "question": "...", "expect": "refuse"}``: nothing in the
corpus answers it, and the application must say so.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from diagnostics.item_file import ItemFileError, Strict, items_of, read_text

LEAST: Final = {"cite": 5, "refuse": 10}
"""Below this nothing can be told from chance."""

_Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}$")]


class GroundingQuestion(Strict):
    """One question, and what a grounded application does with it."""

    id: _Id
    question: str = Field(min_length=1, max_length=2_000)
    expect: Literal["cite", "refuse"]
    documents: tuple[_Id, ...] = Field(default=(), max_length=20)
    """Any of them will do."""

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> "GroundingQuestion":
        if self.expect == "cite" and not self.documents:
            raise ValueError("a question that expects a citation names the documents that will do")
        if self.expect == "refuse" and self.documents:
            raise ValueError("a question that must be refused has no documents")
        return self


def load(path: Path) -> tuple[GroundingQuestion, ...]:
    """Read the file. Raises :class:`ItemFileError`: everything that is wrong, with file and line."""

    def make(raw: Any) -> GroundingQuestion:
        return GroundingQuestion.model_validate(raw)

    found = items_of(read_text(path), str(path), make)
    problems = [
        f"{path}:1: {have} questions that expect {what!r}; at least {least} are needed"
        for what, least in LEAST.items()
        if (have := sum(one.expect == what for one in found)) < least
    ]
    if problems:
        raise ItemFileError(problems)
    return found
