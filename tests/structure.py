"""Figures on the structure of a checkout: how its files, packages, functions and imports are cut.

    python -m tests.structure [CHECKOUT]

Source is read and never imported, so any commit of the project can be measured, the oldest ones
too. Counted are the files of `service/` and `workers/` that are not empty, without the migrations:

- packages: folders with Python files in them; an `__init__.py` is one of their files.
- files under 60 lines: the share of all files; `__init__.py` and `__main__.py` do not count as
  short.
- modules imported by one sibling alone: the share of all files that exactly one module imports,
  which is neither of another package nor an `__init__.py`. Such a file was cut from its neighbour
  by its length rather than by its subject. Imports for type checks count as imports.
- function lines: from the first decorator to the end, docstring and inner functions included.
- class names and file names used twice: names of top-level classes, and of files less `__init__`
  and `__main__`, that more than one file has. The simulator is left out: it has QuickBooks' side of
  what the rest has ours of, under the same names.
- import cycles: how many imports would have to go until no module imports itself by way of others,
  imports for type checks included.
- arrows against the layout: imports that the table in `tests/layout.py` forbids. Modules
  without an entry there, as in a tree of another layout, are counted apart.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sized
from pathlib import Path
from statistics import median, quantiles

from tests.layout import (
    MAY_IMPORT,
    ROOT,
    a_cycle,
    forbidden,
    imports_among,
    imports_of,
    modules,
    within,
)

_FACES = ("__init__", "__main__")


def figures(checkout: Path) -> dict[str, object]:
    """Return each figure by the name under which it is printed, for the checkout in this folder."""
    everything = {
        module: path
        for module, path in modules("service", "workers", root=checkout)
        if path.read_text().strip()
    }
    ours = {module: path for module, path in everything.items() if "migrations" not in path.parts}
    imports = imports_among(everything, for_types=True)
    lengths = {module: _lines(path) for module, path in ours.items()}
    packages = Counter(path.parent for path in ours.values())
    trees = {module: ast.parse(path.read_text()) for module, path in ours.items()}
    functions = [length for tree in trees.values() for length in _function_lengths(tree)]
    short = [m for m, path in ours.items() if lengths[m] < 60 and path.stem not in _FACES]
    alone = [m for m in ours if _is_imported_by_one_sibling(m, imports, everything)]
    named = [module for module in ours if not within(module, "service.simulator")]
    classes = [
        node.name
        for module in named
        for node in trees[module].body
        if isinstance(node, ast.ClassDef)
    ]
    stems = [ours[module].stem for module in named if ours[module].stem not in _FACES]
    return {
        "files": len(ours),
        "packages": len(packages),
        "lines": sum(lengths.values()),
        "lines with migrations": sum(map(_lines, everything.values())),
        "lines per file, median / p75 / p90 / max": _spread(lengths.values(), 75, 90),
        "files under 60 lines": _share(short, ours),
        "files per package, median / max": _spread(packages.values()),
        "modules imported by one sibling alone": _share(alone, ours),
        "function lines, median / p90 / max": _spread(functions, 90),
        "class names used twice": _used_twice(classes),
        "file names used twice": _used_twice(stems),
        "import cycles": _cycles(imports),
        "arrows against the layout": _against_the_layout(everything),
        "modules without an entry in its table": sum(not _has_entry(m) for m in everything),
    }


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def _spread(numbers: Iterable[int], *percentiles: int) -> str:
    """Return the median, these percentiles and the largest of the numbers, as one text."""
    values = sorted(numbers)
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    between = [cuts[percentile - 1] for percentile in percentiles]
    return " / ".join(f"{value:.0f}" for value in (median(values), *between, values[-1]))


def _share(some: Sized, of: Sized) -> str:
    return f"{100 * len(some) / len(of):.0f} %"


def _function_lengths(tree: ast.Module) -> Iterable[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield (node.end_lineno or first) - first + 1


def _is_imported_by_one_sibling(
    module: str, imports: Mapping[str, set[str]], paths: Mapping[str, Path]
) -> bool:
    importers = [paths[other] for other, imported in imports.items() if module in imported]
    return (
        paths[module].stem not in _FACES
        and len(importers) == 1
        and importers[0].parent == paths[module].parent
        and importers[0].stem != "__init__"
    )


def _used_twice(names: Iterable[str]) -> int:
    return sum(times > 1 for times in Counter(names).values())


def _cycles(imports: dict[str, set[str]]) -> int:
    found = 0
    while cycle := a_cycle(imports):
        imports[cycle[1]].remove(cycle[0])  # each imports the one before it
        found += 1
    return found


def _has_entry(module: str) -> bool:
    """True for what the table speaks of; nobody need have one who imports nothing, or may all."""
    return module in ("service", "workers") or any(
        within(module, package) for package in (*MAY_IMPORT, "service.cli")
    )


def _against_the_layout(paths: Mapping[str, Path]) -> int:
    return sum(
        forbidden(module, imported)
        for module, path in paths.items()
        if _has_entry(module)
        for imported in set(imports_of(path))
    )


def main() -> None:
    """Print the figures of the checkout that the command line names, or of this one."""
    checkout = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    for name, value in figures(checkout.resolve()).items():
        print(f"{name:<45}{value}")


if __name__ == "__main__":
    main()
