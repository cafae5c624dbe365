"""How much of long bodies one process holds at once, whoever sends them."""

from types import TracebackType


class Room:
    """So many bytes for all; what has no room is to be sent again."""

    def __init__(self, most: int) -> None:
        self.left = most

    def place(self) -> "Place":
        """Return a place for one body, to be used as a context manager."""
        return Place(self)


class Place:
    """What one body takes of the room, given back at the end."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def grow(self, size: int) -> bool:
        """Take room for a body of so many bytes; return False where there is not so much."""
        more = size - self._taken
        if more > self._room.left:
            return False
        self._room.left -= more
        self._taken = size
        return True

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._room.left += self._taken
        self._taken = 0
