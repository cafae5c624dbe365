"""`alerts test`: sends a test alert to everybody who is to get alerts."""

import typer

from service.cli.console import answer, answer_json, fail, says_what_is_wrong
from service.cli.context import Json, command_services
from service.monitoring.alert_sender import NotSent, send_test
from service.store import alerts

group = typer.Typer(
    help="Try the places where alerts go.", no_args_is_help=True, add_completion=False
)


@group.callback()
def _group() -> None:
    """Keep `test` a command of its own."""


@group.command("test")
@says_what_is_wrong
def try_alerts(as_json: Json = False) -> None:
    """Send a test alert to ALERT_URL and to each of ALERT_URLS.

    If all accept it, alerts that could not be sent before are sent within seconds.

    Exit status: 0 when all accept it, 1 when one does not, 2 when there is none.
    """
    with command_services() as services:
        if not services.alert_channels:
            raise fail("Set ALERT_URL or ALERT_URLS: no alert is sent anywhere now.", 2)
        refused = 0
        for channel in services.alert_channels:
            error = None
            try:
                send_test(channel, services.settings)
            except NotSent as e:
                error, refused = str(e), refused + 1
            if as_json:
                answer_json([{"channel": channel.name, "error": error}])
            else:
                answer(f"{channel.name} {error or 'accepted a test alert'}.")
        if not refused:
            with services.database.write() as session:
                alerts.hurry(session)
    if refused:
        raise typer.Exit(1)
