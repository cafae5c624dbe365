"""Renders the simulator's templates."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def amount(value: Any) -> str:
    """Return an amount for people."""
    try:
        return f"{Decimal(value):,.2f}"
    except (ArithmeticError, TypeError, ValueError):
        return "-"


_environment.filters["amount"] = amount


def render(
    request: Request | None, template: str, context: dict[str, Any], status: int = 200
) -> Response:
    text = _environment.get_template(template).render(request=request, **context)
    return HTMLResponse(
        text, status, {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
    )
