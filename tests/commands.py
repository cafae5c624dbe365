"""The command line as other processes run it, without waiting for Python to import it each time.

A server that has imported everything once forks a child for each command (the standard library's
`forkserver`): 0.05 s in place of 2 s. The child has the arguments, environment, folder and streams
that a shell would have given it, and runs `service.cli.main.main`. What such a start cannot show
(what it imports, above all) is tested with a real one, in tests/test_contracts.py
and tests/cli/test_demo.py.
"""

import mmap
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import datetime, tzinfo
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType

from service.kit import clock as kit_clock

CLOCK = struct.Struct("d")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["__main__", "tests.commands_preloaded"])


def run(
    *arguments: str, env: Mapping[str, str], cwd: Path, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; return its exit status and all that it printed.

    Raises subprocess.TimeoutExpired after `timeout` seconds, when the command has been killed.
    """
    with tempfile.TemporaryDirectory(prefix="infactor-test-") as folder:
        out, err = Path(folder, "stdout"), Path(folder, "stderr")
        process = start(*arguments, env=env, cwd=cwd, stdout=out, stderr=err)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout, out.read_text(), err.read_text())
        return subprocess.CompletedProcess(
            arguments, process.exitcode, out.read_text(), err.read_text()
        )


def start(
    *arguments: str,
    env: Mapping[str, str],
    cwd: Path,
    stdout: Path,
    stderr: Path,
    clock: Path | None = None,
) -> ForkServerProcess:
    """Start a command whose output is added to these files; it ends with the tests at the latest.

    An `exitcode` below zero is the signal that ended it, as of subprocess.Popen. Its machine's
    clock is ahead by the seconds that the file `clock` holds at each moment, as CLOCK packs them.
    """
    process = _context.Process(
        target=_become, args=(arguments, dict(env), cwd, stdout, stderr, clock), daemon=True
    )
    process.start()
    return process


def _become(
    arguments: tuple[str, ...],
    env: dict[str, str],
    cwd: Path,
    stdout: Path,
    stderr: Path,
    clock: Path | None,
) -> None:
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    _connect(0, os.open(os.devnull, os.O_RDONLY))
    for number, path in ((1, stdout), (2, stderr)):
        _connect(number, os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process
    sys.argv = ["infactor-quickbooks", *arguments]
    cli = _preloaded().cli
    if clock is not None:
        _go_by(clock)
    cli()


def _go_by(clock: Path) -> None:
    """Let every module of this process see the machine's clock as far ahead as the file says."""
    with clock.open("rb") as file:
        ahead = mmap.mmap(file.fileno(), CLOCK.size, prot=mmap.PROT_READ)
    right = time.time

    def shifted() -> float:
        return right() + float(CLOCK.unpack_from(ahead)[0])

    class Clock:
        fromtimestamp = datetime.fromtimestamp

        @staticmethod
        def now(tz: tzinfo) -> datetime:
            return datetime.fromtimestamp(shifted(), tz)

    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is right:
                setattr(module, name, shifted)
    kit_clock.datetime = Clock  # type: ignore[attr-defined]


def _connect(number: int, opened: int) -> None:
    os.dup2(opened, number)
    os.close(opened)


def _preloaded() -> ModuleType:
    # Without this a module that cannot be imported would only make every test slow.
    found = sys.modules.get("tests.commands_preloaded")
    if found is None:
        raise RuntimeError("the server of commands could not import the command line")
    return found


def _end_with_the_tests() -> None:
    tests = multiprocessing.parent_process()
    assert tests
    tests.join()
    os._exit(1)
