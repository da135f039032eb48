"""``gateway schemas``: look into the schema dictionary, add schemas of one's own, and prove that all of it holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from gateway.messages.catalogue import Catalogue, SimpleType
    from gateway.messages.schema_tree import Row

T = TypeVar("T")

_FIN = "fin"  # the area of FIN message types, among those of ISO 20022

app = typer.Typer(no_args_is_help=True, help="The schema dictionary: list, show, import, export, verify, rebuild.")

_AsJson = Annotated[bool, typer.Option("--json", help="one JSON object a line")]
_Area = Annotated[str | None, typer.Option(help="one business area, such as sese, or fin")]
_UserDirectory = Annotated[
    Path | None,
    typer.Option(
        envvar="GATEWAY_SCHEMAS__DIRECTORY",
        help="the folder of your own schemas; it takes precedence over the dictionary  [default: your data folder]",
    ),
]


@app.command("list")
def list_definitions(area: _Area = None, user_directory: _UserDirectory = None, as_json: _AsJson = False) -> None:
    """List the message definitions: identifier, name, and whether it is one of your own; FIN message types last."""
    from gateway.cli import fin

    with _refusals():
        catalogue = _catalogue(user_directory)
        definitions = catalogue.definitions(area)
        if not definitions and area != _FIN:
            areas = [*sorted({name.split(".")[0] for name in catalogue.definitions()}), _FIN]
            raise typer.BadParameter(f"no definition in area {area}; there are {', '.join(areas)}")
        for name in definitions:
            message_name, origin = catalogue.message_name(name), catalogue.origin(name)
            if as_json:
                _print_json({"message_definition": name, "name": message_name, "origin": origin})
            else:
                print(f"{name}  {message_name}{'  (your own)' if origin == 'user' else ''}")
        for name, message_name in fin.message_types() if area in {None, _FIN} else ():
            if as_json:
                _print_json({"message_definition": name, "name": message_name, "origin": _FIN})
            else:
                print(f"{name}  {message_name}")


@app.command()
def show(
    definition: Annotated[str, typer.Argument(help="a message definition, such as sese.024.001.13 or MT541")],
    path: Annotated[
        str, typer.Option(help="show only this element and what is below it: SctiesSttlmTxStsAdvc/TxId, or E/E1")
    ] = "",
    depth: Annotated[int | None, typer.Option(min=0, help="levels to open  [default: all]")] = None,
    user_directory: _UserDirectory = None,
    as_json: _AsJson = False,
) -> None:
    """Show the tree of a message: elements, multiplicities, types, allowed codes and limits.

    Of a FIN message type: sequences, fields, qualifiers, and the network validated rules.
    """
    from gateway.cli import fin
    from gateway.messages.schema_tree import outline

    with _refusals():
        if definition.startswith("MT"):
            fin.show(definition, path, depth, as_json=as_json)
            return
        catalogue = _catalogue(user_directory)
        message = catalogue.message(definition)
        path = path.strip("/").removeprefix(f"{message.root}/") if path.strip("/") != message.root else ""
        if message.element(path) is None:
            raise typer.BadParameter(f"{definition} has no element {path}{_nearest(catalogue, definition, path)}")
        rows = outline(message, path, depth)
        if as_json:
            for row in rows:
                _print_json(_row_record(row))
            return
        _print_tree(f"{definition}  {catalogue.message_name(definition)}", message.namespace, rows)


@app.command("import")
def import_paths(
    paths: Annotated[list[Path], typer.Argument(help="XSD files, folders of them, or zip archives")],
    guideline: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="keep them as a usage guideline of this name, for the profiles that name it, instead of for everyone",
        ),
    ] = None,
    user_directory: _UserDirectory = None,
    as_json: _AsJson = False,
) -> None:
    """Check official or usage-guideline XSDs and keep them in your own folder, as they are."""
    from gateway.messages.schema_files import guideline_directory, import_schemas

    failed, kept = 0, 0
    directory = _directory(user_directory)
    with _refusals():
        if guideline is not None:
            directory = guideline_directory(directory, guideline)
        for imported in import_schemas(paths, directory):
            failed += imported.definition is None
            kept += imported.definition is not None
            if as_json:
                _print_json(asdict(imported))
            elif imported.definition is None:
                print(f"refused   {imported.refusal}")
            else:
                print(f"{'replaced' if imported.replaced else 'imported'}  {imported.definition}  from {imported.name}")
    if not failed + kept:
        raise _stop("no .xsd file was found there")
    if not as_json:
        print(f"{kept} kept in {directory}" + (f", {failed} refused" if failed else ""))
    if failed:
        raise typer.Exit(1)


@app.command()
def export(
    directory: Annotated[Path, typer.Argument(help="the folder to write to")],
    area: _Area = None,
    definition: Annotated[list[str] | None, typer.Option(help="only this definition; may be repeated")] = None,
    user_directory: _UserDirectory = None,
    as_json: _AsJson = False,
) -> None:
    """Write definitions as XSD files, one each, named <definition>.xsd."""
    from gateway.messages.schema_files import export_schemas

    with _refusals():
        catalogue = _catalogue(user_directory)
        definitions = definition or catalogue.definitions(area)
        count = 0
        for path in _watched(export_schemas(catalogue, definitions, directory), len(definitions), "exporting", str):
            count += 1
            if as_json:
                _print_json({"message_definition": path.stem, "file": str(path)})
        if not as_json:
            print(f"{count} schemas written to {directory}")


@app.command()
def verify(
    reference: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="a folder of official XSDs to compare with, element by element"
        ),
    ] = None,
    area: _Area = None,
    definition: Annotated[list[str] | None, typer.Option(help="only this definition; may be repeated")] = None,
    user_directory: _UserDirectory = None,
    as_json: _AsJson = False,
) -> None:
    """Prove that every definition compiles and equals the official schema; exit 1 if one does not."""
    from gateway.messages.schema_files import verify_schemas

    with _refusals():
        catalogue = _catalogue(user_directory)
        definitions = definition or catalogue.definitions(area)
        results = verify_schemas(catalogue, definitions, reference)
        count, failed, compared = 0, 0, 0
        for result in _watched(results, len(definitions), "verifying", lambda result: result.definition):
            count += 1
            compared += result.compared
            failed += not result.holds
            if as_json:
                _print_json({**asdict(result), "holds": result.holds})
            elif not result.holds:
                print(f"{result.definition}: does not hold")
                for problem in result.problems:
                    print(f"  {problem}")
                for difference in result.differences:
                    print(
                        f"  {difference.path}: {difference.ours or 'absent'}; official: {difference.theirs or 'absent'}"
                    )
    if not as_json:
        against = f", {compared} compared element by element with {reference}" if reference else ""
        print(f"{count} definitions verified{against}; {failed} do not hold")
    if failed:
        raise typer.Exit(1)


@app.command()
def rebuild(
    paths: Annotated[list[Path], typer.Argument(help="folders, files or zip archives of official XSDs")],
    into: Annotated[Path, typer.Option(help="the dictionary folder to replace (schemas/dictionary in the repository)")],
) -> None:
    """Make the dictionary from official XSDs; the same files give the same text."""
    from gateway.messages.schema_files import rebuild_dictionary

    with _refusals():
        definitions, types = rebuild_dictionary(paths, into)
    print(f"{definitions} definitions of {types} types written to {into}")


def _catalogue(user_directory: Path | None) -> Catalogue:
    from gateway.messages.schema_files import load_catalogue

    return load_catalogue(user_directory)


def _directory(user_directory: Path | None) -> Path:
    from gateway.messages.schema_files import default_user_directory

    return user_directory or default_user_directory()


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the user can put right into one line on standard error and exit code 1."""
    try:
        yield
    except GatewayError as error:
        raise _stop(error.text) from error
    except BrokenPipeError:
        raise  # the reader of our output has seen enough
    except OSError as error:
        raise _stop(str(error)) from error


