"""How this suite runs: side by side, the slow ones first, with its progress and its gaps told."""

import gc
import importlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest

from tests.missing import summary

_TESTS = Path(__file__).parent
# Minutes of waiting for storms, browsers and deployments, in this order: what begins with them ends
# sooner, and the longest test of all is not the last.
_LONG = ("tests/journey/", "tests/browser/", "tests/cli/")
THEIR_OWN = ("TEST_DATABASE_URL", "TEST_REDIS_URL", "TEST_MONGODB_URL")
"""Settings by which a test uses a server that is there, in place of one of its own."""
_SERVERS = frozenset({"postgres_url", "redis_url", "mongodb_url"})
# What --fast tests: every part by itself, and the one road through all of them on SQLite.
_FAST = (
    *("test_", "infactor/", "monitoring/", "quickbooks/", "simulator/", "store/"),
    *("web/test_connect.py", "web/test_webhooks.py", "workers/test_sync.py"),
)


def workers(config: pytest.Config) -> int:
    """Return in how many processes to test: two a core for the suite, none for a file or a few.

    Most tests wait for something half of their time, but not those of --fast. A process takes five
    seconds to begin.
    """
    if any(os.environ.get(name) for name in THEIR_OWN):
        return 0  # one server for all of them
    if not _is_whole(config):
        return 0
    return (1 if config.getoption("--fast") else 2) * len(os.sched_getaffinity(0))


def _is_whole(config: pytest.Config) -> bool:
    asked = [Path(argument.split("::")[0]).resolve() for argument in config.args]
    return any(path in (_TESTS, _TESTS.parent) for path in asked)


def import_a_share(config: pytest.Config) -> None:
    """Import every nth file of the whole suite in the nth of n processes, before it collects.

    Whoever is the first to import a file keeps it compiled, with its assertions rewritten. In a new
    checkout, each process would else do that for every file: two thirds of what collecting costs.
    """
    if not _is_whole(config):
        return
    number = int(config.workerinput["workerid"].removeprefix("gw"))  # type: ignore[attr-defined]
    processes = config.workerinput["workercount"]  # type: ignore[attr-defined]
    files = sorted(path for path in _TESTS.rglob("test_*.py") if not is_left_out(path, config))
    for path in files[number::processes]:
        importlib.import_module(".".join(path.relative_to(_TESTS.parent).with_suffix("").parts))


def freeze() -> None:
    """Let no later garbage collection go through thousands of tests, a tenth of all CPU."""
    gc.collect()
    gc.freeze()


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Go by folders, the long ones first; with --fast, leave out what needs a server.

    Within its folder each file stays where chance has put it. Of several processes each begins with
    long ones.
    """
    if config.getoption("--fast"):
        left_out = [item for item in items if _is_slow(item)]
        items[:] = [item for item in items if not _is_slow(item)]
        config.hook.pytest_deselected(items=left_out)
    items.sort(key=lambda item: (_turn(item.nodeid), _folder(item.nodeid)))
    if hasattr(config, "workerinput"):
        items[:] = _dealt(items, config.workerinput["workercount"])


def _dealt(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """Give each process its share of the long files: pytest-xdist hands out the first nth of all
    tests, the next nth and so on, so one process had nearly all of them, and the last to itself.
    """
    long = [item for item in items if _turn(item.nodeid) < len(_LONG)]
    files = dict.fromkeys(item.path for item in long)
    owner = {path: number % processes for number, path in enumerate(files)}
    others = iter(items[len(long) :])
    dealt: list[pytest.Item] = []
    for number in range(processes):
        size = (len(items) - len(dealt)) // (processes - number)
        own = [item for item in long if owner[item.path] == number]
        dealt += [*own, *islice(others, max(0, size - len(own)))]
    return [*dealt, *others]


def _turn(nodeid: str) -> int:
    return next((n for n, start in enumerate(_LONG) if nodeid.startswith(start)), len(_LONG))


def is_left_out(path: Path, config: pytest.Config) -> bool:
    """Return whether this file of tests is not even looked at."""
    if not config.getoption("--fast") or not path.name.startswith("test_"):
        return False
    return not path.relative_to(_TESTS).as_posix().startswith(_FAST)


def _is_slow(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function):
        return False
    kinds = getattr(item, "callspec", None)
    return (
        item.get_closest_marker("slow") is not None
        or not _SERVERS.isdisjoint(item.fixturenames)
        or (kinds is not None and "postgresql" in kinds.params.values())
    )


def end_in_order() -> None:
    """Let SIGTERM end the session as Ctrl-C does, so that every fixture is torn down."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


class Progress:
    """Prints a line for each folder when the last of its tests has ended, in place of dots."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._began = time.monotonic()
        self._all: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the tests of a session in one process."""
        self._begin(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Iterable[str]) -> None:
        """Count the tests of a session in several, which all collect the same."""
        self._begin(ids)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Print no letter of a test that has passed or failed."""
        if report.failed:  # `pytest_runtest_logreport` names it
            return ("failed" if report.when == "call" else "error"), "", "FAILED"
        return ("passed", "", "") if report.when == "call" and report.passed else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name a test that has failed; count it, and each that has ended."""
        folder = _folder(report.nodeid)
        if report.failed:
            self._failed[folder] += 1
            self._write(f"{time.monotonic() - self._began:4.0f} s  FAILED {report.nodeid}")
        if report.when != "teardown":
            return
        self._waiting[folder] -= 1
        if self._waiting[folder] == 0:
            total = self._all.total()
            failed = f", {self._failed[folder]} failed" if self._failed[folder] else ""
            self._write(
                f"{time.monotonic() - self._began:4.0f} s  {folder}: {self._all[folder]:,} tests"
                f"{failed}; {total - self._waiting.total():,} of {total:,} done"
            )

    def _write(self, line: str) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.write_line(line)

    def _begin(self, ids: Iterable[str]) -> None:
        self._all = Counter(map(_folder, ids))
        self._waiting = self._all.copy()


class Gaps:
    """Says at the very end what was skipped for want of what."""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the line, where anything was."""
        reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
        if line := summary(reasons):
            terminalreporter.write_line(line, yellow=True)


def _folder(nodeid: str) -> str:
    return nodeid.split("::", maxsplit=1)[0].rpartition("/")[0]
