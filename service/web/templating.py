"""Renders templates, and formats times, e-mail addresses and addresses of files for them."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates
from starlette.types import Scope

from service.kit.clock import now
from service.queries.invoices import MOST_COUNTED
from service.wording import ago, day, money

_HERE = Path(__file__).parent
ROW_ID = re.compile(r"[0-9A-Za-z-]{1,32}")
_AFTER_A_SIGN = re.compile(r"(?<=[@.])(?=\w)")
_TIME = Markup('<time datetime="{}" title="{}"{}>{}</time>')
_YEARLESS = Markup(" data-yearless")
_SECONDS = Markup(" data-seconds")
_AGO = Markup(" data-ago")
STATIC = _HERE / "static"


def render(
    request: Request[Any], name: str, context: Mapping[str, Any] | None = None, status: int = 200
) -> Response:
    return _templates.TemplateResponse(
        request, name, {"supplier": None, **(context or {})}, status_code=status
    )


def part(name: str, context: Mapping[str, Any]) -> Markup:
    """Return a piece of a page, rendered from this template."""
    return Markup(_templates.env.get_template(name).render(context))  # noqa: S704 - it escapes


def version_of(shown: object) -> str:
    """Return a hash of what a page shows, with which it later asks whether it is out of date."""
    return sha256(repr(shown).encode()).hexdigest()[:16]


def unless_seen(request: Request[Any], version: str, answer: Callable[[], Response]) -> Response:
    """Return the answer, or 204 if the browser shows this version already."""
    seen = request.query_params.get("seen") == version
    return Response(status_code=204) if seen else answer()


def row_id(request: Request[Any]) -> str:
    """Return the id in the address; 404 if no row can have it."""
    found: str = request.path_params["id"]
    if not ROW_ID.fullmatch(found):
        raise HTTPException(404)
    return found


def time_tag(when: datetime, *, year: bool = True, seconds: bool = False) -> Markup:
    """Return a time as HTML: in UTC, until times.js shows it in the reader's zone."""
    utc = when.astimezone(UTC)
    day, clock = f"{utc.day} {utc:%b}", f"{utc:%H:%M:%S}" if seconds else f"{utc:%H:%M}"
    return _TIME.format(
        utc.isoformat(),
        f"{day} {utc:%Y, %H:%M:%S} UTC",
        ("" if year else _YEARLESS) + (_SECONDS if seconds else ""),
        f"{day} {utc:%Y}, {clock} UTC" if year else f"{day}, {clock} UTC",
    )


def ago_tag(when: datetime) -> Markup:
    """Return a time as HTML that says how long ago it was; times.js keeps that true."""
    utc = when.astimezone(UTC)
    return _TIME.format(
        utc.isoformat(), f"{utc.day} {utc:%b %Y, %H:%M:%S} UTC", _AGO, ago(when, now())
    )


def email(text: str) -> Markup:
    """Return an e-mail address as HTML that breaks after @ or a dot only."""
    return Markup("<wbr>").join(_AFTER_A_SIGN.split(text))


def short_count(count: int) -> str:
    """Return a number of invoices; one that was not counted to its end as `1,000+`."""
    return f"{MOST_COUNTED:,}+" if count > MOST_COUNTED else f"{count:,}"


@cache
def static(name: str) -> str:
    """Return a file's address, which changes with its content so that browsers may cache it."""
    content = sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/quickbook/static/{name}?{content}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"money": money, "time_tag": time_tag, "day": day, "email": email}
    environment.filters |= {"ago": ago_tag, "short": short_count}
    environment.globals |= {"static": static}
    return environment


_templates = Jinja2Templates(env=_environment())


class _Kept(StaticFiles):
    """Files that a browser may cache for a year, if their address matches their content here."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        asked = f"?{scope['query_string'].decode('latin-1')}"
        is_ours = response.status_code < 400 and static(path).endswith(asked)
        lasting = "public, max-age=31536000, immutable"
        response.headers["Cache-Control"] = lasting if is_ours else "no-cache"
        return response


routes = [Mount("/quickbook/static", _Kept(directory=STATIC))]
