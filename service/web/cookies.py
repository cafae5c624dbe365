"""Our cookies: their names, and how they are set, deleted and read."""

from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import HTTPConnection
from starlette.responses import Response

from service.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie that no script can read; `max_age` is in seconds, None until the browser closes.

    Unless it is `of_page`, its name on https has the prefix __Host-. Then no other host of our
    domain can plant it, but the browser sends it to the whole host.
    """

    base: str
    path: str
    samesite: Literal["lax", "strict"]
    max_age: int | None = None
    of_page: bool = False

    def name(self, settings: Settings) -> str:
        return f"__Host-{self.base}" if self._is_of_host(settings) else self.base

    def read(self, request: HTTPConnection[Any], settings: Settings) -> str:
        """Return the cookie that the browser sent, or ""."""
        return value(cookies_of(request), self.name(settings))

    def give(self, response: Response, content: str, settings: Settings) -> None:
        """Set the cookie."""
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
        """Delete the cookie."""
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
    """Return the cookie headers as one text."""
    return "; ".join(request.headers.getlist("cookie"))


def value(header: str, name: str) -> str:
    """Return the cookie of this name, or ""; of several, the first (RFC 6265, 5.4).

    Not Starlette's parser: before Python 3.11.10 and 3.12.6, a long cookie with backslashes makes
    it block a thread for many seconds (CVE-2024-7592).
    """
    for pair in header.split(";"):
        found, _, content = pair.strip().partition("=")
        if found == name:
            return content
    return ""
