"""The exit statuses of all commands; what each means is in the guide's page of commands."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    ATTENTION = 1
    WRONG_USE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130
