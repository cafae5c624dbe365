"""What holds for the project as a whole: who may import whom, and what lies where."""

import ast
import fnmatch
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest

from service import domain
from service.cli.main import COMMANDS
from service.config.example import variables
from tests.layout import (
    ROOT,
    a_cycle,
    forbidden,
    imports_among,
    imports_of,
    modules,
    parsed,
    within,
)

# Class names with two classes, and why both may have it. The simulator is apart on purpose, and is
# counted by itself: it has to name QuickBooks' things without a look at ours.
CLASSES_OF_ONE_NAME = {
    "Customer": "the table's row, and what the mapping reads of QuickBooks' own record",
    "Invoice": "the table's row, and what the mapping reads of QuickBooks' own record",
}
# File names with several files, by why they may have it.
FILES_OF_ONE_NAME = {
    "one noun, with a file in each layer that deals with it: from its table to its page": {
        *("accounts", "actions", "alerts", "approvals", "companies", "connections", "findings"),
        *("inbox", "invoice", "invoices", "ledger", "proof", "runs", "webhooks"),
        *("event_feed", "events", "guide", "settlements"),
    },
    "a command, and what it carries out": {*("audit", "forget", "links", "sync")},
    "the service's as a whole, and one package's": {"errors", "metrics", "wording"},
    "what is known before something is decided, of the service and of an invoice": {"facts"},
    "what rules ask besides the invoice: what it is, and how it is read": {"circumstances"},
    "each package has one of its own": {"command", "endpoints", "session"},
}
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
        ("service.simulator.app", "service.domain"),
        ("service.domain", "service.kit.clock"),
        ("service.app", "service.simulator.app"),
        ("workers.sync", "service.simulator"),
        ("service.monitoring.webhooks", "service.web.templating"),
        ("service.kit.vault", "service.database.types"),
        ("service.database.engine", "service.store.invoices"),
        ("service.database.migrations.versions.20261126_first_schema", "service.store.invoices"),
        ("service.store.runs", "service.coordination.leases"),
        ("service.queries.invoices", "service.operations.actions"),
        ("service.web.ops.login", "service.web.supplier.dashboard"),
        ("service.web.webhook.endpoint", "service.web.ops.login"),
        ("service.web.supplier.dashboard", "service.web.ops.flash"),
        ("workers.sync", "workers.runs.backfill"),
        ("workers.recording.record", "workers.delivery.deliver"),
        ("workers.recording.record", "workers.reading.by_id"),
        ("workers.reading.reads", "workers.company"),
    ],
)
def test_the_rule_of_the_layout_can_say_no(module: str, imported: str):
    assert forbidden(module, imported)


def test_no_module_imports_itself_by_way_of_others():
    imports = imports_among(dict(modules("service", "workers")))
    assert imports["service.config.loading"] >= {"service.config.settings", "service.errors"}
    assert a_cycle(imports) == []


def test_an_import_in_a_circle_is_found_unless_it_is_for_types_alone(tmp_path: Path):
    written = {
        "one": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import two\n",
        "two": "def later():\n    from three import something\n",
        "three": "import one\n",
    }
    paths = {name: tmp_path / f"{name}.py" for name in written}
    for name, text in written.items():
        paths[name].write_text(text)
    assert a_cycle(imports_among(paths)) == []
    paths["one"].write_text("import two\n")
    assert sorted(set(a_cycle(imports_among(paths)))) == ["one", "three", "two"]


def repeated(names: Iterable[tuple[str, str]]) -> set[str]:
    """Return the names that several of these (module, name) have, the simulator's by themselves."""
    counts = Counter((within(module, "service.simulator"), name) for module, name in names)
    return {name for (_, name), count in counts.items() if count > 1}


def classes_of(path: Path) -> Iterator[str]:
    """Give the name of each class of the file, also of those within others."""
    for node in ast.walk(parsed(path.read_text())):
        if isinstance(node, ast.ClassDef):
            yield node.name


def test_a_class_name_stands_for_one_thing():
    found = repeated(
        (module, name)
        for module, path in modules("service", "workers")
        for name in classes_of(path)
    )
    assert found == set(CLASSES_OF_ONE_NAME)


def test_a_file_name_is_used_again_only_with_a_reason():
    found = repeated(
        (module, path.stem)
        for module, path in modules("service", "workers")
        if path.stem != "__init__"
    )
    assert found == {name for names in FILES_OF_ONE_NAME.values() for name in names}


