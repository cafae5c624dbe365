"""What holds for the project as a whole: who may import whom, and what lies where."""

import ast
import fnmatch
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from service.cli.main import app
from service.config.example import variables

ROOT = Path(__file__).parent.parent
APART = ("quickbooks", "infactor", "store", "simulator")
TOP_LEVEL = {
    "service",
    "workers",
    "tests",
    "example.env",
    "docker-compose.yml",
    "pyproject.toml",
    "README.md",
    "requirements.lock",
}


def modules(*packages: str) -> Iterator[tuple[str, Path]]:
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports_of(path: Path) -> Iterator[str]:
    """Give every module that `path` imports, inside functions and for type checks too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def forbidden(module: str, imported: str) -> bool:
    """True where the rule of the layout says no; only service.cli may import everything."""
    if within(module, "service.cli"):
        return False
    if within(imported, "service.cli"):
        return True
    for above, below in (("workers", "service"), ("service.web", "service.monitoring")):
        if within(module, below) and within(imported, above):
            return True
    mine = next((part for part in APART if within(module, f"service.{part}")), None)
    if mine is None:
        return within(imported, "service.simulator")
    others = {*APART, "web"} - {mine}
    if any(within(imported, f"service.{other}") for other in others):
        return True
    return mine == "simulator" and (
        within(imported, "service") and not within(imported, "service.simulator")
    )


def test_every_import_follows_the_layout():
    found = [
        f"{module} imports {imported}"
        for module, path in modules("service", "workers")
        for imported in imports_of(path)
        if forbidden(module, imported)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "imported"),
    [
        ("service.app", "workers.sync"),
        ("service.web.connect", "service.cli.main"),
        ("workers.process", "service.cli"),
        ("service.store.inbox", "service.quickbooks.event"),
        ("service.infactor.mapping", "service.web"),
        ("service.simulator.app", "service.errors"),
        ("service.app", "service.simulator.app"),
        ("workers.sync", "service.simulator"),
        ("service.monitoring.notices", "service.web.templating"),
    ],
)
def test_the_rule_of_the_layout_can_say_no(module: str, imported: str):
    assert forbidden(module, imported)


def test_only_what_speaks_to_intuit_or_to_operators_calls_anybody_by_http():
    """`access` and `bootstrap` hand clients on; the demo and the simulator are not the service."""
    allowed = {
        "service.access",
        "service.context",
        "service.quickbooks.client",
        "service.quickbooks.oauth",
        "service.quickbooks.http",
        "service.monitoring.sender",
    }
    found = {
        module
        for module, path in modules("service", "workers")
        if any(within(imported, "httpx") for imported in imports_of(path))
    }
    apart = ("service.simulator", "service.cli")
    assert {m for m in found if not any(within(m, part) for part in apart)} == allowed


def test_the_service_runs_without_ever_importing_the_simulator():
    program = (
        "import sys, service.cli.main, service.app, workers.process\n"
        "sys.exit([name for name in sys.modules if name.startswith('service.simulator')] or 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_readme_names_every_setting():
    readme = (ROOT / "README.md").read_text()
    names = [variable.name for variable in variables()]
    assert [name for name in names if f"`{name}`" not in readme] == []


def test_every_command_of_the_readme_exists():
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\binfactor-quickbooks ([a-z][a-z-]+)", readme))
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    assert named
    assert named - set(group.commands) == set()


def test_the_top_level_holds_only_what_belongs_there():
    ignored = (ROOT / ".gitignore").read_text().split()
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    made = {
        name
        for name in found
        if any(fnmatch.fnmatch(name, pattern.rstrip("/")) for pattern in ignored)
    }
    assert found - made == TOP_LEVEL


def test_the_lock_file_names_no_place_to_download_from():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert "--find-links" not in lock
    assert "index" not in lock


def test_no_test_replaces_our_own_code():
    found = [
        f"{path.name}: {imported}"
        for _, path in modules("tests")
        for imported in imports_of(path)
        if within(imported, "unittest.mock") or within(imported, "mock")
    ]
    found += [
        f"{path.name}:{node.lineno}"
        for _, path in modules("tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("monkeypatch.setattr", "mocker.patch", "patch")
        and re.match(r"['\"]?(service|workers)\b", ast.unparse(node.args[0]))
    ]
    assert found == []
