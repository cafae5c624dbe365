"""The client of Infactor's database is an extra: without it nothing else is missing."""

import subprocess
import sys

from tests.test_contracts import ROOT, imports_of, modules, within

PROGRAM = """
import sys
sys.modules["pymongo"] = sys.modules["bson"] = None  # as if they were not installed
import service.app, service.context, service.cli.links, service.cli.main, workers.process
import service.infactor.accounts, service.infactor.login_cookie
"""


def test_the_service_starts_where_the_client_is_not_installed() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_nothing_but_service_infactor_speaks_to_infactors_database() -> None:
    found = [
        f"{module} imports {imported}"
        for module, path in modules("service", "workers")
        for imported in imports_of(path)
        if (within(imported, "pymongo") or within(imported, "bson"))
        and not within(module, "service.infactor")
    ]
    assert found == []
