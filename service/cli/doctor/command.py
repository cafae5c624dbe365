"""`doctor`: checks everything that the service needs, and says what to do."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

import typer

from service.cli.console import answer, answer_json, hint, says_what_is_wrong
from service.cli.context import Json, command_services, settings_and_logs
from service.cli.doctor.check import CheckResult, bad, examine, ok
from service.cli.exit_status import Exit
from service.errors import ConfigurationError

_SECONDS = 20.0


@says_what_is_wrong
def doctor(
    as_json: Json = False,
    webhook: Annotated[
        bool, typer.Option("--webhook", help="Then wait for a webhook, such as a test event.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=1, help="How long to wait for it, in seconds.")
    ] = 300.0,
) -> None:
    """Check settings, addresses, database, queue, Infactor's MongoDB, Intuit, clocks and keys.

    Changes nothing. Sends a test message to ALERT_URL and a test event to EVENTS_URL. Of ALERT_URLS
    it checks only the form: `alerts test` sends there. Takes 20 seconds at most, whatever does not
    answer. With --webhook, it then waits for Intuit's test event, which proves that webhooks
    arrive.

    Exit status: 1 when a check fails; warnings do not count.
    """
    from service.cli.doctor.service_checks import CHECKS

    try:
        settings = settings_and_logs(quiet=True)
    except ConfigurationError as e:
        _tell([_setting(line) for line in str(e).splitlines()], as_json=as_json)
        raise typer.Exit(Exit.WRONG_USE) from None
    loaded = ok("settings", f"loaded, for QuickBooks' {settings.quickbooks_environment}")
    found = _tell(_chain(loaded, examine(settings, CHECKS, _SECONDS)), as_json=as_json)
    if webhook:
        found += _tell([_wait(seconds)], as_json=as_json)
    if any(finding.verdict == "fail" for finding in found):
        raise typer.Exit(Exit.ATTENTION)


def _wait(seconds: float) -> CheckResult:
    from service.cli.doctor.reach_checks import WAITING, wait_for_webhook

    hint(WAITING)
    with command_services() as services:
        return wait_for_webhook(services, seconds)


def _setting(line: str) -> CheckResult:
    name, separator, problem = line.partition(": ")
    if not separator:
        return bad("settings", line, "`infactor-quickbooks init` writes one with fresh secrets")
    seen, _, advice = problem.partition("; ")
    where = f"correct {name} in the environment or .env"
    return bad("settings", f"{name}: {seen}", f"{where}; {advice}" if advice else where)


def _chain(first: CheckResult, others: Iterable[CheckResult]) -> Iterable[CheckResult]:
    yield first
    yield from others


def _tell(findings: Iterable[CheckResult], *, as_json: bool) -> list[CheckResult]:
    """Print each result as it arrives, then what to do; return all of them."""
    shown = []
    for finding in findings:
        shown.append(finding)
        if as_json:
            answer_json([asdict(finding)])
        else:
            answer(f"{finding.verdict:<5} {finding.check:<16} {finding.seen}")
    todo = [finding for finding in shown if finding.advice]
    if todo and not as_json:
        answer("")
        answer("What to do:")
        for finding in todo:
            answer(f"- {finding.check}: {finding.advice}")
    return shown
