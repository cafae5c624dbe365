"""Cookies of ours: what they are called, how a browser gets and loses them, how they are read."""

from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import HTTPConnection
from starlette.responses import Response

from service.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie, that no script can read; without `max_age`, in seconds, until the browser ends.

    Unless it is `of_page`, its name on https has the prefix __Host-: then none can have planted it
    who has another host of our domain, but the browser sends it to the whole host.
    """

    base: str
    path: str
    samesite: Literal["lax", "strict"]
    max_age: int | None = None
    of_page: bool = False

    def name(self, settings: Settings) -> str:
        """Return the cookie's name."""
        return f"__Host-{self.base}" if self._is_of_host(settings) else self.base

    def read(self, request: HTTPConnection[Any], settings: Settings) -> str:
        """Return the cookie that the browser sends, or nothing."""
        return value(cookies_of(request), self.name(settings))

    def give(self, response: Response, content: str, settings: Settings) -> None:
        """Let the browser carry this."""
        response.set_cookie(
            self.name(settings),
            content,
            max_age=self.max_age,
            path=self._path(settings),
            secure=settings.secure_cookies,
            httponly=True,
            samesite=self.samesite,
        )

    def take(self, response: Response, settings: Settings) -> None:
        """Let the browser forget it."""
        response.delete_cookie(
            self.name(settings),
            path=self._path(settings),
            secure=settings.secure_cookies,
            httponly=True,
            samesite=self.samesite,
        )

    def _path(self, settings: Settings) -> str:
        return "/" if self._is_of_host(settings) else self.path

    def _is_of_host(self, settings: Settings) -> bool:
        return settings.secure_cookies and not self.of_page


def cookies_of(request: HTTPConnection[Any]) -> str:
    """Return every cookie that the browser sends, as it stands in the header."""
    return "; ".join(request.headers.getlist("cookie"))


def value(header: str, name: str) -> str:
    """Return the cookie of this name, or nothing; of several, that of the longest path.

    That one comes first (RFC 6265, 5.4). Nothing is unquoted, which ours do not need: Starlette
    does that to every cookie, and before Python 3.11.10 and 3.12.6 a long one with backslashes
    holds a thread for many seconds (CVE-2024-7592).
    """
    for pair in header.split(";"):
        found, _, content = pair.strip().partition("=")
        if found == name:
            return content
    return ""
