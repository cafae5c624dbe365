"""Takes each guard out of the source once, and says which test notices.

    python -m tests.mutants [--list] [--contexts FILE] [--most N] [--tests TEST ... --] [PART ...]

A guard is what makes a write conditional: a condition of an UPDATE or DELETE beyond the row's key,
the `where` of an upsert, an ON CONFLICT DO NOTHING, a lock of rows, a lease, a field of the filter
of an update in MongoDB, a unique key. Each is taken out in a copy of the checkout, where tests run
until the first one fails. A guard that survives is held by no test, or guards nothing; `ACCEPTED`
says why some may. NO VERDICT means that pytest itself failed: a file that cannot be imported, no
test found. PART picks guards whose line names it.

Which tests run a line is read from FILE, written by `pytest --cov --cov-context=test` (pytest-cov);
without it all tests below `FOLDERS` run, which takes hours. N limits how many of them are tried.
TEST names the only tests to run.
"""

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.layout import ROOT

FOLDERS = ("tests/store", "tests/infactor", "tests/workers", "tests/monitoring", "tests/web")
_MIGRATION = "service/database/migrations/versions/20261126_first_schema.py"
_LOCATIONS = (
    *("service/store", "service/coordination", "service/queries", "service/infactor"),
    *("service/operations", "workers"),
)
_ONLY_DELETES = Path("service/store/pruning.py")
_SECONDS = 900
_ALWAYS_MINE = '__import__("contextlib").nullcontext(True)'
# Guards that no test holds, by the start of their line, and why each stands all the same.
ACCEPTED = {
    "service/coordination/circuit_breaker.py: Breaker.failures > 0": (
        "saves a write at each delivery while all is well"
    ),
    "service/store/old_rows.py: Invoice.old_rows_held": (
        "saves a write of every invoice of the company at each look"
    ),
    "service/store/alerts.py: Alert.due_at.is_not(None)": (
        "saves a write of every alert there ever was"
    ),
    "service/store/inbox.py: or_(*(condition for condition, _ in promised))": (
        "saves a write of notices whose outcome stays as it is"
    ),
    "service/store/inbox.py: Notice.connection_id.is_(None)": (
        "lets PostgreSQL use the partial index; a linked notice has no digest"
    ),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file without one of its guards, which began in `line`."""

    path: Path
    line: int
    gone: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"

    @property
    def text(self) -> str:
        """The guard in one line."""
        return " ".join(self.gone.split())

    @property
    def accepted(self) -> str | None:
        """Why it may survive; None if it may not."""
        return ACCEPTED.get(f"{self.path}: {self.text}")


class Source:
    """The text of a file, from which the place of a syntax node can be cut."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = text.splitlines(keepends=True)
        self.tree = ast.parse(text)

    def without(self, node: ast.AST, after: str = "") -> Mutant:
        """Return the file without this node, up to the comma that follows it."""
        begin, end = self._span(node)
        text = "".join(self._lines)
        rest = text[end:]
        cut = rest.lstrip()[1:] if rest.lstrip().startswith(",") else rest
        return Mutant(
            self._path,
            node.lineno,  # type: ignore[attr-defined]
            text[begin:end],
            text[:begin] + after + (cut if not after else rest),
        )

    def _span(self, node: ast.AST) -> tuple[int, int]:
        starts = [0]
        for line in self._lines:
            starts.append(starts[-1] + len(line))

        def offset(line: int, column: int) -> int:
            before = self._lines[line - 1].encode()[:column].decode()
            return starts[line - 1] + len(before)

        return (
            offset(node.lineno, node.col_offset),  # type: ignore[attr-defined]
            offset(node.end_lineno, node.end_col_offset),  # type: ignore[attr-defined]
        )


def mutants(root: Path = ROOT, schema: str | None = _MIGRATION) -> Iterator[Mutant]:
    """Give each file of the service without one of its guards."""
    for folder in _LOCATIONS:
        for path in sorted((root / folder).rglob("*.py")):
            yield from _of_file(path.relative_to(root), path.read_text())
    if schema is not None:
        yield from _of_schema(Path(schema), (root / schema).read_text())


def _of_file(path: Path, text: str) -> Iterator[Mutant]:
    source = Source(path, text)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield from _of_call(source, node, node.func)
        elif isinstance(node, ast.Call) and _names(node.func) == "and_" and path == _ONLY_DELETES:
            yield from (source.without(condition) for condition in node.args)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and _names(node.target) == "only_if":
            entries = node.value if isinstance(node.value, ast.Dict) else ast.Dict([], [])
            for key, value in zip(entries.keys, entries.values, strict=True):
                yield source.without(_entry(key, value))


def _of_call(source: Source, call: ast.Call, method: ast.Attribute) -> Iterator[Mutant]:
    match method.attr:
        case "where" if _begins_with(method, ("update", "delete")):
            are_guards = len(call.args) > 1 or _calls(method.value, "where")
            for condition in call.args:
                if are_guards or not _is_key(condition):
                    yield source.without(condition)
        case "with_for_update" | "on_conflict_do_nothing":
            yield source.without(call, ast.unparse(method.value))
        case "on_conflict_do_update":
            yield from (source.without(k) for k in call.keywords if k.arg == "where")
        case "hold" if _names(method.value) == "leases":
            yield source.without(call, _ALWAYS_MINE)


def _is_key(condition: ast.expr) -> bool:
    """Return whether the only condition of a statement does no more than name its rows."""
    if isinstance(condition, ast.Compare):
        return isinstance(condition.ops[0], ast.Eq)
    named = isinstance(condition, ast.Call) and _names(condition.func) in ("in_", "among")
    return named or isinstance(condition, ast.Name | ast.Starred)


def _of_schema(path: Path, text: str) -> Iterator[Mutant]:
    source = Source(path, text)
    for node in ast.walk(source.tree):
        is_unique = isinstance(node, ast.keyword) and node.arg == "unique"
        if is_unique or (isinstance(node, ast.Call) and _names(node.func) == "UniqueConstraint"):
            yield source.without(node)


def _names(node: ast.AST) -> str:
    """Return the last word of a name, also of one with dots."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _begins_with(node: ast.expr, names: Collection[str]) -> bool:
    """Return whether a chain of calls begins with a call of one of these functions."""
    while isinstance(node, ast.Attribute | ast.Call):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id in names
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return False


def _calls(node: ast.expr, method: str) -> bool:
    """Return whether a method of this name is called in a chain of calls."""
    while isinstance(node, ast.Attribute | ast.Call):
        if isinstance(node, ast.Attribute) and node.attr == method:
            return True
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return False


def _entry(key: ast.expr | None, value: ast.expr) -> ast.AST:
    """Return a node that covers both the key and the value of an entry."""
    entry, begin = ast.Expr(value), key or value
    entry.lineno, entry.col_offset = begin.lineno, begin.col_offset
    entry.end_lineno, entry.end_col_offset = value.end_lineno, value.end_col_offset
    return entry


def tests_of(mutant: Mutant, contexts: Path | None) -> list[str]:
    """Return the tests that run its function, the most likely first; all where that is unknown.

    Those below tests/store come first, then those that run the fewest lines of the file.
    """
    if contexts is None or mutant.path == Path(_MIGRATION):
        return list(FOLDERS)
    from coverage import CoverageData

    data = CoverageData(str(contexts))
    data.read()
    (file,) = [f for f in data.measured_files() if f.endswith(str(mutant.path))]
    by_line = data.contexts_by_lineno(file)
    lines = Counter(c.split("|")[0] for found in by_line.values() for c in found if c)
    running = {c.split("|")[0] for n in _function_around(mutant) for c in by_line.get(n, ()) if c}
    return sorted(running, key=lambda test: (not test.startswith(FOLDERS[0]), lines[test], test))


def _function_around(mutant: Mutant) -> range:
    tree = ast.parse((ROOT / mutant.path).read_text())
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.lineno <= mutant.line <= (node.end_lineno or node.lineno)
    ]
    innermost = max(around, key=lambda node: node.lineno, default=None)
    if innermost is None:
        return range(mutant.line, mutant.line + 1)
    return range(innermost.body[0].lineno, (innermost.end_lineno or innermost.lineno) + 1)


def first_failure(mutant: Mutant, copy: Path, tests: list[str]) -> str | None:
    """Return the first test that fails without the guard, None if all pass.

    Raises NoVerdict if the tests could not be run to a result.
    """
    path = copy / mutant.path
    whole = path.read_text()
    path.write_text(mutant.source)
    try:
        return _run(copy, tests)
    finally:
        path.write_text(whole)


class NoVerdict(Exception):
    """Tests that say nothing about a guard: none were found, or pytest itself failed."""


def noticed_by(returncode: int, output: str) -> str | None:
    """Return the test that failed, by how pytest ended; None if all passed.

    Raises NoVerdict unless pytest says that tests passed or failed: a fixture that fails, an ERROR,
    asserts nothing.
    """
    if returncode == pytest.ExitCode.OK:
        return None
    failed = [line for line in output.splitlines() if line.startswith("FAILED")]
    if returncode == pytest.ExitCode.TESTS_FAILED and failed:
        return failed[0].split(" - ")[0]
    raise NoVerdict(f"pytest ended with {returncode}: {output[-300:]}")


def _run(copy: Path, tests: list[str]) -> str | None:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:randomly"]
    (copy / "chosen").write_text("\n".join(tests))
    try:
        done = subprocess.run(
            [*command, "--no-header", "--tb=no", "@chosen"],
            check=False,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy)},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NoVerdict("no end") from None
    return noticed_by(done.returncode, done.stdout + done.stderr)


def main() -> None:
    """Print each guard with the test that notices when it is gone."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--list", action="store_true", help="only say what the guards are")
    parser.add_argument("--contexts", type=Path, help="which test runs which line")
    parser.add_argument("--most", type=int, help="try so many tests of each guard at most")
    parser.add_argument("--tests", nargs="+", help="run these tests alone")
    parser.add_argument("part", nargs="*", help="only guards whose line names one of these")
    given = parser.parse_args()
    chosen = [m for m in mutants() if not given.part or any(p in str(m) for p in given.part)]
    if given.list:
        print(*chosen, sep="\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", ".*cache"))
        for mutant in chosen:
            tests = (given.tests or tests_of(mutant, given.contexts))[: given.most]
            print(f"{mutant}\n    {_end(mutant, copy, tests)}", flush=True)


def _end(mutant: Mutant, copy: Path, tests: list[str]) -> str:
    if not tests:
        return "NO TEST runs it"
    try:
        found = first_failure(mutant, copy, tests)
    except NoVerdict as e:
        return f"NO VERDICT: {e}"
    end = found or (f"accepted: {mutant.accepted}" if mutant.accepted else "SURVIVED")
    return f"{end} ({len(tests)} tests or folders chosen)"


if __name__ == "__main__":
    main()