def test_a_name_is_repeated_within_the_service_or_within_the_simulator(tmp_path: Path):
    path = tmp_path / "classes.py"
    path.write_text("class One:\n    class Two: ...\ndef make():\n    class Three: ...\n")
    assert list(classes_of(path)) == ["One", "Two", "Three"]
    both = [("service.web.state", "State"), ("service.simulator.state", "State")]
    assert repeated(both) == set()
    assert repeated([*both, ("workers.sync", "State")]) == {"State"}
    assert repeated([*both, ("service.simulator.app", "State")]) == {"State"}


def test_only_what_speaks_to_intuit_or_to_operators_calls_anybody_by_http():
    """Clients are handed on elsewhere; the demo and the simulator are not the service."""
    allowed = {
        "service.company_access",
        "service.services",
        "service.quickbooks.client",
        "service.quickbooks.oauth",
        "service.quickbooks.faults",
        "service.kit.bounded_http",
        "service.kit.tls",
        "service.kit.signed_post",
    }
    found = {
        module
        for module, path in modules("service", "workers")
        if any(within(imported, "httpx") for imported in imports_of(path))
    }
    apart = ("service.simulator", "service.cli")
    assert {m for m in found if not any(within(m, part) for part in apart)} == allowed


def test_nothing_but_service_infactor_speaks_to_infactors_database():
    found = [
        f"{module} imports {imported}"
        for module, path in modules("service", "workers")
        for imported in imports_of(path)
        if (within(imported, "pymongo") or within(imported, "bson"))
        and not within(module, "service.infactor")
    ]
    assert found == []


def test_the_service_runs_without_ever_importing_the_simulator():
    _, with_all_commands = imported_by(*_START)
    assert "service.simulator" not in with_all_commands


# What `serve` and `worker` import at their start, and then all other commands.
_START = (
    "import service.app, workers.process\n"
    "from service.cli.main import COMMANDS\n"
    "[command.load() for command in COMMANDS if command.name in ('serve', 'worker')]",
    "[command.load() for command in COMMANDS]",
)
# What a list of commands imports, and then their help.
_HELP_OF_ALL = (
    "import service.cli.main",
    "import contextlib, io\n"
    "from service.cli.main import app\n"
    "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
    "    app(['--help'])",
)


