"""`connections pause|resume|disconnect|release`: what operators decide about a company."""

from functools import partial
from typing import Annotated

import typer

from service import orders
from service.bootstrap import Services
from service.cli.companies import ById, ByRealm, BySupplier, Chosen, find, name_of, operator
from service.cli.compose import command_services, nudge
from service.cli.console import answer, fail, hint, says_what_is_wrong


@says_what_is_wrong
def pause(company: ByRealm = None, connection: ById = None, supplier: BySupplier = None) -> None:
    """Let nobody call QuickBooks for a company until `resume`; its notices are kept and wait.

    What is being read at this moment is finished.
    """
    with command_services() as services:
        for one, _ in _chosen(services, company, connection, supplier):
            changed = orders.pause(services.database, one.id, operator())
            answer(f"{name_of(one)}: {'paused' if changed else 'was paused already'}.")


@says_what_is_wrong
def resume(company: ByRealm = None, connection: ById = None, supplier: BySupplier = None) -> None:
    """End a pause; whatever changed meanwhile is read and compared by itself."""
    with command_services() as services:
        for one, _ in _chosen(services, company, connection, supplier):
            changed = orders.resume(services.database, one.id, operator())
            if changed and one.state == "connected":
                nudge(services, partial(services.jobs.sync, one.id))
            answer(f"{name_of(one)}: {'resumed' if changed else 'was not paused'}.")


@says_what_is_wrong
def disconnect(
    company: ByRealm = None,
    connection: ById = None,
    supplier: BySupplier = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also when QuickBooks does not confirm it.")
    ] = False,
) -> None:
    """Give a company's tokens back to QuickBooks and delete them here.

    Its invoices and notices stay. Exit status: 1 when QuickBooks did not confirm it; without
    --force nothing here has changed then.
    """
    from service import disconnection

    failed = False
    with command_services() as services:
        for one, _ in _chosen(services, company, connection, supplier):
            if one.state == "disconnected" and one.refresh_sealed is None:
                answer(f"{name_of(one)}: was disconnected already.")
                continue
            try:
                problem = disconnection.disconnect(services, one.id, operator(), force=force)
            except disconnection.NotRevoked as e:
                failed = True
                hint(
                    f"{name_of(one)}: left as it is, because QuickBooks has not confirmed it: {e}."
                    " Try again later, or disconnect it here alone with --force."
                )
                continue
            if problem is not None:
                failed = True
                hint(
                    f"{name_of(one)}: QuickBooks has not confirmed it: {problem}. To be sure, let"
                    " the supplier disconnect the app in QuickBooks."
                )
            answer(f"{name_of(one)}: disconnected.")
            hint(
                "Its invoices stay, here and in Infactor, and its notices wait. To connect it"
                f" again: infactor-quickbooks connect-url --connection {one.id}"
            )
    if failed:
        raise typer.Exit(1)


@says_what_is_wrong
def release(company: ByRealm = None, connection: ById = None) -> None:
    """Let another supplier connect a disconnected company, which then is theirs.

    Invoices that nobody has decided about go with it; all others stay in the former name.
    """
    with command_services() as services:
        ((one, _),) = _chosen(
            services, company, connection, options="--company REALM or --connection ID"
        )
        if not orders.release(services.database, one.id, operator()):
            raise fail(
                f"{name_of(one)} is connected. Disconnect it first:"
                f" infactor-quickbooks connections disconnect --connection {one.id}"
            )
        answer(f"{name_of(one)}: released. Whoever connects it next has it.")


def _chosen(
    services: Services,
    realm_id: str | None,
    connection_id: str | None,
    supplier: str | None = None,
    *,
    options: str = "--company REALM, --connection ID or --supplier EMAIL",
) -> list[Chosen]:
    if sum(option is not None for option in (realm_id, connection_id, supplier)) != 1:
        raise fail(f"Name one of {options}.", 2)
    found = find(services, supplier=supplier, realm_id=realm_id, connection_id=connection_id)
    if not found:
        raise fail("No company fits. `infactor-quickbooks connections` lists them.", 2)
    return found
