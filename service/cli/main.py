"""The command `infactor-quickbooks`: which commands there are, each imported only when it runs."""

import os
from importlib import import_module
from typing import Annotated, Any, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup

from service.cli.help import PlainGroup, add_command, examples, new_typer
from service.kit.memory import no_collections

_START = "Start"
_SUPPLIERS = "Suppliers"
_LOOK = "Check and fix"


class Command(NamedTuple):
    """A command of the table: which one, where, and what it does.

    `place` is `module:name` below `service.cli`, the name of a function or of a `typer.Typer`.
    `summary` is what the list of commands says of it: the first paragraph of its help. `examples`
    are lines that run as they stand, in the demo too, from which their ids are.
    """

    panel: str
    name: str
    place: str
    summary: str
    examples: tuple[str, ...]

    def load(self) -> TyperCommand | TyperGroup:
        """Import what the command runs, and return it as Typer makes it."""
        module, _, attribute = self.place.partition(":")
        with no_collections():
            found = getattr(import_module(f"service.cli.{module}"), attribute)
        if not isinstance(found, typer.Typer):
            function, found = found, new_typer()
            add_command(found, self.name, function)
        command = cast(TyperCommand | TyperGroup, typer.main.get_command(found))
        command.epilog = examples(*self.examples)
        return command