@cache
def imported_by(*programs: str) -> list[set[str]]:
    """Return what a Python has imported after each of these programs, besides its own library."""
    say = "\nimport sys; sys.stdout.write(' '.join(sys.modules) + '\\n')\n"
    ended = subprocess.run(
        [sys.executable, "-c", "".join(program + say for program in programs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return [{*line.split()} - sys.stdlib_module_names for line in ended.stdout.splitlines()]


def test_a_list_of_commands_imports_none_of_them():
    """`--help`, `--version` and a mistyped command answer at once."""
    imported, _ = imported_by(*_HELP_OF_ALL)
    ours = {name for name in imported if within(name, "service")}
    assert ours == {"service", "service.kit", "service.kit.memory", *_HELP}
    assert not imported & {"rich.console", "sqlalchemy", "pydantic", "httpx", "dramatiq"}


_HELP = {"service.cli", "service.cli.help", "service.cli.main"}


def test_help_costs_hardly_more_than_a_start():
    """What Typer's own help draws its boxes with is half of the CPU that `--help` took."""
    _, imported = imported_by(*_HELP_OF_ALL)
    assert not {name for name in imported if within(name, "rich")}
    assert not imported & {"typer.rich_utils", "markdown_it", "pygments"}


def test_a_start_imports_nothing_that_only_another_command_needs():
    imported, _ = imported_by(*_START)
    assert "sqlalchemy" in imported
    # `redis` imports what it finds of OpenTelemetry; ours is imported where it is asked for.
    assert not imported & {"service.kit.otlp", "alembic", "mako", "apprise"}
    assert not imported & {"service.cli.demo", "service.cli.runs"}


def test_the_list_says_of_a_command_what_its_help_begins_with():
    for row in COMMANDS:
        help_text = row.load().help
        assert help_text
        assert help_text.partition("\n\n")[0] == row.summary


def test_the_guide_names_every_setting():
    page = (ROOT / "service" / "guide" / "settings.md").read_text()
    names = [variable.name for variable in variables()]
    assert [name for name in names if f"`{name}`" not in page] == []


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


WORDS = {
    *(
        member.value
        for kind in vars(domain).values()
        if isinstance(kind, type) and issubclass(kind, StrEnum)
        for member in kind
    ),
    *(action.past for action in domain.Action),
}
# Fields that hold one of those words, wherever a value is given to one by its name.
FIELDS = {
    *("state", "status", "kind", "cause", "severity", "hold", "action", "outcome", "operation"),
}
# Where the same letters are a word of somebody else's, or of a type of the module's own.
OTHER_WORDS = {
    ("service.config.loading", "missing"),  # pydantic's
    ("service.links", "connect"),
    ("service.queries.invoices", "changed"),
    ("service.web.supplier.invoice", "created"),  # a field of the document
}


def bare_words(tree: ast.AST) -> Iterator[ast.Constant]:
    """Give each word of the domain that is compared, or given to a field, as a bare string."""
    for node in ast.walk(tree):
        used: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            used = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            used = [node.value]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            used = [v for k, v in pairs if isinstance(k, ast.Constant) and k.value in FIELDS]
        elif isinstance(node, ast.Call):
            used = [word.value for word in node.keywords if word.arg in FIELDS]
            if isinstance(node.func, ast.Attribute) and node.func.attr in ("in_", "not_in"):
                used += node.args
        for value in used:
            parts = value.elts if isinstance(value, ast.Tuple | ast.List | ast.Set) else [value]
            yield from (p for p in parts if isinstance(p, ast.Constant) and p.value in WORDS)


def test_no_word_of_the_domain_is_used_as_a_bare_string():
    found = [
        f"{module}:{word.lineno} {word.value}"
        for module, path in modules("service", "workers")
        if not within(module, "service.simulator")
        for word in bare_words(parsed(path.read_text()))
        if (module, word.value) not in OTHER_WORDS
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        'run.state == "active"',
        '"failed" != notice.status',
        'notice.status in ("done", "pending")',
        'Run.state.not_in(["done", "failed"])',
        'update(Run).values(state="failed")',
        'Found(severity="critical")',
        'insert(Connection, {"state": "connected"})',
        'match state:\n    case "disconnected":\n        pass',
        'receipt.outcome == "withdrawn"',
    ],
)
def test_a_word_of_the_domain_as_a_bare_string_is_found(code: str):
    assert list(bare_words(ast.parse(code)))


def test_other_texts_and_the_domains_own_members_are_no_bare_words():
    code = 'run.state == RunState.ACTIVE or name == "Smith" or f(state="?", title="done")'
    assert list(bare_words(ast.parse(code))) == []


def name_of(called: ast.expr) -> str:
    """Return a name, or an attribute of one, as it is written; nothing for what is longer."""
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        return f"{called.value.id}.{called.attr}"
    return called.id if isinstance(called, ast.Name) else ""


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
        for node in ast.walk(parsed(path.read_text()))
        if isinstance(node, ast.Call)
        and name_of(node.func) in ("monkeypatch.setattr", "mocker.patch", "patch")
        and re.match(r"['\"]?(service|workers)\b", ast.unparse(node.args[0]))
    ]
    assert found == []


CALLS = re.compile(r"httpx\.(Client|get|post|put|patch|delete|head|options|request|stream)")


def test_every_call_of_a_test_says_how_patient_it_is():
    """httpx waits for five seconds, and a busy machine takes longer now and then."""
    calls = [
        (path.name, node)
        for _, path in modules("tests")
        for node in ast.walk(parsed(path.read_text()))
        if isinstance(node, ast.Call) and CALLS.fullmatch(ast.unparse(node.func))
    ]
    assert len(calls) > 30
    assert [
        f"{name}:{call.lineno}"
        for name, call in calls
        if not {"timeout", "transport"} & {given.arg for given in call.keywords}
    ] == []


def test_no_module_of_the_tests_imports_from_a_file_of_tests():
    """What two files share stands in a module of its own."""
    found = [
        f"{module} imports {imported}"
        for module, path in modules("tests")
        for imported in imports_of(path)
        if within(imported, "tests") and ".test_" in imported
    ]
    assert found == []


def test_every_module_is_imported_by_another_one():
    """What nobody imports is left over; commands are imported by their row of the table."""
    every = dict(modules("service", "workers"))
    commands = {f"service.cli.{row.place.partition(':')[0]}" for row in COMMANDS}
    imported = set().union(*imports_among(every, for_types=True).values()) | commands
    by_tools = {"service.cli.__main__", "service.database.migrations.env"}
    left_over = {
        module
        for module, path in every.items()
        if path.stem != "__init__" and "versions" not in path.parts
    }
    assert left_over - imported - by_tools == set()
