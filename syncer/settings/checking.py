"""pydantic's complaints -> mistakes in the words of the file, placed by steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from syncer.settings.problems import Mistake, Steps, Wrong, did_you_mean, quoted
from syncer.settings.source import Report, Source, at

M = TypeVar("M", bound=BaseModel)

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of reasonable size",
    "float_type": "a number", "float_parsing": "a number", "finite_number": "a number",
    "bool_type": "true or false", "bool_parsing": "true or false",
    "list_type": "a list", "tuple_type": "a list", "set_type": "a list",
    "dict_type": "a mapping", "model_type": "a mapping", "model_attributes_type": "a mapping",
    "mapping_type": "a mapping", "dataclass_type": "a mapping",
}  # fmt: skip
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def validated(
    shape: type[M], raw: Any, place: tuple[Report, Source, Steps], context: Mapping[str, Any] | None = None
) -> M | None:
    """An instance of `shape`; None, and a problem for each mistake, where the values do not fit.

    `place` is the report, the file, and the way from the file's top to `raw`.
    """
    report, source, steps = place
    try:
        return shape.model_validate({} if raw is None else raw, context=context)
    except ValidationError as error:
        complaints = error.errors(include_url=False)
        if raw is None and not steps:
            report.add(source, _of_empty(complaints))
            return None
        for details in complaints:
            for mistake in _mistakes(details, shape, {} if raw is None else raw):
                report.add(source, _moved(mistake, steps))
    return None


def _of_empty(complaints: Sequence[ErrorDetails]) -> Mistake:
    """A file in which nothing stands, but comments perhaps: every complaint is of a missing key at its top."""
    needed = " and ".join(f"`{details['loc'][0]}:`" for details in complaints if details["loc"])
    return Mistake((), f"the file is empty; it needs {needed or 'something'}", code="SY005")


def _moved(mistake: Mistake, steps: Steps) -> Mistake:
    return Mistake((*steps, *mistake.steps), mistake.message, mistake.help, mistake.code, mistake.at_key)


def _mistakes(details: ErrorDetails, shape: type[BaseModel], raw: Any) -> Iterator[Mistake]:
    steps = _in_file(details["loc"], raw)
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, Wrong):
        yield from (_moved(mistake, steps) for mistake in cause.mistakes)
    else:
        yield mistake_of(details, steps, shape)


def _in_file(loc: Steps, raw: Any) -> Steps:
    """The location without the steps pydantic added: tags of unions, names of validators. The last may be missing."""
    found: list[str | int] = []
    for rank, step in enumerate(loc):
        inner = at(raw, *found, step)
        known = inner is not None or (isinstance(at(raw, *found), Mapping) and step in at(raw, *found))
        if known or (rank == len(loc) - 1 and isinstance(at(raw, *found), Mapping) and isinstance(step, str)):
            found.append(step)
    return tuple(found)


def mistake_of(details: ErrorDetails, steps: Steps, shape: type[BaseModel]) -> Mistake:
    kind, context, value = details["type"], details.get("ctx", {}), quoted(details["input"])
    last = steps[-1] if steps else "?"
    if kind == "extra_forbidden":
        help = did_you_mean(last, _keys(shape, details["loc"][:-1]))
        return Mistake(steps, f"unknown key '{last}'", help, "SY004", at_key=True)
    if kind == "missing":
        return Mistake(steps, f"the key '{last}' is missing", code="SY005")
    if kind in ("literal_error", "enum"):
        names = _literals(str(context.get("expected", "")))
        return Mistake(steps, f"{value} is not one of {', '.join(names)}", did_you_mean(details["input"], names))
    if kind in _EXPECTED:
        return Mistake(steps, f"{_EXPECTED[kind]} is needed here, not {value}", _quoting(kind, details["input"]))
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return Mistake(steps, f"must be {words} {context.get(limit)}, not {value}")
    return Mistake(steps, _plain(details["msg"]))


def _quoting(kind: str, value: Any) -> str:
    return f'write it in quotes: "{value}"' if kind == "string_type" and isinstance(value, int | float) else ""


def _literals(expected: str) -> list[str]:
    """ "'a', 'b' or 'c'" -> a, b, c."""
    return [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",") if word.strip()]


def _plain(message: str) -> str:
    """pydantic's sentence without its prefix and capital."""
    text = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _keys(shape: type[BaseModel], loc: Steps) -> set[str]:
    """The keys that the model reached by `loc` knows."""
    shapes: list[Any] = [shape]
    for step in loc:
        shapes = [inner for each in shapes for inner in _step(each, step)] or shapes
    return {key for each in shapes if _is_model(each) for key in _names(each)}


def _names(shape: type[BaseModel]) -> Iterator[str]:
    return (field.alias or name for name, field in shape.model_fields.items())


def _step(shape: Any, step: str | int) -> Iterator[Any]:
    if not _is_model(shape):
        return
    for name, field in shape.model_fields.items():
        if step in (name, field.alias):
            yield from models_in(field.annotation)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The pydantic models anywhere inside an annotation: `dict[str, A] | B | None` -> A, B."""
    if _is_model(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
