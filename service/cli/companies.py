"""Which companies an order of an operator is about."""

import getpass
import os
from typing import Annotated

import typer

from service.bootstrap import Services
from service.cli.console import fail, hint
from service.store import connections
from service.store.tables import Connection, Supplier

Chosen = tuple[Connection, Supplier]

BySupplier = Annotated[str | None, typer.Option("--supplier", help="All companies of this one.")]
ByRealm = Annotated[str | None, typer.Option("--company", help="The company with this realm id.")]
ById = Annotated[
    str | None, typer.Option("--connection", help="The company whose connection has this id.")
]


def operator() -> str:
    """Return who is typing, as the audit knows them: the user of the operating system."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name, as in some containers
        name = str(os.getuid())
    return f"cli:{name}"


def find(
    services: Services,
    *,
    supplier: str | None = None,
    realm_id: str | None = None,
    connection_id: str | None = None,
) -> list[Chosen]:
    """Return the companies of this environment that fit everything that is given."""
    with services.database.read() as session:
        everyone = connections.everyone(session, services.settings.quickbooks_environment)
        if supplier is not None and connections.supplier_by_email(session, supplier) is None:
            raise fail("No supplier with this e-mail address has opened a link yet.", 2)
    digest = None if realm_id is None else services.vault.digest(realm_id.strip())
    return [
        (connection, owner)
        for connection, owner in everyone
        if (supplier is None or owner.email == supplier.strip())
        and digest in (None, connection.realm_digest)
        and connection_id in (None, connection.id)
    ]


def readable(
    services: Services,
    supplier: str | None = None,
    realm_id: str | None = None,
    connection_id: str | None = None,
) -> tuple[list[Chosen], int]:
    """Return the companies that may be read, and how many of those asked for are left out."""
    wanted = find(services, supplier=supplier, realm_id=realm_id, connection_id=connection_id)
    alive = []
    for connection, owner in wanted:
        if connection.state != "connected":
            hint(f"{name_of(connection)}: not connected, left out; it has to connect again.")
        elif connection.suspended_at is not None:
            hint(
                f"{name_of(connection)}: paused by an operator, left out;"
                f" `infactor-quickbooks connections resume --connection {connection.id}` ends that."
            )
        else:
            alive.append((connection, owner))
    if not wanted and (supplier, realm_id, connection_id) == (None, None, None):
        hint("No company is connected, so there is nothing to read.")
    elif not wanted:
        raise fail("No company fits. `infactor-quickbooks connections` lists them.", 2)
    return alive, len(wanted) - len(alive)


def name_of(connection: Connection) -> str:
    """Return what the company is called; one that was forgotten has no name any more."""
    return connection.company_name or connection.id
