"""The project as a whole: its layout, its import rules, its dependencies and its documents."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "gateway"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")

PURE_ROOMS = ("errors", "model", "lifecycle", "matching", "calendar", "penalties", "reconciliation", "messages")
FORBIDDEN_ROOMS = {"utils", "util", "helpers", "common", "core", "services", "service", "managers", "manager", "misc"}
FORBIDDEN_WORDS = {"Manager", "Handler", "Processor", "Service", "Util", "Utils", "Helper", "Base", "Impl"}


def _modules(folder: Path = PACKAGE) -> list[Path]:
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder] if folder.is_file() else []


def _documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")])


def _identify(path: Path) -> str:
    return str(path.relative_to(ROOT))


# --- layout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", _modules(), ids=_identify)
def test_every_module_is_short_and_named_by_the_field(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 600
    assert not FORBIDDEN_ROOMS & set(path.relative_to(ROOT).with_suffix("").parts)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            words = set(re.findall(r"[A-Z][a-z0-9]*", node.name))
            assert not FORBIDDEN_WORDS & words, f"class {node.name}"


def test_the_version_is_stated_once() -> None:
    from gateway import __version__

    assert "version" in PROJECT["project"]["dynamic"]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "gateway/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


# --- who may import whom, and what pure rooms never do ----------------------------------------------------------------


def test_import_rules_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_pure_room_that_exists_is_under_the_contracts_of_purity() -> None:
    existing = {
        f"gateway.{room}" for room in PURE_ROOMS if _modules(PACKAGE / room) or _modules(PACKAGE / f"{room}.py")
    }
    contracts = [c for c in PROJECT["tool"]["importlinter"]["contracts"] if "pure rooms" in c["name"].lower()]
    assert len(contracts) == 2
    for contract in contracts:
        assert set(contract["source_modules"]) == existing


_CLOCK = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime"}
_CHANCE = {"uuid1", "uuid3", "uuid4", "uuid5", "random", "randint", "choice", "shuffle", "urandom", "token_hex"}
_FILES = {"read_text", "read_bytes", "write_text", "write_bytes", "getenv", "environ", "iterdir", "rglob", "unlink"}
_BUILT_IN = {"open", "input", "print", "breakpoint", "__import__"}


def _impurities(source: str, *, files_allowed: bool) -> Iterator[str]:
    attributes = _CLOCK | _CHANCE | (set() if files_allowed else _FILES | {"open"})
    names = _BUILT_IN - ({"open"} if files_allowed else set())
    for node in ast.walk(ast.parse(source)):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id in names | _CHANCE:
            yield f"line {called.lineno}: {called.id}()"
        elif isinstance(called, ast.Attribute) and called.attr in attributes:
            yield f"line {called.lineno}: {ast.unparse(called)}()"


@pytest.mark.parametrize(
    "path", [m for room in PURE_ROOMS for p in (room, f"{room}.py") for m in _modules(PACKAGE / p)], ids=_identify
)
def test_pure_rooms_read_no_clock_draw_nothing_and_touch_no_file(path: Path) -> None:
    files_allowed = path.name in ("schema_files.py", "data_files.py")
    assert list(_impurities(path.read_text(), files_allowed=files_allowed)) == []


@pytest.mark.parametrize(
    "line", ["datetime.now(UTC)", "date.today()", "time.time()", "uuid.uuid4()", "random.choice(x)", "open('f')"]
)
def test_the_search_for_impurities_finds(line: str) -> None:
    assert list(_impurities(line, files_allowed=False))


# --- dependencies -----------------------------------------------------------------------------------------------------


def _locked(name: str) -> dict[str, Requirement]:
    lines = (ROOT / name).read_text().splitlines()
    found = (Requirement(line.rstrip(" \\")) for line in lines if line and line[0] not in " #")
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def _group(name: str) -> list[str]:
    entries = PROJECT["dependency-groups"][name]
    return [
        word for entry in entries for word in (_group(entry["include-group"]) if isinstance(entry, dict) else [entry])
    ]


def _declared(*groups: list[str]) -> list[Requirement]:
    return [Requirement(text) for group in groups for text in group]


RUNTIME = _declared(PROJECT["project"]["dependencies"])
DEMO = _declared(PROJECT["project"]["optional-dependencies"]["demo"])


@pytest.mark.parametrize("name", LOCKS)
def test_locks_pin_by_hash_and_name_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "--index-url" not in text
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("requirements.lock", RUNTIME),
        ("requirements-build.lock", _declared(_group("build"))),
        ("requirements-dev.lock", [*RUNTIME, *DEMO, *_declared(_group("dev"))]),
    ],
    ids=LOCKS,
)
def test_locks_meet_what_the_project_declares(name: str, declared: list[Requirement]) -> None:
    locked = _locked(name)
    for requirement in declared:
        (pin,) = locked[canonicalize_name(requirement.name)].specifier
        assert requirement.specifier.contains(pin.version), f"{requirement} against {pin}"


def test_what_runs_is_locked_alike_for_development() -> None:
    development = {name: requirement.specifier for name, requirement in _locked("requirements-dev.lock").items()}
    for name, requirement in _locked("requirements.lock").items():
        assert development[name] == requirement.specifier


def test_what_is_installed_is_what_is_locked() -> None:
    for name, requirement in _locked("requirements-dev.lock").items():
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        assert requirement.specifier.contains(importlib.metadata.version(name)), name


_COPYLEFT = re.compile(r"\b(A?GPL|LGPL|GNU|MPL|Mozilla|EUPL|CDDL|EPL|SSPL|BUSL|CC-BY-(NC|SA))", re.IGNORECASE)


def _licence(distribution: importlib.metadata.Distribution) -> str:
    metadata = distribution.metadata
    classified = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    stated = metadata.get("License-Expression") or "; ".join(classified) or metadata.get("License") or ""
    return str(stated)


def test_nothing_that_runs_is_copyleft() -> None:
    for name, requirement in (_locked("requirements.lock") | {canonicalize_name(r.name): r for r in DEMO}).items():
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        licence = _licence(importlib.metadata.distribution(name))
        assert licence, f"{name} states no licence"
        assert not _COPYLEFT.search(licence), f"{name}: {licence}"


def test_every_dependency_has_its_reason() -> None:
    rows = (ROOT / "docs/decisions/0002-dependencies.md").read_text()
    named = {word.strip() for row in re.findall(r"^\| ([^|]+) \|", rows, re.MULTILINE) for word in row.split(",")}
    for requirement in [*RUNTIME, *DEMO, *_declared(_group("dev"))]:
        assert requirement.name in named, requirement.name


# --- documents and commands -------------------------------------------------------------------------------------------


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", _documents(), ids=_identify)
def test_links_in_documents_lead_somewhere(path: Path) -> None:
    text = re.sub(r"<!--.*?-->|```.*?```", "", path.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        assert linked.is_relative_to(ROOT), target
        if anchor and linked.suffix == ".md":
            assert anchor in _anchors(linked.read_text()), target


@pytest.mark.parametrize("name", ["command-line.md", "configuration.md", "lifecycle.md", "mapping.md"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    from docs.generate import PAGES

    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"


def test_documents_name_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        named = set(re.findall(r"^make ([a-z]+)|`make ([a-z]+)", path.read_text(), re.MULTILINE))
        assert {word for pair in named for word in pair if word} <= targets


def test_make_demo_passes_its_arguments_on() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--assume-old=.venv/.ready", "demo", "ARGS=--json --trades 50"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == ".venv/bin/gateway demo --json --trades 50"