COMMANDS = (
    Command(
        _START,
        "demo",
        "demo.command:demo",
        "Start the service and a QuickBooks simulator in a temporary folder; say what to open.",
        (
            "demo",
            "demo --check",
        ),
    ),
    Command(
        _START,
        "init",
        "setup:init",
        "Write a .env with fresh secrets, and say which of them to back up.",
        ("init",),
    ),
    Command(
        _START,
        "serve",
        "serve:serve",
        "Receive webhooks and show the pages; without REDIS_URL, do all the work as well.",
        (
            "serve",
            "serve --host 0.0.0.0 --port 8080",
        ),
    ),
    Command(
        _START,
        "worker",
        "serve:worker",
        "Do the background work; run as many as you like.",
        ("worker --threads 16",),
    ),
    Command(
        _START,
        "migrate",
        "serve:migrate",
        "Bring the database to the schema of this version.",
        ("migrate",),
    ),
    Command(
        _START,
        "simulator",
        "serve:simulator",
        "Play QuickBooks: consent, tokens, accounting API, webhooks, and a page to edit invoices.",
        ("simulator --generate 1000",),
    ),
    Command(
        _START,
        "ops-user",
        "setup:ops_user",
        "Print an entry for OPS_USERS; asks twice for a password, or reads it from stdin.",
        ("ops-user ada",),
    ),
    Command(
        _START,
        "guide",
        "guide:show_guide",
        "Print a page of the guide, what it says about a condition, or the list of its pages.",
        (
            "guide operating",
            "guide connection.dead",
        ),
    ),
    Command(
        _SUPPLIERS,
        "connect-url",
        "links:connect_url",
        "Print a link for a supplier to connect QuickBooks.",
        ('connect-url supplier@example.com --name "Example Supplies"',),
    ),
    Command(
        _SUPPLIERS,
        "supplier-url",
        "links:supplier_url",
        "Print a link to a supplier's own pages.",
        ("supplier-url supplier@example.com",),
    ),
    Command(
        _SUPPLIERS,
        "log-out",
        "links:log_out",
        "Log a supplier out in every browser, as when a device is lost.",
        ("log-out supplier@example.com",),
    ),
    Command(
        _LOOK,
        "status",
        "status:status",
        "Show what is wrong, since when, and what to do; then the figures.",
        (
            "status",
            "status --json",
        ),
    ),
    Command(
        _LOOK,
        "doctor",
        "doctor.command:doctor",
        "Check settings, addresses, database, queue, Infactor's MongoDB, Intuit, clocks and keys.",
        (
            "doctor",
            "doctor --webhook",
        ),
    ),
    Command(
        _LOOK,
        "invoices",
        "invoices:show_invoices",
        "Show the invoices that are in Infactor, and with --held also those that are held back.",
        (
            "invoices --held",
            "invoices --supplier supplier@example.com --json",
        ),
    ),
    Command(
        _LOOK,
        "invoice",
        "invoice:show_invoice",
        "Show everything known of one invoice: why it is held, its history, events and findings.",
        (
            "invoice 145",
            "invoice --number 1037 --json",
        ),
    ),
    Command(
        _LOOK,
        "ledger",
        "ledger:show_ledger",
        "Show what each buyer owes: amount due and its age, share, dilution, days to pay.",
        (
            "ledger --supplier supplier@example.com",
            "ledger --csv",
        ),
    ),
    Command(
        _LOOK,
        "rules",
        "rules:show_rules",
        "Show the rules in force, and how many invoices each holds and signals now.",
        (
            "rules",
            "rules --what-if overdue=hold:30",
        ),
    ),
    Command(
        _LOOK,
        "findings",
        "invoices:show_findings",
        "Show what changed after it was approved in Infactor, the critical first.",
        (
            "findings",
            "findings --history --json",
        ),
    ),
    Command(
        _LOOK,
        "acknowledge",
        "invoices:acknowledge",
        "Acknowledge a finding: stop alerting on it unless it changes.",
        ('acknowledge --finding 7 --note "The buyer has confirmed the new total."',),
    ),
    Command(
        _LOOK,
        "webhooks",
        "webhooks:show_webhooks",
        "Show webhook events, the newest first, each with its result.",
        (
            "webhooks --failed",
            "webhooks --limit 1000",
        ),
    ),
    Command(
        _LOOK,
        "replay",
        "webhooks:replay",
        "Retry webhook events that failed or are done; safe to repeat.",
        (
            "replay --event 42",
            "replay --company 9341455000000001 --since 2026-01-31",
        ),
    ),
    Command(
        _LOOK,
        "feed",
        "feed:group",
        "Show the events that wait for EVENTS_URL, the oldest first.",
        ("feed --refused", "feed retry"),
    ),
    Command(
        _LOOK,
        "sync",
        "sync:sync",
        "Read every change since the last sync now, and process waiting events.",
        (
            "sync --all",
            "sync --company 9341455000000001",
        ),
    ),
    Command(
        _LOOK,
        "backfill",
        "runs:backfill",
        "Import past invoices. If a backfill of the company is running, you join it.",
        (
            "backfill --all --dry-run",
            "backfill --company 9341455000000001 --since 2026-01-31",
        ),
    ),
    Command(
        _LOOK,
        "reconcile",
        "runs:reconcile",
        "Compare QuickBooks with the record: count, totals, balances, and each invoice's version.",
        (
            "reconcile --all",
            "reconcile --company 9341455000000001 --fix",
        ),
    ),
    Command(
        _LOOK,
        "adopt",
        "adopt:adopt",
        "Adopt rows of Infactor's old import, and list those that fit no invoice.",
        ("adopt --supplier supplier@example.com --dry-run",),
    ),
    Command(
        _LOOK,
        "confirm",
        "approvals:confirm",
        "Resume a run that stopped because it would withdraw many invoices.",
        (
            "confirm --run 7 --dry-run",
            "confirm --run 7",
        ),
    ),
    Command(
        _LOOK,
        "rekey",
        "setup:rekey",
        "Re-encrypt stored data with the first of ENCRYPTION_KEYS, and digest it with SECRET_KEY.",
        ("rekey",),
    ),
    Command(
        _LOOK,
        "forget",
        "forget:forget",
        "Disconnect for good, and delete tokens, customers, invoices and events.",
        ("forget --company 9341455000000001 --dry-run",),
    ),
    Command(
        _LOOK,
        "audit",
        "audit:show_audit",
        "Show what operators did, the newest first.",
        (
            "audit --limit 20",
            "audit --json",
        ),
    ),
    Command(
        _LOOK,
        "verify",
        "verify:verify",
        "Check that no recorded revision was changed or left out.",
        (
            "verify",
            "verify --export revisions.jsonl",
        ),
    ),
    Command(
        _LOOK,
        "alerts",
        "status:group",
        "Send test alerts.",
        ("alerts test",),
    ),
    Command(
        _LOOK,
        "connections",
        "connections:group",
        "Show every company's connection: its state, last reads, invoices, and reads this month.",
        (
            "connections",
            "connections pause --company 9341455000000001",
        ),
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


class _Listing(PlainGroup):
    """The group of all commands of the table, of which none is imported yet."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update((row.name, _Listed(row)) for row in COMMANDS)


app = new_typer(
    completes=True,
    name="infactor-quickbooks",
    cls=_Listing,
    help="Carries suppliers' QuickBooks invoices into Infactor and keeps them up to date.",
    no_args_is_help=True,
    epilog=examples("demo", "status --json", "backfill --help"),
)


def _show_version(wanted: bool) -> None:
    if not wanted:
        return
    from service.kit.version import PROJECT, released_version

    typer.echo(f"{PROJECT} {released_version()}")
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
