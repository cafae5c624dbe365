"""The command `infactor-quickbooks`."""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from service.cli import (
    adopt,
    approvals,
    audit,
    connections,
    forget,
    invoices,
    links,
    notices,
    runs,
    serve,
    setup,
    status,
    sync,
)
from service.cli.console import answer
from service.cli.demo import command
from service.cli.doctor import command as doctor

app = typer.Typer(
    name="infactor-quickbooks",
    help="Carries suppliers' QuickBooks invoices into Infactor and keeps them true.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

_START = "Start"
_SUPPLIERS = "Suppliers"
_LOOK = "Check and fix"

app.command(rich_help_panel=_START)(command.demo)
app.command(rich_help_panel=_START)(setup.init)
app.command(rich_help_panel=_START)(serve.serve)
app.command(rich_help_panel=_START)(serve.worker)
app.command(rich_help_panel=_START)(serve.migrate)
app.command(rich_help_panel=_START)(serve.simulator)
app.command("ops-user", rich_help_panel=_START)(setup.ops_user)
app.command("connect-url", rich_help_panel=_SUPPLIERS)(links.connect_url)
app.command("supplier-url", rich_help_panel=_SUPPLIERS)(links.supplier_url)
app.command("log-out", rich_help_panel=_SUPPLIERS)(links.log_out)
app.command(rich_help_panel=_LOOK)(status.status)
app.command(rich_help_panel=_LOOK)(doctor.doctor)
app.add_typer(status.group, name="alerts", rich_help_panel=_LOOK)
app.add_typer(connections.group, name="connections", rich_help_panel=_LOOK)
app.command("invoices", rich_help_panel=_LOOK)(invoices.show_invoices)
app.command("findings", rich_help_panel=_LOOK)(invoices.show_findings)
app.command(rich_help_panel=_LOOK)(invoices.acknowledge)
app.command("notices", rich_help_panel=_LOOK)(notices.show_notices)
app.command(rich_help_panel=_LOOK)(notices.replay)
app.command(rich_help_panel=_LOOK)(sync.sync)
app.command(rich_help_panel=_LOOK)(runs.backfill)
app.command(rich_help_panel=_LOOK)(runs.reconcile)
app.command(rich_help_panel=_LOOK)(adopt.adopt)
app.command(rich_help_panel=_LOOK)(approvals.confirm)
app.command(rich_help_panel=_LOOK)(setup.rekey)
app.command(rich_help_panel=_LOOK)(forget.forget)
app.command("audit", rich_help_panel=_LOOK)(audit.show_audit)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        answer(f"infactor-quickbooks {version('infactor-quickbooks')}")
    except PackageNotFoundError:
        answer("infactor-quickbooks, not installed as a package")
    raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Take the options that stand before any command."""


def main() -> None:
    """Run the command line; files that it creates are for this user only."""
    os.umask(0o077)
    app()
