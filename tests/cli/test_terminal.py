"""Texts from QuickBooks on an operator's terminal: shown as they are, obeyed by nothing."""

import ast
import io
import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import select, update

import service.cli
from service.cli import console
from service.cli.runs import progress_bars
from service.database.tables import Connection, Document, Run
from service.store import runs
from tests.cli.place import NOW, Place, a_notice
from tests.journey.deployment import SECRETS
from tests.servers import free_port
from tests.store.delivery_rows import DeliveryRows

REALM = "9341455000000077"
MARKUP = "[link=https://evil.example][/][red]:smile: \\[b]"
# A link of OSC 8, a title, a cleared screen in C0 and in C1, a bell, a return, text turned around.
ORDERS = (
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]0;title\x07",
    "\x1b[2J",
    "\x9b2J",
    "\r\nforged line\n",
    "\u202etxet\u202c",
    "\u2066isolate\u2069",
    "\u200f\u200e\u061c",
    "\u2028\u2029",
    "\x7f\x85",
)
NASTY = MARKUP + "".join(ORDERS)
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
COMMANDS = [
    ["status"],
    ["status", "--json"],
    ["doctor"],
    ["connections"],
    ["connections", "--json"],
    ["connections", "pause", "--connection", "{id}"],
    ["connections", "resume", "--connection", "{id}"],
    ["connections", "retry", "--connection", "{id}"],
    ["connections", "disconnect", "--connection", "{id}"],
    ["connections", "release", "--connection", "{id}"],
    ["invoices", "--held"],
    ["invoices", "--held", "--json"],
    ["findings"],
    ["findings", "--json"],
    ["acknowledge", "--finding", "1", "--note", NASTY],
    ["invoice", "--number", NASTY],
    ["ledger"],
    ["ledger", "--csv"],
    ["verify"],
    ["webhooks"],
    ["webhooks", "--failed"],
    ["webhooks", "--json"],
    ["replay", "--company", REALM],
    ["sync", "--all"],
    ["backfill", "--all"],
    ["backfill", "--all", "--dry-run"],
    ["confirm", "--run", "{run}", "--dry-run"],
    ["confirm", "--run", "{run}"],
    ["forget", "--company", REALM, "--dry-run"],
    ["forget", "--company", REALM, "--yes"],
    ["audit"],
    ["audit", "--json"],
    ["connect-url", "supplier@example.com", "--name", NASTY],
]
SHOW_THE_COMPANY = ("connections", "status", "findings", "webhooks", "confirm", "forget")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A company in whose books every text is one that somebody has chosen with care."""
    nobody = f"127.0.0.1:{free_port()}"
    settings = {
        "QUICKBOOKS_ENVIRONMENT": "simulator",
        "QUICKBOOKS_SIMULATOR_URL": f"http://{nobody}",
        "INFACTOR_MONGODB_URL": f"mongodb://{nobody}/",
        "INFACTOR_MONGODB_DATABASE": "unused",
    }
    made = Place(tmp_path, {**SECRETS, **settings})
    company = made.add_company(REALM, NASTY)
    mapped = {"invoiceNo": NASTY, "companyName": NASTY, "purchaseTitle": NASTY}
    mapped |= {"payableDate": NASTY, "invoiceAmount": "100"}
    with made.services() as services:
        rows = DeliveryRows(services.database, company)
        rows.invoice("145", doc_number=NASTY, mapped=mapped)
        rows.document("145", "invoice_accepted")
        seen = {"state": "invoice_accepted", "invoiceId": "qbk-1", **mapped}
        with services.database.write() as session:
            session.execute(update(Document).values(document=seen))
        rows.finding("145", "critical", approved=NASTY, current=NASTY, found_at=NOW)
        with services.database.write() as session:
            runs.create_or_join(session, company, "command", None, NOW)
            session.execute(update(Run).values(halted_at=NOW, error=NASTY))
    made.add_notices(
        a_notice(company, "failed", reason=NASTY, handled_at=NOW),
        a_notice(company, "pending", reason=NASTY, attempts=3, minutes=1),
        a_notice(company, "ignored", reason=NASTY, entity=NASTY, handled_at=NOW),
    )
    return made


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command)[:40])
def test_no_command_lets_a_text_give_orders(place: Place, command: list[str]) -> None:
    with place.services() as services, services.database.read() as session:
        ids = {
            "{id}": session.execute(select(Connection.id)).scalar_one(),
            "{run}": str(session.execute(select(Run.id)).scalar_one()),
        }
    ended = place.run(*(ids.get(word, word) for word in command))
    assert "Traceback" not in ended.stderr
    assert not OBEYED.findall(ended.stdout + ended.stderr)
    assert "\nforged line" not in ended.stdout
    if command[0] in SHOW_THE_COMPANY and not {"--json", "release"} & {*command}:
        assert "[link=https://evil.example][/][red]" in "".join(ended.stdout.split())


TEXTS = [NASTY, MARKUP, "[/]", "[", "\\", "a\\[b", ":smile:", "\ud83d", "M\u00fcller"]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_text_is_shown_letter_for_letter(capsys: pytest.CaptureFixture[str], text: str) -> None:
    as_shown = re.sub(f"\n|{OBEYED.pattern}", "\N{REPLACEMENT CHARACTER}", text)
    printed = io.StringIO()
    terminal = Console(file=printed, force_terminal=True, width=500, color_system=None)
    with Progress(*progress_bars().columns, console=terminal) as progress:
        progress.add_task(text, total=1, note=text)
    assert printed.getvalue().count(as_shown) >= 2
    console.answer(text)
    assert capsys.readouterr().out == f"{as_shown}\n"
    console.show_table(text, (text, "b"), [(text, 1)], section=True)
    table = re.sub(r"\s", "", capsys.readouterr().out)
    assert table.count(re.sub(r"\s", "", as_shown)) >= 3
    console.hint(text)
    console.fail(text)


def test_json_says_the_same_with_nothing_to_obey(capsys: pytest.CaptureFixture[str]) -> None:
    console.answer_json([{"name": NASTY}])
    line = capsys.readouterr().out
    assert not OBEYED.findall(line)
    assert json.loads(line) == {"name": NASTY}


def test_a_terminal_that_knows_no_such_letters_is_no_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    narrow = io.TextIOWrapper(printed := io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", narrow)
    console.answer("M\u00fcller \N{PILE OF POO}")
    console.answer_json([{"name": "M\u00fcller \N{PILE OF POO}"}])
    console.show_table("M\u00fcller", ("\u00e9",), [("\u20ac",)], section=True)
    assert printed.getvalue().startswith(
        b'M\\xfcller \\U0001f4a9\n{"name":"M\\u00fcller \\ud83d\\udca9"}\nM\\xfc'
    )


def test_an_empty_cell_is_a_column_for_who_splits_at_two_spaces(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console.show_table("Invoices", ("Id", "Due", "Why"), [("1", None, "paid"), ("2", "1 Dec", "")])
    lines = [re.split("  +", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [["Id", "Due", "Why"], ["1", "-", "paid"], ["2", "1 Dec", "-"]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("made", [io.StringIO, Terminal])
def test_no_id_is_folded_or_cut_however_much_stands_beside_it(
    monkeypatch: pytest.MonkeyPatch, made: type[io.StringIO]
) -> None:
    monkeypatch.setattr(sys, "stdout", printed := made())
    ids = ("qbk-abcdefghijklmnopqrstuvwxyz", "9341455000000001")
    words = "one of so many words " * 9
    console.show_table(
        "Invoices", ("Infactor id", "Realm id", "What", "Why"), [(*ids, words, words)]
    )
    lines = printed.getvalue().splitlines()
    assert [line for line in lines if all(one in line.split() for one in ids)] != []
    assert not re.search("[\u2500-\u257f]", printed.getvalue())
    assert (len(lines) == 2) == (not printed.isatty())


def test_nothing_is_printed_but_by_the_functions_that_take_care() -> None:
    """So that a command which is new cannot forget it."""
    folder = Path(service.cli.__file__).parent
    # `init` prints what it made itself, `--version` and `demo` nothing that anybody could choose.
    own = {folder / name for name in ("console.py", "setup.py", "main.py", "demo/command.py")}
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted(folder.rglob("*.py"))
        if path not in own
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func)
        in {"print", "typer.echo", "typer.secho", "hints.print", "sys.stdout.write", "TextColumn"}
    ]
    assert found == []
