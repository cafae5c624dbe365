"""What commands share: settings, services, the choice of companies, options."""

import getpass
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import structlog
import typer
from dramatiq import Broker
from redis import RedisError
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service.cli.console import ENV_FILE, database_trouble, fail, hint
from service.config.loading import load_settings
from service.config.settings import Settings
from service.coordination import clocks
from service.database.schema import prepare
from service.database.tables import Connection, Supplier
from service.domain import ConnectionState, realm_id_of
from service.errors import ConfigurationError
from service.kit import clock, logs
from service.services import Services, build_services
from service.store import connections, invoices

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 2.0
_SAY_AGAIN_SECONDS = 60.0

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, on stdout.")]

Chosen = tuple[Connection, Supplier]

BySupplier = Annotated[
    str | None, typer.Option("--supplier", metavar="EMAIL", help="All companies of this supplier.")
]
ByRealm = Annotated[
    str | None, typer.Option("--company", metavar="REALM", help="The company with this realm id.")
]
ById = Annotated[
    str | None,
    typer.Option("--connection", metavar="ID", help="The company whose connection has this id."),
]


OnlySupplier = Annotated[
    str | None, typer.Option("--supplier", metavar="EMAIL", help="Only this supplier's.")
]
Everybody = Annotated[bool, typer.Option("--all", help="Every connected company.")]

_LARGEST_ID = 2**63 - 1


def an_id(text: str) -> int:
    """Return the id of a row; refuses what no row has, and no database takes."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _LARGEST_ID):
        raise typer.BadParameter(f"{text!r} is no id.")
    return int(text)


def name_one(given: Mapping[str, object]) -> None:
    """Exit unless exactly one of these options is there, each by what one types for it."""
    if sum(value not in (None, False) for value in given.values()) != 1:
        *others, last = given
        raise fail(f"Name either {', '.join(others)} or {last}.")


def settings_and_logs(*, quiet: bool = False) -> Settings:
    """Return the settings, and set up the logs; `quiet` logs warnings only."""
    settings = load_settings(ENV_FILE)
    level = "WARNING" if quiet and settings.log_level in ("DEBUG", "INFO") else settings.log_level
    logs.configure(level, settings.log_format)
    return settings


@contextmanager
def services_of(settings: Settings, broker: Broker) -> Iterator[Services]:
    """Give services on a database with this version's schema, and close them at the end."""
    services = build_services(settings, broker)
    try:
        ready(services)
        with services.database.read() as session:
            clock.follow(clocks.ahead_of_monotonic(session))
        yield services
    finally:
        clock.follow(None)
        services.close()


def ready(services: Services) -> None:
    """Prepare the schema; raise ConfigurationError if it or the keys do not fit this database."""
    prepare(services.database)
    services.access.check_keys()


def wait_until_ready(
    services: Services,
    stopping: threading.Event,
    *,
    every: float = _AGAIN_SECONDS,
    say_every: float = _SAY_AGAIN_SECONDS,
) -> None:
    """Return once `ready` succeeds, or `stopping` is set; raise as `ready` does.

    A PostgreSQL that is away, or refuses this user, is tried `every` so many seconds. That is
    logged at once, again when the reason changes, and `say_every` so many seconds. A SQLite file is
    nobody's to start.
    """
    since, said, said_at = time.monotonic(), None, 0.0
    while not stopping.is_set():
        try:
            ready(services)
        except OperationalError as e:
            if services.database.is_sqlite:
                raise
            why, now = database_trouble(e), time.monotonic()
            if why != said or now - said_at >= say_every:
                log.warning("database.away", why=why, seconds=round(now - since))
                said, said_at = why, now
            stopping.wait(every)
        else:
            if said is not None:
                log.info("database.back")
            return


@contextmanager
def command_services() -> Iterator[Services]:
    """Give the services to a command that ends by itself; never creates the database."""
    from service.jobs import receiver_broker

    settings = settings_and_logs(quiet=True)
    if missing := missing_file(settings):
        raise ConfigurationError(
            f"DATABASE_URL: there is no file {missing} yet; `serve` or `migrate` makes it"
        )
    redis_url = settings.redis_url
    broker = receiver_broker(redis_url.get_secret_value() if redis_url else None)
    with services_of(settings, broker) as services:
        yield services


def missing_file(settings: Settings) -> str | None:
    """Return the path of the SQLite file if there is none; commands must not create it."""
    path = make_url(settings.database_url.get_secret_value()).database or ""
    if settings.uses_postgresql or path.startswith("file:"):
        return None
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except OSError:
        pass  # opening it reports what is wrong
    return None


