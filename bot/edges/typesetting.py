"""The one place that runs Typst: our own source, foreign text as data only, and nothing to read but what it is given.

The data is one JSON text in ``sys.inputs``; a string in it is a value that Typst shows and never reads as markup. The
root is an empty folder and so is the folder for packages, so that a source could reach no file and no network.
"""

import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any


class TypesettingError(Exception):
    """Typst could not make the document; the message is its own."""


def pdf(source: str, data: str, *, at: datetime, tagged: bool = True) -> bytes:
    """A PDF that says it was made ``at``: the same input gives the same bytes."""
    return _run(source, data, format="pdf", timestamp=int(at.timestamp()), pdf_tags=tagged)[0]


def pngs(source: str, data: str, *, ppi: float = 144.0) -> list[bytes]:
    """A picture for each page."""
    return _run(source, data, format="png", ppi=ppi)


def _run(source: str, data: str, **how: Any) -> list[bytes]:
    import typst  # noqa: PLC0415 - 60 MB that only these forms need

    with tempfile.TemporaryDirectory(prefix="pagerunner-typst-") as folder:
        root, packages = Path(folder) / "root", Path(folder) / "packages"
        root.mkdir()
        packages.mkdir()
        try:
            made = typst.compile(
                source.encode(), root=root, font_paths=_fonts(embedded_only(data)),
                sys_inputs={"data": data}, package_path=packages, package_cache_path=packages, **how,
            )  # fmt: skip
        except typst.TypstError as error:
            raise TypesettingError(f"the document could not be typeset: {error.message}") from error
    return made if isinstance(made, list) else [made]


def embedded_only(data: str) -> bool:
    """Whether the fonts in the package can show all of it; otherwise those of this machine are asked as well."""
    return all(character < "\u0600" or "\u1e00" <= character < "\u2c00" or character == "\ufffd" for character in data)


@cache
def _fonts(embedded: bool) -> Any:
    import typst  # noqa: PLC0415

    return typst.Fonts(include_system_fonts=not embedded, include_embedded_fonts=True)
