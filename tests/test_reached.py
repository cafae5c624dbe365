"""Whatever is written is reached: nothing waits for a process that never starts it.

Names are followed from what a process runs first. A function that is reached reaches each name that
stands in it, wherever that is defined. So a job that is handed to no clock, a check that is in no
list, or a setting that nobody reads has a name that nothing reaches. That two things of one name
keep each other alive is the price of reading names alone.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from dramatiq.brokers.stub import StubBroker

from service import jobs
from service.cli.main import COMMANDS
from service.config.loading import settings_from
from service.config.settings import Settings
from service.services import build_services
from tests.layout import ROOT, modules, parsed
from tests.workers.world import environment
from workers.process import declare, lanes_for

# What a process runs first, besides the functions of the commands: their list, the migrations.
ENTRIES = {"service.cli.__main__", "service.cli.main", "service.database.migrations.env"}
# Whoever wrote these decorators calls what they decorate.
_REGISTERING = {
    *("callback", "command", "compiles", "field_serializer", "field_validator", "listens_for"),
    *("model_validator", "serializer", "validator"),
}
# Each with the reason why no process needs it.
UNREACHED = {
    **dict.fromkeys(("down_revision", "branch_labels", "depends_on", "downgrade"), "for Alembic"),
    **dict.fromkeys(("IDENTITY", "CONSTANTS"), "what tests hold the mapping to"),
    **dict.fromkeys(("get_help", "format_epilog", "_HEADING"), "Click calls them"),
    **dict.fromkeys(("settings_from", "_Given", "settings_customise_sources"), "for tests"),
}

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def names_in(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Give each name and attribute that is read in these nodes."""
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
                yield inner.id
            elif isinstance(inner, ast.Attribute):
                yield inner.attr


class Names:
    """What is defined in some modules, by name, and what stands in each definition."""

    def __init__(self, files: Iterable[tuple[str, Path]]) -> None:
        self.bodies: dict[str, list[list[ast.AST]]] = {}
        self.roots: set[str] = set()
        self._ours: set[str] = set()
        trees = {module: parsed(path.read_text()) for module, path in files}
        for tree in trees.values():
            self._ours.update(n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef))
        for module, tree in trees.items():
            for statement in tree.body:
                self._read(statement, module in ENTRIES)

    def unreached(self) -> set[str]:
        """Return the names that nothing reaches from the entries."""
        reached: set[str] = set()
        waiting = set(self.roots)
        while waiting:
            name = waiting.pop()
            reached.add(name)
            found = {n for body in self.bodies.get(name, ()) for n in names_in(body)}
            waiting |= (found & self.bodies.keys()) - reached
        return self.bodies.keys() - reached

    def _read(self, statement: ast.AST, is_entry: bool) -> None:
        if isinstance(statement, _Definition):
            self._define(statement)
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and not is_entry:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    self._put(target.id, [statement])
        elif not isinstance(statement, ast.Import | ast.ImportFrom):
            self.roots.update(names_in([statement]))

    def _define(self, node: _Definition, *, called_by_others: bool = False) -> None:
        inner = node.body if isinstance(node, ast.ClassDef) else []
        methods = [one for one in inner if isinstance(one, _Definition)]
        self._put(node.name, [one for one in ast.iter_child_nodes(node) if one not in methods])
        if called_by_others or _REGISTERING.intersection(names_in(node.decorator_list)):
            self.roots.add(node.name)
        bases = {*names_in(getattr(node, "bases", []))}
        for method in methods:
            # Whoever wrote the class that this one extends calls its methods.
            self._define(method, called_by_others=bool(bases - self._ours))

    def _put(self, name: str, body: list[ast.AST]) -> None:
        if name.startswith("__"):
            self.roots.update(names_in(body))
        else:
            self.bodies.setdefault(name, []).append(body)


def words_of_templates() -> set[str]:
    """Return each word that stands in a template."""
    texts = (path.read_text() for path in (ROOT / "service").rglob("*.html"))
    return {word for text in texts for word in re.findall(r"\w+", text)}


def test_everything_is_reached_from_a_process():
    names = Names(modules("service", "workers"))
    names.roots |= words_of_templates()
    names.roots |= {row.place.partition(":")[2] for row in COMMANDS}
    assert names.unreached() == set(UNREACHED)


def test_what_only_its_own_table_names_is_not_reached(tmp_path: Path):
    path = tmp_path / "work.py"
    path.write_text(
        "def look(): return deep()\n"
        "def deep(): ...\n"
        "LOOKS = (look,)\n"
        "@app.command()\n"
        "def command(): return used\n"
        "used = 1\n"
        "class Ours:\n"
        "    def never(self): ...\n"
        "class Theirs(Middleware):\n"
        "    def after_boot(self): return Ours\n"
    )
    names = Names([("work", path)])
    assert names.unreached() == {"look", "deep", "LOOKS", "never", "Theirs"}


def test_every_kind_of_message_has_its_actor(sqlite_url: str):
    settings = settings_from(environment("http://127.0.0.1:8700", sqlite_url))
    services = build_services(settings, StubBroker())
    try:
        declare(services.jobs.broker, services, lanes_for(1))
        assert services.jobs.broker.get_declared_actors() == {job.name for job in jobs.ALL}
    finally:
        services.close()


def test_every_setting_is_read_by_more_than_its_own_check():
    files = [one for one in modules("service", "workers") if "config" not in one[1].parts]
    read = {name for _, path in files for name in names_in([parsed(path.read_text())])}
    # Whole URLs of several settings are properties of the settings.
    read |= {*names_in([parsed((ROOT / "service/config/settings.py").read_text())])}
    # The one that only gives another its value.
    assert set(Settings.model_fields) - read == {"old_redirect_uri"}
