"""The base class of every table."""

from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Holds the metadata that migrations are compared with."""
