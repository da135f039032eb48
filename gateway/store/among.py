"""A column's value is one of several: the condition of which the text is the same however many there are.

For PostgreSQL it is one array: SQLAlchemy need not write the text anew for each length, nor the server plan it. SQLite
takes a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import ARRAY, Boolean, Column, ColumnElement, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Among(FunctionElement[bool]):
    inherit_cache = True  # column and values are its arguments, and all that there is
    type = Boolean()

    def self_group(self, against: Any = None) -> _Among:
        """Stand among other conditions as it is, where a function would be compared with 1."""
        del against
        return self


def among(column: Column[Any], values: Iterable[Any] | str) -> ColumnElement[bool]:
    """Ask that a column's value is one of these, or of the list that is given by this name when a statement runs."""
    array = ARRAY(column.type)
    if isinstance(values, str):
        return _Among(column, bindparam(values, expanding=True, type_=column.type), bindparam(values, type_=array))
    given = list(values)
    as_list = bindparam(None, given, expanding=True, type_=column.type, unique=True)
    return _Among(column, as_list, bindparam(None, given, type_=array, unique=True))


@compiles(_Among)
def _in_list(element: _Among, compiler: Any, **more: Any) -> str:
    column, as_list, _ = element.clauses
    return cast("str", compiler.process(column.in_(as_list), **more))


@compiles(_Among, "postgresql")
def _in_array(element: _Among, compiler: Any, **more: Any) -> str:
    column, _, as_array = element.clauses
    return f"{compiler.process(column, **more)} = ANY ({compiler.process(as_array, **more)})"
