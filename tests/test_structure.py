"""The figures on a checkout's structure, for a tree that is small enough to count by hand."""

from pathlib import Path

from tests.structure import figures

SHORT = "x = 1\n"
LONG = "x = 1\n" * 60
TREE = {
    "service/__init__.py": '"""A face."""\n',
    "service/errors.py": "class Refused(Exception):\n    pass\n",
    "service/store/__init__.py": "",  # not counted
    "service/store/runs.py": f"from service.store import pages, rows\n{LONG}",
    "service/store/rows.py": SHORT,  # runs.py alone imports it
    "service/store/pages.py": SHORT,  # so does web/pages.py
    "service/web/pages.py": (
        "from service.store import pages\n"
        "from service.web.state import State\n"
        "class Refused(Exception):\n"
        "    @property\n"
        "    def why(self):\n"
        '        """Say why."""\n'
        "        def inner():\n"
        "            return 1\n"
        "        return inner()\n"
    ),
    "service/web/state.py": (  # both import each other alone
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from service.web.pages import Refused\n"
        "class State:\n"
        "    pass\n"
    ),
    "service/simulator/state.py": "class State:\n    pass\n",  # on purpose under the same names
    "service/database/migrations/versions/first.py": "from service.store import runs\n",
    "workers/sync.py": "async def sync():\n    from service.cli import main\n",
    "workers/old_name.py": "import service.cli\n",  # the table does not know it
}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_checkout_is_counted_as_a_reader_would(tmp_path: Path):
    assert figures(tree(tmp_path, TREE)) == {
        "files": 10,
        "packages": 5,
        "lines": 85,
        "lines with migrations": 86,
        "lines per file, median / p75 / p90 / max": "2 / 4 / 14 / 61",
        "files under 60 lines": "80 %",
        "files per package, median / max": "2 / 3",
        "modules imported by one sibling alone": "30 %",
        "function lines, median / p90 / max": "2 / 5 / 6",
        "class names used twice": 1,
        "file names used twice": 1,
        "import cycles": 1,
        "arrows against the layout": 2,
        "modules without an entry in its table": 1,
    }
