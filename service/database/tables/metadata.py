"""The metadata that every table is part of, and that migrations are compared with."""

from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The metadata that migrations are compared with."""