def nudge(services: Services, send: Callable[[], None]) -> None:
    """Send a nudge; if Redis is away, say so: the requeue job finds the work."""
    if services.settings.embedded:
        return
    try:
        send()
    except RedisError as e:
        hint(f"REDIS_URL: no answer ({type(e).__name__}); workers find the work once it is back.")


def operator() -> str:
    """Return the audit's name of the operating system's user."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name, as in some containers
        name = str(os.getuid())
    return f"cli:{name}"


def named_supplier(session: Session, email: str) -> Supplier:
    """Return the supplier with this e-mail address; case counts only where several have it.

    Exit if nobody has it.
    """
    found = connections.suppliers_named(session, email)
    if not found:
        raise fail("No supplier with this e-mail address has opened a link yet.")
    if len(found) > 1:
        raise fail(
            "Several suppliers have this e-mail address, in upper and lower case. Write it exactly"
            f" as one of them: {', '.join(supplier.email for supplier in found)}."
        )
    return found[0]


def find(
    services: Services,
    *,
    supplier: str | None = None,
    realm_id: str | None = None,
    connection_id: str | None = None,
) -> list[Chosen]:
    """Return this environment's companies that match all that is given."""
    with services.database.read() as session:
        everyone = connections.everyone(session, services.settings.quickbooks_environment)
        supplier_id = None if supplier is None else named_supplier(session, supplier).id
    digest = _realm_digest(services, realm_id)
    return [
        (connection, owner)
        for connection, owner in everyone
        if supplier_id in (None, owner.id)
        and digest in (None, connection.realm_digest)
        and connection_id in (None, connection.id)
    ]


def chosen(
    services: Services,
    *,
    supplier: str | None = None,
    realm_id: str | None = None,
    connection_id: str | None = None,
) -> list[Chosen]:
    """Return what `find` does; exit if that is nothing."""
    found = find(services, supplier=supplier, realm_id=realm_id, connection_id=connection_id)
    if not found:
        raise fail("No company matches. `infactor-quickbooks connections` lists them.")
    return found


def _realm_digest(services: Services, option: str | None) -> str | None:
    """Return the digest of the company that `--company` names; refuses what no company has."""
    if option is None:
        return None
    realm_id = realm_id_of(option)
    if realm_id is None:
        raise fail("--company takes a company's realm id, which is at most 20 digits.")
    return services.vault.digest(realm_id)


def readable(
    services: Services,
    supplier: str | None = None,
    realm_id: str | None = None,
    connection_id: str | None = None,
) -> tuple[list[Chosen], int]:
    """Return the companies that may be read, and how many of the chosen ones are left out."""
    if (supplier, realm_id, connection_id) == (None, None, None):
        wanted = find(services)
        if not wanted:
            hint("No company is connected, so there is nothing to read.")
    else:
        wanted = chosen(services, supplier=supplier, realm_id=realm_id, connection_id=connection_id)
    alive = []
    for connection, owner in wanted:
        if connection.state != ConnectionState.CONNECTED:
            hint(f"{name_of(connection)}: not connected, left out; it has to connect again.")
        elif connection.suspended_at is not None:
            hint(
                f"{name_of(connection)}: paused by an operator, left out;"
                f" `infactor-quickbooks connections resume --connection {connection.id}` ends that."
            )
        else:
            alive.append((connection, owner))
    return alive, len(wanted) - len(alive)


def name_of(connection: Connection) -> str:
    """Return the company's name, or its id if it was forgotten."""
    return connection.company_name or connection.id


def instant(option: str, text: str | None) -> datetime | None:
    """Return an option's time; a date alone means midnight UTC."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
        aware = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        raise fail(f"{option} takes a date such as 2026-01-31, or 2026-01-31T08:00Z.") from None


def check_invoice(text: str | None) -> None:
    """Exit unless the text can be an Id in QuickBooks."""
    if text is not None and not (text.isascii() and text.isdigit()):
        raise fail("--invoice takes the Id of an invoice in QuickBooks, which is digits.")


def meant(services: Services, connection_ids: Collection[str], text: str) -> str:
    """Return a hint, with a leading blank, if the given Id is an invoice's number; else ""."""
    with services.database.read() as session:
        ids = invoices.numbered(session, connection_ids, text)
    return f" Number {text} is Id {' or '.join(ids)}." if ids else ""
