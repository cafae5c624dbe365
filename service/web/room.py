"""How much of long bodies one process holds at once, whoever sends them."""

from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """So many bytes for all; what has no room is to be sent again."""

    def __init__(self, most: int) -> None:
        self.left = most

    @contextmanager
    def place(self) -> Iterator["Place"]:
        """Give a place for one body; at the end there is room again for what it has taken."""
        place = Place(self)
        try:
            yield place
        finally:
            self.left += place.taken


class Place:
    """What one body takes of the room, in bytes."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.taken = 0

    def grow(self, size: int) -> bool:
        """Take room for a body of so many bytes; return False where there is not so much."""
        more = size - self.taken
        if more > self._room.left:
            return False
        self._room.left -= more
        self.taken = size
        return True
