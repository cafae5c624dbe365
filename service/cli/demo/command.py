"""`demo`: the whole product on this machine, with the QuickBooks simulator.

What it runs is imported after its first line is printed: that import takes a second.
"""

import os
import signal
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from service.cli.demo.stack import Stack


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Run the whole flow unattended, and report each step.")
    ] = False,
    no_browser: Annotated[
        bool,
        typer.Option("--no-browser", help="Open no browser; without a screen none is opened."),
    ] = False,
    port: Annotated[int, typer.Option(help="Port of the service; 0 takes a free one.")] = 3000,
    simulator_port: Annotated[
        int, typer.Option(help="Port of the QuickBooks simulator; 0 takes a free one.")
    ] = 8700,
) -> None:
    """Start the service and a QuickBooks simulator in a temporary folder; say what to open."""
    typer.echo(
        "Starting the service and a QuickBooks simulator. This takes some seconds.", err=True
    )

    from service.cli.console import says_what_is_wrong

    if check:
        port = simulator_port = 0
    opens = not no_browser and has_screen(os.environ) and sys.stdout.isatty()
    says_what_is_wrong(_run)(port, simulator_port, check=check, opens=opens)


def has_screen(environment: Mapping[str, str]) -> bool:
    """Return whether a browser would have a window to show, and a person before it."""
    if environment.get("CI"):
        return False
    return sys.platform == "darwin" or any(
        environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _run(port: int, simulator_port: int, *, check: bool, opens: bool) -> None:
    from service.cli.console import fail
    from service.cli.demo.stack import Stack, StackError
    from service.cli.demo.walkthrough import walk_through
    from service.cli.exit_status import Exit

    with tempfile.TemporaryDirectory(prefix="infactor-quickbooks-demo-") as folder:
        stack = Stack(Path(folder), port, simulator_port)
        try:
            with stack.running():
                if not check:
                    _show(stack, opens=opens)
                elif not walk_through(stack):
                    raise typer.Exit(Exit.ATTENTION)
        except StackError as e:
            raise fail(str(e), Exit.ATTENTION) from None


def _show(stack: "Stack", *, opens: bool) -> None:
    """Say what to open, open the first if so asked, and wait for Ctrl-C."""
    from service.cli.console import hint
    from service.cli.demo.short_links import short_links

    supplier = "supplier@example.com"
    links = {
        "connect": stack.command("connect-url", supplier, "--name", "Example Supplies"),
        "supplier": stack.command("supplier-url", supplier),
    }
    with short_links(links) as addresses:
        _explain(stack, addresses)
        if opens:
            webbrowser.open(addresses["connect"])
        _wait_for_ctrl_c(stack)
    hint("Stopped; the demo's folder is removed.")


def _explain(stack: "Stack", addresses: Mapping[str, str]) -> None:
    from service.cli.console import answer, hint
    from service.cli.demo.stack import typed

    hint("")
    hint("1. Connect a company, as a supplier would. Open:")
    answer(addresses["connect"])
    hint("2. Then see its invoices, as the supplier:")
    answer(addresses["supplier"])
    hint("3. Create, edit, pay and void invoices in the simulator, and watch 2. change:")
    answer(f"{stack.simulator_url}/")
    hint("4. See all of it as an operator. Log in with the name and password below:")
    answer(f"{stack.public_url}/ops/")
    hint(f"   name: {stack.operator}")
    hint(f"   password: {stack.password}")
    hint("5. Try the commands, in another terminal:")
    answer(f"cd {stack.folder}")
    answer(f"{typed()} status")
    hint("")
    hint("Everything is in that folder until you end this with Ctrl-C.")


def _wait_for_ctrl_c(stack: "Stack") -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGINT, lambda number, frame: stopping.set())
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())
    while not stopping.wait(0.5):
        stack.check_alive()
