"""`/metrics`, for those who may read it."""

from ipaddress import IPv6Address, ip_address
from secrets import compare_digest

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.web.collector import DatabaseCollector
from service.web.state import State

# Whoever sends one of these speaks for somebody else, whom the socket does not show.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


async def metrics(request: Request[State]) -> Response:
    """Answer what this process has counted and what the database knows, in Prometheus' format.

    Without a database the process' own part is answered, and that the database is down.
    """
    settings = request.state["services"].settings
    _check(request, settings.metrics_token)
    measures = await request.state["vitals"].measures.answer()
    # One registry for each scrape: nothing is kept between two, nor shared between applications.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DatabaseCollector(measures, settings.quickbooks_reads_per_month))
    text = generate_latest() + generate_latest(registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def _check(request: Request[State], token: SecretStr | None) -> None:
    """Let those pass who have the token; without one, who is on this machine."""
    if token is None:
        if not _is_local(request):
            raise HTTPException(
                403,
                "from other machines, or by another name than localhost, METRICS_TOKEN is needed",
            )
        return
    given = request.headers.get("authorization", "")
    wanted = f"Bearer {token.get_secret_value()}"
    if not compare_digest(given.encode(), wanted.encode()):
        raise HTTPException(401, "the metrics token is needed", {"WWW-Authenticate": "Bearer"})


def _is_local(request: Request[State]) -> bool:
    """Tell whether the peer is this machine itself, and asks for it; no header can make it so.

    A page from elsewhere may have the browser of somebody here ask, by a name that leads here.
    """
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    asked = request.url.hostname or ""
    return _is_loopback(request.client.host) and (asked == "localhost" or _is_loopback(asked))


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


routes = [Route("/metrics", metrics)]
