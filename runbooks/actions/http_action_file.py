"""The file in which an operator declares HTTP actions: strict YAML, every mistake with its place."""

from collections.abc import Collection

from pydantic import ValidationError
from pydantic_core import SchemaError

from config.catalogue import Declared
from config.strict_yaml import Document, YamlError, load
from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.actions.declared import nearest
from runbooks.actions.http_action import HttpAction
from runbooks.actions.http_declaration import Declaration, Path, faults
from runbooks.model import Problem, RunbookError


class InvalidDeclarationError(RunbookError):
    """The file cannot be used as it is; ``problems`` says where and why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class _File(Declared):
    actions: tuple[Declaration, ...] = ()


def load_http_actions(yaml_text: str, file: str, *, targets: Collection[str] | None = None) -> tuple[HttpAction, ...]:
    """The declared actions, in order. ``targets``: the names in the catalogue, checked if given.
    Raises :class:`InvalidDeclarationError` with every problem in the file."""
    try:
        document = load(yaml_text)
    except YamlError as error:
        problem = Problem(
            file=file, line=error.line, column=error.column, rule="http-action-yaml", message=error.message
        )
        raise InvalidDeclarationError((problem,)) from error
    try:
        declared = _File.model_validate(document.value or {})
    except ValidationError as error:
        raise InvalidDeclarationError(
            tuple(_problem(file, document, details["loc"], details["msg"]) for details in error.errors())
        ) from error
    problems = _problems(file, document, declared.actions, targets)
    if problems:
        raise InvalidDeclarationError(problems)
    return tuple(HttpAction(declaration) for declaration in declared.actions)


def _problems(
    file: str, document: Document, actions: tuple[Declaration, ...], targets: Collection[str] | None
) -> tuple[Problem, ...]:
    taken = {action.spec.name for action in BUILT_IN}
    problems = []
    for number, action in enumerate(actions):
        found = list(faults(action))
        if action.name in taken:
            found.append((("name",), f"there is an action {action.name!r} already; choose another name"))
        taken.add(action.name)
        if targets is not None and action.target not in targets:
            found.append(
                (("target",), f"no target {action.target!r} in the catalogue{nearest(action.target, targets)}")
            )
        if not found:
            found += _unusable_params(action)
        problems += [_problem(file, document, ("actions", number, *path), message) for path, message in found]
    return tuple(problems)


def _unusable_params(action: Declaration) -> list[tuple[Path, str]]:
    """A default outside its own bounds, or a pattern that the matching engine does not know."""
    given = {name for name, param in action.params.items() if param.default is not None}
    try:
        HttpAction(action).spec.params.model_validate({})
    except ValidationError as error:
        return [
            (("params", str(details["loc"][0])), f"its default: {details['msg']}")
            for details in error.errors()
            if details["loc"] and details["loc"][0] in given
        ]
    except SchemaError as error:
        return [(("params",), f"a pattern is not supported (no look-around or back-references): {error}")]
    return []


def _problem(file: str, document: Document, path: Path, message: str) -> Problem:
    line, column = document.position(path)
    where = ".".join(str(part) for part in path)
    text = f"{where}: {message.removeprefix('Value error, ')}" if where else message
    return Problem(file=file, line=line, column=column, rule="http-action", message=text)
