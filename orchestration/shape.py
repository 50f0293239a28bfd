"""Dataclasses as JSON and back, and whether stored JSON has the form that its readers rely on.

What belongs here: comparing a value with a form, and building from it. What does not: any form itself.
"""

from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from orchestration.errors import Refused
from orchestration.months import Month

Form = TypeVar("Form")
# Most of what is stored is of these, and to look for the parts of a type takes time.
PLAIN = (str, int, bool, type(None))


def build(value: Any, shape: type[Form]) -> Form:
    """The dataclass that a JSON object describes. Raises ValueError when the object has another form.

    Names that the dataclass does not have are left out: a later version may have written them.
    """
    if not has_shape(value, shape):
        raise ValueError("another form")
    built: Form = _built(value, shape)
    return built


def as_json(value: Any) -> Any:
    """A dataclass as JSON has it: an object of its names, with instants and months as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Month):
        return str(value)
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return value


def has_shape(value: Any, shape: Any) -> bool:
    """Whether a value is of a type such as `list[int | None]`, or has every name of a dataclass.

    A name with a default may be absent: the version that wrote the JSON may not have had it yet. An instant stands in
    JSON as text in ISO 8601 with a zone, a month as YYYY-MM.
    """
    if shape in PLAIN:
        # True is no number here.
        return type(value) is shape
    parts = get_args(shape)
    if is_dataclass(shape) and shape is not Month:
        return isinstance(value, dict) and all(
            has_shape(value[field.name], field.type) if field.name in value else _has_default(field)
            for field in fields(shape)
        )
    if get_origin(shape) is UnionType:
        return any(has_shape(value, part) for part in parts)
    if get_origin(shape) is list:
        return isinstance(value, list) and all(has_shape(item, parts[0]) for item in value)
    if get_origin(shape) is dict:
        return isinstance(value, dict) and all(has_shape(item, parts[1]) for item in value.values())
    if shape is datetime:
        return isinstance(value, str) and _is_instant(value)
    assert shape is Month, shape
    return isinstance(value, str) and _is_month(value)


def _built(value: Any, shape: Any) -> Any:
    """A value of a form as what the form stands for."""
    if shape in PLAIN:
        return value
    parts = get_args(shape)
    if shape is datetime:
        return datetime.fromisoformat(value)
    if shape is Month:
        return Month.parse(value)
    if is_dataclass(shape) and isinstance(shape, type):
        return shape(**{field.name: _built(value[field.name], field.type) for field in fields(shape)
                        if field.name in value})  # fmt: skip
    if get_origin(shape) is UnionType:
        return _built(value, next(part for part in parts if has_shape(value, part)))
    if get_origin(shape) is list:
        return [_built(item, parts[0]) for item in value]
    if get_origin(shape) is dict:
        return {key: _built(item, parts[1]) for key, item in value.items()}
    return value


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _is_instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _is_month(text: str) -> bool:
    try:
        Month.parse(text)
    except Refused:
        return False
    return True
