"""The command `infactor-quickbooks`."""

import os

import typer

from service.cli import backfill, demo, init, links, serve, show, simulator

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
_LOOK = "Look and mend"

app.command(rich_help_panel=_START)(demo.demo)
app.command(rich_help_panel=_START)(init.init)
app.command(rich_help_panel=_START)(serve.serve)
app.command(rich_help_panel=_START)(serve.worker)
app.command(rich_help_panel=_START)(serve.migrate)
app.command(rich_help_panel=_START)(simulator.simulator)
app.command("connect-url", rich_help_panel=_SUPPLIERS)(links.connect_url)
app.command("supplier-url", rich_help_panel=_SUPPLIERS)(links.supplier_url)
app.command("connections", rich_help_panel=_SUPPLIERS)(show.show_connections)
app.command("backfill", rich_help_panel=_LOOK)(backfill.backfill)
app.command("invoices", rich_help_panel=_LOOK)(show.show_invoices)
app.command("notices", rich_help_panel=_LOOK)(show.show_notices)


def main() -> None:
    """Run the command line; whatever files it makes are for this user alone."""
    os.umask(0o077)
    app()
