"""`demo`: the whole product on this machine, with the QuickBooks simulator."""

import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.console import answer, fail, hint, says_what_is_wrong
from service.cli.exit_status import Exit

if TYPE_CHECKING:
    from service.cli.demo.stack import Stack


@says_what_is_wrong
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Run the whole flow unattended, and report each step.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port of the service; 0 takes a free one.")] = 3000,
    simulator_port: Annotated[
        int, typer.Option(help="Port of the QuickBooks simulator; 0 takes a free one.")
    ] = 8700,
) -> None:
    """Start the service and a QuickBooks simulator in a temporary folder; say what to open."""
    from service.cli.demo.stack import Stack, StackError
    from service.cli.demo.walkthrough import walk_through

    if check:
        port = simulator_port = 0
    with tempfile.TemporaryDirectory(prefix="infactor-quickbooks-demo-") as folder:
        stack = Stack(Path(folder), port, simulator_port)
        try:
            with stack.running():
                if check:
                    if not walk_through(stack):
                        raise typer.Exit(Exit.ATTENTION)
                    return
                _explain(stack)
                _wait_for_ctrl_c(stack)
        except StackError as e:
            raise fail(str(e), Exit.ATTENTION) from None


def _explain(stack: "Stack") -> None:
    hint("")
    hint("1. Connect a company, as a supplier would. Open:")
    answer(stack.command("connect-url", "supplier@example.com", "--name", "Example Supplies"))
    hint("2. Then see its invoices, as the supplier:")
    answer(stack.command("supplier-url", "supplier@example.com"))
    hint("3. Create, edit, pay and void invoices in the QuickBooks simulator, and watch 2. change:")
    answer(f"{stack.simulator_url}/")
    hint("4. See all of it as an operator. Open this, and log in with the name and password below:")
    answer(f"{stack.public_url}/ops/")
    hint(f"   name: {stack.operator}")
    hint(f"   password: {stack.password}")
    hint("")
    hint(f"Everything is kept in {stack.folder} until you end this with Ctrl-C.")


def _wait_for_ctrl_c(stack: "Stack") -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda number, frame: stopping.set())
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    while not stopping.wait(0.5):
        stack.check_alive()
    hint("Stopped; the demo's folder is removed.")
