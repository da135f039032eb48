"""What a mapping table can name: the fields of events and of the dataclasses that the gateway adds."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from gateway.model.strict import described


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field holds: an object of ``models``, a plain value, either of them, or a list of ``items``."""

    models: tuple[type, ...] = ()
    plain: bool = False
    optional: bool = False
    items: Any = None


def kind_of(annotation: Any) -> Kind:
    """Say what an annotation allows."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        return Kind(items=get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind_of(member) for member in get_args(annotation) if member is not type(None)]
        return Kind(
            tuple(model for kind in kinds for model in kind.models),
            any(kind.plain for kind in kinds),
            len(kinds) < len(get_args(annotation)),
            next((kind.items for kind in kinds if kind.items is not None), None),
        )
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return Kind((annotation,))
    return Kind(plain=True)


@cache
def fields_of(model: type) -> Mapping[str, Kind]:
    """Map the names of a type's fields to what they hold."""
    if fields := described(model):
        return {name: kind_of(field.annotation) for name, field in fields.items()}
    return {name: kind_of(annotation) for name, annotation in get_type_hints(model).items()}


def paths_of(model: type, prefix: str = "") -> Iterator[str]:
    """Yield the path of every value that an instance may hold; lists are written ``[]``."""
    for name, kind in fields_of(model).items():
        yield from _paths(kind, prefix + name)


def _paths(kind: Kind, path: str) -> Iterator[str]:
    if kind.items is not None:
        yield from _paths(kind_of(kind.items), path + "[]")
    if kind.plain:
        yield path
    for model in kind.models:
        yield from paths_of(model, path + ".")
