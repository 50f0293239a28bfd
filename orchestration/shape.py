"""Whether stored JSON has the form that its readers rely on: they may then take every name and kind for granted.

What belongs here: comparing a value with a form. What does not: any form itself, which stands beside what it describes.
"""

from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from types import UnionType
from typing import Any, get_args, get_origin


def has_shape(value: Any, shape: Any) -> bool:
    """Whether a value is of a type such as `list[int | None]`, or has every name of a dataclass or a mapping to shapes.

    What a dataclass has a default for may be absent: who wrote it may not have known of it yet. A list of one shape
    stands for a list of such. An instant stands in JSON as text in ISO 8601 with a zone.
    """
    parts = get_args(shape)
    if is_dataclass(shape):
        return isinstance(value, dict) and all(
            has_shape(value[field.name], field.type) if field.name in value else _has_default(field)
            for field in fields(shape)
        )
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(name in value and has_shape(value[name], shape[name]) for name in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(has_shape(item, shape[0]) for item in value)
    if get_origin(shape) is UnionType:
        return any(has_shape(value, part) for part in parts)
    if get_origin(shape) is list:
        return isinstance(value, list) and all(has_shape(item, parts[0]) for item in value)
    if get_origin(shape) is dict:
        return isinstance(value, dict) and all(has_shape(item, parts[1]) for item in value.values())
    if shape is datetime:
        return isinstance(value, str) and _is_instant(value)
    # True is no number here.
    return type(value) is shape


def _has_default(field: Field) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _is_instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
