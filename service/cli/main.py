"""The command `infactor-quickbooks`: which commands there are, each imported only when it runs."""

import os
from importlib import import_module
from typing import Annotated, Any, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup

from service.kit.memory import no_collections

_START = "Start"
_SUPPLIERS = "Suppliers"
_LOOK = "Check and fix"


class Command(NamedTuple):
    """A command of the table: which one, where, and what it does.

    `place` is `module:name` below `service.cli`, the name of a function or of a `typer.Typer`.
    `summary` is what the list of commands says of it: the first paragraph of its help.
    """

    panel: str
    name: str
    place: str
    summary: str

    def load(self) -> TyperCommand | TyperGroup:
        """Import what the command runs, and return it as Typer makes it."""
        module, _, attribute = self.place.partition(":")
        with no_collections():
            found = getattr(import_module(f"service.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, _typer()
            found.command(self.name)(function)
        return cast(TyperCommand | TyperGroup, typer.main.get_command(found))


COMMANDS = (
    Command(
        _START,
        "demo",
        "demo.command:demo",
        "Start the service and a QuickBooks simulator in a temporary folder; say what to open.",
    ),
    Command(
        _START,
        "init",
        "setup:init",
        "Write a .env with fresh secrets, and say which of them to back up.",
    ),
    Command(
        _START,
        "serve",
        "serve:serve",
        "Receive webhooks and show the pages; without REDIS_URL, do all the work as well.",
    ),
    Command(
        _START,
        "worker",
        "serve:worker",
        "Do the background work; run as many as you like.",
    ),
    Command(
        _START, "migrate", "serve:migrate", "Bring the database to the schema of this version."
    ),
    Command(
        _START,
        "simulator",
        "serve:simulator",
        "Play QuickBooks: consent, tokens, accounting API, webhooks, and a page to edit invoices.",
    ),
    Command(
        _START,
        "ops-user",
        "setup:ops_user",
        "Print an entry for OPS_USERS; asks twice for a password, or reads it from stdin.",
    ),
    Command(
        _START,
        "guide",
        "guide:show_guide",
        "Print a page of the guide, what it says about a condition, or the list of its pages.",
    ),
    Command(
        _SUPPLIERS,
        "connect-url",
        "links:connect_url",
        "Print a link for a supplier to connect QuickBooks.",
    ),
    Command(
        _SUPPLIERS,
        "supplier-url",
        "links:supplier_url",
        "Print a link to a supplier's own pages.",
    ),
    Command(
        _SUPPLIERS,
        "log-out",
        "links:log_out",
        "Log a supplier out in every browser, as when a device is lost.",
    ),
    Command(
        _LOOK,
        "status",
        "status:status",
        "Show what is wrong, since when, and what to do; then the figures.",
    ),
    Command(
        _LOOK,
        "doctor",
        "doctor.command:doctor",
        "Check settings, addresses, database, queue, Infactor's MongoDB, Intuit, clocks and keys.",
    ),
    Command(
        _LOOK,
        "invoices",
        "invoices:show_invoices",
        "Show the invoices that are in Infactor, and with --held also those that are held back.",
    ),
    Command(
        _LOOK,
        "invoice",
        "invoice:show_invoice",
        "Show everything known of one invoice: why it is held, its history, events and findings.",
    ),
    Command(
        _LOOK,
        "ledger",
        "ledger:show_ledger",
        "Show what each buyer owes: amount due and its age, share, dilution, days to pay.",
    ),
    Command(
        _LOOK,
        "rules",
        "rules:show_rules",
        "Show the rules in force, and how many invoices each holds and signals now.",
    ),
    Command(
        _LOOK,
        "findings",
        "invoices:show_findings",
        "Show what changed after it was approved in Infactor, the critical first.",
    ),
    Command(
        _LOOK,
        "acknowledge",
        "invoices:acknowledge",
        "Acknowledge a finding: stop alerting on it unless it changes.",
    ),
    Command(
        _LOOK,
        "notices",
        "notices:show_notices",
        "Show webhook events, the newest first, each with its result.",
    ),
    Command(
        _LOOK,
        "replay",
        "notices:replay",
        "Retry webhook events that failed or are done; safe to repeat.",
    ),
    Command(
        _LOOK,
        "events",
        "events:group",
        "Show the events that wait for EVENTS_URL, the oldest first.",
    ),
    Command(
        _LOOK,
        "sync",
        "sync:sync",
        "Read every change since the last sync now, and process waiting events.",
    ),
    Command(
        _LOOK,
        "backfill",
        "runs:backfill",
        "Import past invoices. If a backfill of the company is running, you join it.",
    ),
    Command(
        _LOOK,
        "reconcile",
        "runs:reconcile",
        "Compare QuickBooks with the record: count, totals, balances, and each invoice's version.",
    ),
    Command(
        _LOOK,
        "adopt",
        "adopt:adopt",
        "Adopt rows of Infactor's old import, and list those that fit no invoice.",
    ),
    Command(
        _LOOK,
        "confirm",
        "approvals:confirm",
        "Resume a run that stopped because it would withdraw many invoices.",
    ),
    Command(
        _LOOK,
        "rekey",
        "setup:rekey",
        "Re-encrypt stored data with the first of ENCRYPTION_KEYS, and digest it with SECRET_KEY.",
    ),
    Command(
        _LOOK,
        "forget",
        "forget:forget",
        "Disconnect for good, and delete tokens, customers, invoices and events.",
    ),
    Command(
        _LOOK,
        "audit",
        "audit:show_audit",
        "Show what operators did, the newest first.",
    ),
    Command(
        _LOOK,
        "verify",
        "verify:verify",
        "Check that no recorded revision was changed or left out.",
    ),
    Command(_LOOK, "alerts", "status:group", "Send test alerts."),
    Command(
        _LOOK,
        "connections",
        "connections:group",
        "Show every company's connection: its state, last reads, invoices, and reads this month.",
    ),
)


class _Listed(TyperCommand):
    """A command of the table: itself a name and a summary, and the real one once it is called."""

    def __init__(self, row: Command) -> None:
        super().__init__(row.name, help=row.summary, rich_help_panel=row.panel)
        self._row = row

    def make_context(self, info_name: str | None, *args: Any, **extra: Any) -> Any:
        """Return the context of the real command, which then is the one that runs."""
        return self._row.load().make_context(info_name, *args, **extra)


class _Listing(TyperGroup):
    """The group of all commands of the table, of which none is imported yet."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update((row.name, _Listed(row)) for row in COMMANDS)


def _typer(*, completes: bool = False, **attributes: Any) -> typer.Typer:
    return typer.Typer(
        add_completion=completes,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        **attributes,
    )


app = _typer(
    completes=True,
    name="infactor-quickbooks",
    cls=_Listing,
    help="Carries suppliers' QuickBooks invoices into Infactor and keeps them up to date.",
    no_args_is_help=True,
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"infactor-quickbooks {version('infactor-quickbooks')}")
    except PackageNotFoundError:
        typer.echo("infactor-quickbooks, not installed as a package")
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
