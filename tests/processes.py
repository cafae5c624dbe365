"""What processes of this machine use, as Linux tells it; for benchmarks."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Return the seconds of CPU of a process, and of its children that have ended."""
    try:
        return sum(map(int, _stat(pid)[11:15])) / _TICKS
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it has ended, and now counts as its parent's


def cpu_of_all(pid: int) -> float:
    """Return the seconds of CPU of a process and of all that it has started."""
    return cpu(pid) + sum(cpu(one) for one in _descendants(pid))


def running_of_all(pid: int) -> float:
    """Return the same to the nanosecond, but for processes that have ended."""
    ended = sum(map(int, _stat(pid)[13:15])) / _TICKS
    return ended + sum(map(_running, (pid, *_descendants(pid))))


def parent(pid: int) -> int:
    """Return the process that has started this one."""
    return int(_stat(pid)[1])


def megabytes(pid: int, *, peak: bool = False) -> int:
    """Return the resident memory of a process, or the most that it has had."""
    name = "VmHWM" if peak else "VmRSS"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _running(pid: int) -> float:
    """Return the seconds that the first thread of a process was running."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _descendants(pid: int) -> Iterator[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        lists = [(task / "children").read_text() for task in tasks]
    except (FileNotFoundError, ProcessLookupError):
        return  # it has ended meanwhile
    for child in map(int, " ".join(lists).split()):
        yield child
        yield from _descendants(child)
