"""Dataclasses as JSON and back, and whether stored JSON has the form that its readers rely on.

What belongs here: comparing a value with a form, and building from it. What does not: any form itself.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, NoReturn, TypeVar, get_args, get_origin

from orchestration.errors import Refused
from orchestration.months import Month

Form = TypeVar("Form")
PLAIN = (str, int, bool, type(None))
# What a value of a form stands for; raises ValueError when the value has another form.
Reader = Callable[[Any], Any]


def build(value: Any, shape: type[Form]) -> Form:
    """The dataclass that a JSON object describes. Raises ValueError when the object has another form.

    Names that the dataclass does not have are left out: a later version may have written them. A name with a default
    may be absent: the version that wrote the JSON may not have had it yet. An instant stands in JSON as text in ISO
    8601 with a zone, a month as YYYY-MM.
    """
    built: Form = _reader(shape)(value)
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
    """Whether a value is of a type such as `list[int | None]`, or has every name of a dataclass."""
    try:
        _reader(shape)(value)
    except ValueError:
        return False
    return True


def _made(shape: Any) -> Reader:
    if shape in PLAIN:
        return _of_types(shape)
    if shape is datetime:
        return _instant
    if shape is Month:
        return _month
    if is_dataclass(shape) and isinstance(shape, type):
        return _of_dataclass(shape)
    parts = get_args(shape)
    if get_origin(shape) is UnionType:
        return _of_types(*parts) if set(parts) <= set(PLAIN) else _of_one(*map(_reader, parts))
    if get_origin(shape) is list:
        return _of_list(_reader(parts[0]))
    assert get_origin(shape) is dict, shape
    return _of_dict(_reader(parts[1]))


# A close reads a receipt for each file that ever landed, and to look for the parts of a type takes time.
_reader: Callable[[Any], Reader] = cache(_made)


def _of_types(*types: type) -> Reader:
    def read(value: Any) -> Any:
        # Not isinstance: True is no number here.
        return value if type(value) in types else _refuse()

    return read


def _of_dataclass(shape: type) -> Reader:
    readers = {field.name: _reader(field.type) for field in fields(shape)}
    required = {field.name for field in fields(shape) if not _has_default(field)}

    def read(value: Any) -> Any:
        if not isinstance(value, dict) or not required <= value.keys():
            _refuse()
        return shape(**{name: reader(value[name]) for name, reader in readers.items() if name in value})

    return read


def _of_one(*readers: Reader) -> Reader:
    def read(value: Any) -> Any:
        for reader in readers:
            try:
                return reader(value)
            except ValueError:
                continue
        return _refuse()

    return read


def _of_list(reader: Reader) -> Reader:
    return lambda value: [reader(item) for item in value] if isinstance(value, list) else _refuse()


def _of_dict(reader: Reader) -> Reader:
    return lambda value: {key: reader(item) for key, item in value.items()} if isinstance(value, dict) else _refuse()


def _instant(value: Any) -> datetime:
    instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    return instant if instant and instant.tzinfo else _refuse()


def _month(value: Any) -> Month:
    try:
        return Month.parse(value) if isinstance(value, str) else _refuse()
    except Refused as error:
        raise ValueError("another form") from error


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _refuse() -> NoReturn:
    raise ValueError("another form")
