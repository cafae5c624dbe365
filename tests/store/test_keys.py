"""What invoices are sorted and searched by, and how those that were there before come by it."""

import pytest
from alembic import command
from sqlalchemy import text

from service.database import schema
from service.database.engine import Database
from service.database.schema import migrate
from service.store.invoices import keys


def number_key(number: str) -> str:
    return keys({"invoiceNo": number})["number_key"]


def test_numbers_are_sorted_as_people_count() -> None:
    numbers = ["INV-10", "INV-9", "inv-9a", "7", "0010", "", "A1-2", "A1-10"]
    assert sorted(numbers, key=number_key) == [
        *("", "7", "0010", "A1-2", "A1-10", "INV-9", "inv-9a", "INV-10")
    ]


def test_what_is_sought_is_the_buyer_and_the_number_in_one_case() -> None:
    found = keys({"invoiceNo": "Ab 1", "companyName": "  STRASSE\n& Söhne ", "payableDate": ""})
    assert found == {
        "number_key": "ab 000000000001",
        "due_key": "~",
        "sought": "strasse & söhne\nab 1",
    }
    assert keys(None)["sought"] == "\n"


@pytest.mark.parametrize(
    "character", ["a", "1", "ß", "\N{GRINNING FACE}", "\N{LATIN SMALL LIGATURE FFI}"]
)
def test_no_key_is_too_long_for_an_index(character: str) -> None:
    found = keys({"invoiceNo": character * 9000, "companyName": character * 9000})
    assert sum(len(key.encode()) for key in found.values()) < 2000


def test_what_was_recorded_before_can_be_sought_and_counted(database_url: str) -> None:
    database = Database(database_url)
    at = "'2026-10-01 00:00:00'"
    with database.engine.execution_options(writes=True).begin() as connection:
        config = schema._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        for statement in (
            f"INSERT INTO suppliers (id, email, name, address, created_at)"
            f" VALUES (1, 'a@example.com', '', '', {at})",
            f"INSERT INTO connections (id, supplier_id, environment, realm_digest, realm_sealed,"
            f" company_name, state, connected_at, renewed_at, changes_read_until, fetch_number,"
            f" failures) VALUES ('c1', 1, 'production', 'd', 's', 'Old', 'connected', {at}, {at},"
            f" {at}, 5, 0)",
            *(
                f"INSERT INTO invoices (id, connection_id, quickbooks_id, sync_token, last_updated,"
                f" fetch_number, deleted, void_noticed, source, mapped, warnings,"
                f" customer_versions, doc_number, created_ms, revision, recorded_at,"
                f" delivered_revision, delivery_attempts) VALUES ('qbk-{n}', 'c1', '{n}', 0, {at},"
                f" 1, false, false, '{{}}', {mapped}, '[]', '', '', 0, 1, {at}, 0, 0)"
                for n, mapped in enumerate(
                    [
                        """'{"invoiceNo":"A-9","companyName":"Zoë","payableDate":"2030-01-02"}'""",
                        "NULL",
                    ]
                )
            ),
            f"INSERT INTO documents (invoice_id, supplier_id, state, document, revision,"
            f" written_at) VALUES ('qbk-0', 1, 'invoice_created', '{{}}', 1, {at})",
        ):
            connection.exec_driver_sql(statement)
    migrate(database)
    with database.read() as session:
        rows = session.execute(
            text("SELECT id, number_key, due_key, sought FROM invoices ORDER BY id")
        ).all()
        assert rows == [
            ("qbk-0", "a-000000000009", "2030-01-02", "zoë\na-9"),
            ("qbk-1", "", "~", ""),
        ]
        assert session.scalars(text("SELECT connection_id FROM documents")).all() == ["c1"]
    with database.engine.execution_options(writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0005")
        command.upgrade(config, "head")
        assert connection.exec_driver_sql("SELECT connection_id FROM documents").scalar() == "c1"
    database.close()