def _stop(text: str) -> typer.Exit:
    print(text, file=sys.stderr)
    return typer.Exit(1)


def _print_json(record: dict[str, Any]) -> None:
    print(json.dumps(record, ensure_ascii=False))


def _watched(items: Iterable[T], total: int, label: str, name: Callable[[T], str]) -> Iterator[T]:
    """Yield the items, with progress on standard error while a person watches."""
    if not sys.stderr.isatty() or total < 20:
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[name]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total, name="")
        for item in items:
            progress.update(task, advance=1, name=name(item))
            yield item


def _nearest(catalogue: Catalogue, definition: str, path: str) -> str:
    """Say how far a path leads, and which elements there are at that point."""
    message = catalogue.message(definition)
    known = path.split("/")
    while known and message.element("/".join(known)) is None:
        known.pop()
    from gateway.messages.schema_tree import outline

    below = [row.name for row in outline(message, "/".join(known), 1) if row.kind == "element"][1:]
    return f"; below {'/'.join(known) or message.root} there are {', '.join(below) or 'none'}"


def _multiplicity(row: Row) -> str:
    return f"[{row.minimum}..{'*' if row.maximum is None else row.maximum}]"


def _row_record(row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {"path": row.path, "kind": row.kind, "name": row.name, "type": row.type}
    record |= {"minimum": row.minimum, "maximum": row.maximum}
    if row.content:
        record["content"] = row.content
    if row.recursive:
        record["recursive"] = True
    if row.simple:
        limits = [[facet, value] for facet, value in row.simple.facets if facet != "enumeration"]
        record |= {"base": row.simple.base, "codes": row.simple.codes, "limits": limits}
    return record


def _print_tree(title: str, namespace: str, rows: Iterable[Row]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    width = console.width if console.is_terminal else 10_000
    console.print(Text(title, style="bold"))
    console.print(Text(namespace, style="dim"))
    for row in rows:
        indent = "  " * row.depth
        line = Text(indent)
        if row.kind in {"choice", "sequence"}:
            line.append("one of" if row.kind == "choice" else "together", style="magenta")
        elif row.kind == "wildcard":
            line.append(f"{_multiplicity(row)} ", style="cyan")
            line.append("any element" if row.name == "##any" else f"any element of {row.name}")
            line.append(f"  checked: {row.type}", style="dim")
        else:
            line.append(f"{'@' if row.kind == 'attribute' else ''}{row.name}", style="bold" if row.content else "")
            line.append(f" {_multiplicity(row)}", style="cyan")
            line.append(f" {row.type}", style="dim")
            if row.content == "choice":
                line.append(" one of" if not row.recursive else "", style="magenta")
            if row.recursive:
                line.append(" (as above)", style="magenta")
            if row.simple:
                line.append(f"  {_limits(row.simple)}" if _limits(row.simple) else "", style="green")
        console.print(line, soft_wrap=True)
        if row.simple and row.simple.codes:
            for codes in _folded(row.simple.codes, width - len(indent) - 4):
                console.print(Text(f"{indent}    {codes}", style="green"), soft_wrap=True)


def _limits(simple: SimpleType) -> str:
    """Say the limits of a value in a few words; codes are left out."""
    facets = {facet: value for facet, value in simple.facets if facet not in {"enumeration", "pattern"}}
    base = simple.base.removeprefix("xs:")
    words = [] if simple.codes else ["text" if base == "string" else base]
    least, most = facets.pop("minLength", None), facets.pop("maxLength", None)
    if least or most:
        words.append(f"of {least or 0} to {most or 'any number of'} characters" if least != most else f"of {most}")
    words += [_FACET_WORDS[facet].format(value) for facet, value in facets.items()]
    words += [f"like {pattern}" for pattern in simple.values("pattern")]
    return " ".join(words)


_FACET_WORDS = {
    "length": "of {} characters",
    "totalDigits": "of {} digits",
    "fractionDigits": "at most {} after the point",
    "minInclusive": "from {}",
    "maxInclusive": "up to {}",
    "minExclusive": "above {}",
    "maxExclusive": "below {}",
    "whiteSpace": "white space {}d",
}


def _folded(codes: Iterable[str], width: int) -> Iterator[str]:
    line = ""
    for code in codes:
        if line and len(line) + len(code) + 3 > width:
            yield line
            line = ""
        line = f"{line} | {code}" if line else code
    if line:
        yield line
