"""What a command's exit status says: the one table of it, which the guide repeats."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended; `meaning` is what the guide says of it."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> "Exit":
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "done, and nothing is wrong"
    ATTENTION = (
        1,
        "done, and something needs a person: a condition, a difference, a failure, or a company"
        " that was left out",
    )
    WRONG_USE = (
        2,
        "not done: an option or a setting is wrong, nothing has that name, or its state forbids it",
    )
    UNREACHABLE = (
        3,
        "not done: the database, Infactor's MongoDB or QuickBooks does not answer, or refuses us",
    )
    INTERRUPTED = 130, "ended by Ctrl-C"
