"""The project's modules, what each imports, and which package may import which."""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What a package may import of ours besides itself; the longest name that fits a module counts, and
# `service.domain` and `service.errors` are open to all but the simulator. So no arrow runs back up,
# and none in a circle.
_STORE = {"service.kit", "service.database", "service.coordination", "service.store"}
_CORE = {"service.kit", "service.quickbooks", "service.infactor"}
_SERVICES = {*_STORE, *_CORE, "service.company_access", "service.config", "service.services"}
_SERVICES |= {"service.jobs"}
_PAGES = {*_SERVICES, "service.links", "service.wording", "service.queries", "service.web"}
_PAGES |= {"service.web.state"}
_WORK = {*_SERVICES, "service.wording", "workers.company", "workers.retry"}
_READING = {"workers.reading", "workers.reading.reads"}
MAY_IMPORT: dict[str, set[str]] = {
    "service.kit": set(),
    "service.domain": set(),
    "service.errors": set(),
    "service.guide": set(),
    "service.simulator": {"service.kit"},
    "service.quickbooks": {"service.kit"},
    "service.infactor": {"service.kit"},
    "service.config": {"service.kit", "service.infactor"},
    "service.database": {"service.kit"},
    "service.coordination": {"service.kit", "service.database"},
    "service.store": {"service.kit", "service.database"},
    "service.queries": {*_STORE, "service.infactor", "service.wording"},
    "service.links": {"service.kit", "service.infactor"},
    "service.wording": {"service.kit", "service.database", "service.infactor", "service.store"},
    "service.company_access": {*_STORE, "service.quickbooks"},
    "service.jobs": {"service.kit"},
    "service.monitoring": {
        *_STORE,
        *("service.company_access", "service.config", "service.jobs", "service.queries"),
        "service.wording",
    },
    # `Services` carries the alerts' sender, because workers and receivers both send.
    "service.services": {*_SERVICES, "service.monitoring"},
    "service.operations": {*_SERVICES, "service.queries"},
    "service.app": {
        *_SERVICES,
        *("service.web", "service.web.errors", "service.web.state"),
        *("service.web.api", "service.web.connect", "service.web.health"),
        *(
            "service.web.middleware",
            "service.web.ops",
            "service.web.supplier",
            "service.web.webhook",
        ),
    },
    "service.web": _PAGES,
    # Names the types of what each request can reach.
    "service.web.state": {*_PAGES, "service.web.health", "service.web.webhook"},
    # An unexpected error is explained by the supplier's page of problems.
    "service.web.errors": {*_PAGES, "service.web.connect", "service.web.middleware"},
    "service.web.health": {*_PAGES, "service.monitoring"},
    "service.web.middleware": _PAGES,
    "service.web.webhook": {*_PAGES, "service.web.middleware"},
    "service.web.api": _PAGES,
    "service.web.connect": _PAGES,
    "service.web.supplier": {*_PAGES, "service.web.connect", "service.operations"},
    "service.web.ops": {*_PAGES, "service.guide", "service.monitoring", "service.operations"},
    "workers.company": _SERVICES,
    "workers.retry": _CORE,
    "workers.alerts": {*_SERVICES, "service.monitoring"},
    "workers.clock_watch": _STORE,
    "workers.event_feed": _SERVICES,
    "workers.reading": {*_WORK, "workers.reading.reads"},
    "workers.reading.reads": {"service.kit", "service.quickbooks", "service.store"},
    # What was read, but nobody who reads: recording holds locks, and QuickBooks may take minutes.
    "workers.recording": {*_WORK, "workers.reading.reads"},
    "workers.sync": {*_WORK, *_READING, "workers.recording"},
    "workers.delivery": _WORK,
    "workers.runs": {
        *_WORK,
        *_READING,
        *("service.monitoring", "workers.recording", "workers.delivery"),
    },
    "workers.accounts": _WORK,
    "workers.rejudging": {*_WORK, "workers.accounts", "workers.recording"},
    "workers.settlements": {*_WORK, "workers.delivery", "workers.reading"},
    "workers.upkeep": {*_WORK, "service.queries"},
    "workers.schedule": {
        *_WORK,
        *("workers.alerts", "workers.clock_watch", "workers.delivery", "workers.rejudging"),
        *("workers.event_feed", "workers.runs", "workers.settlements", "workers.upkeep"),
    },
    "workers.lanes": set(),
    "workers.process": {
        *_WORK,
        *("workers.delivery", "workers.rejudging", "workers.lanes", "workers.runs"),
        *("workers.schedule", "workers.settlements", "workers.sync"),
    },
}


def modules(*packages: str, root: Path = ROOT) -> Iterator[tuple[str, Path]]:
    """Give name and path of every module of these packages."""
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@cache
def parsed(code: str) -> ast.Module:
    """Return the syntax tree of a module, made once for all tests."""
    return ast.parse(code)


def imports_of(path: Path, *, for_types: bool = True) -> tuple[str, ...]:
    """Return every module that `path` imports, also in functions and, unless told, for types."""
    return _imports(path, path.read_text(), for_types)


@cache
def _imports(path: Path, code: str, for_types: bool) -> tuple[str, ...]:
    tree = parsed(code)
    skipped = set() if for_types else _for_types(tree)
    found: list[str] = []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def _for_types(tree: ast.Module) -> set[ast.AST]:
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def owner(name: str) -> str:
    """Return the entry of MAY_IMPORT that a module or a name within one belongs to."""
    fits = [package for package in MAY_IMPORT if within(name, package)]
    return max(fits, key=len, default=name)


def forbidden(module: str, imported: str) -> bool:
    """True where the rule of the layout says no; only service.cli may import everything."""
    ours = within(imported, "service") or within(imported, "workers")
    if within(module, "service.cli") or not ours:
        return False
    mine, theirs = owner(module), owner(imported)
    if theirs in (mine, "service.domain", "service.errors"):
        return mine == "service.simulator" != theirs
    return theirs not in MAY_IMPORT[mine]


def imports_among(paths: Mapping[str, Path], *, for_types: bool = False) -> dict[str, set[str]]:
    """Return which of these modules each of them imports at run time, or for type checks too."""
    return {
        module: {_module_of(imported, paths) for imported in imports_of(path, for_types=for_types)}
        - {module, ""}
        for module, path in paths.items()
    }


def _module_of(imported: str, paths: Mapping[str, Path]) -> str:
    """Return which of these modules is imported, by its name or by one within; else nothing."""
    while imported and imported not in paths:
        imported = imported.rpartition(".")[0]
    return imported


def a_cycle(imports: Mapping[str, set[str]]) -> list[str]:
    """Return modules of which each imports the one before and the first the last, or nothing."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as e:
        return list(e.args[1])
    return []
