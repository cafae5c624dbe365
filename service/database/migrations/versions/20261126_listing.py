"""What a supplier's list of invoices is searched, filtered and sorted by.

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

import service.database.types
from service.store.invoices import keys

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_KEY = service.database.types.Key
_CHUNK = 1000
_KEYS = {"number_key": "", "due_key": "~", "sought": ""}
_INDEXES: dict[str, tuple[str, ...]] = {
    "ix_invoices_number": ("connection_id", "number_key", "id"),
    "ix_invoices_amount": ("connection_id", "total", "id"),
    "ix_invoices_due": ("connection_id", "due_key", "id"),
}
_SOUGHT = ("connection_id", "sought", "id", "total", "created_ms", "number_key", "due_key")
_STATE = ("connection_id", "supplier_id", "state", "invoice_id")
_NEWEST = ("connection_id", "created_ms", "id")
_PARTIAL: dict[str, tuple[tuple[str, ...], str]] = {
    "ix_invoices_sought": (_SOUGHT, "mapped IS NOT NULL"),
    "ix_invoices_to_mend": (_NEWEST, "warnings <> '[]' OR delivery_warnings <> '[]'"),
    "ix_invoices_held": (_NEWEST, "hold IS NOT NULL OR old_rows_held"),
}


def upgrade() -> None:
    for name, default in _KEYS.items():
        op.add_column("invoices", sa.Column(name, _KEY, nullable=False, server_default=default))
    _fill()
    op.drop_index("ix_invoices_newest", "invoices")
    op.create_index("ix_invoices_newest", "invoices", _NEWEST)
    for name, columns in _INDEXES.items():
        op.create_index(name, "invoices", columns)
    for name, (columns, which) in _PARTIAL.items():
        where = sa.text(which)
        op.create_index(name, "invoices", columns, sqlite_where=where, postgresql_where=where)
    _tell_companies_of_documents()
    op.create_index("ix_documents_state", "documents", _STATE)


def _tell_companies_of_documents() -> None:
    op.add_column("documents", sa.Column("connection_id", sa.String(length=32), nullable=True))
    op.execute(
        "UPDATE documents SET connection_id = (SELECT invoices.connection_id FROM invoices"
        " WHERE invoices.id = documents.invoice_id)"
    )
    with op.batch_alter_table("documents") as batch:
        batch.alter_column("connection_id", nullable=False)
        batch.create_foreign_key(
            "documents_connection_id_fkey", "connections", ["connection_id"], ["id"]
        )


def _fill() -> None:
    """Give every invoice that is there the keys that it would get today."""
    table = sa.table(
        "invoices",
        sa.column("id", sa.String()),
        sa.column("mapped", service.database.types.ExactJSON()),
        *(sa.column(name, _KEY) for name in _KEYS),
    )
    write = (
        sa.update(table)
        .where(table.c.id == sa.bindparam("row_id"))
        .values({name: sa.bindparam(name) for name in _KEYS})
    )
    connection, last = op.get_bind(), ""
    while rows := connection.execute(
        sa.select(table.c.id, table.c.mapped)
        .where(table.c.mapped.is_not(None), table.c.id > last)
        .order_by(table.c.id)
        .limit(_CHUNK)
    ).all():
        connection.execute(write, [{"row_id": i, **keys(mapped)} for i, mapped in rows])
        last = rows[-1][0]


def downgrade() -> None:
    op.drop_index("ix_documents_state", "documents")
    with op.batch_alter_table("documents") as batch:
        batch.drop_constraint("documents_connection_id_fkey", type_="foreignkey")
        batch.drop_column("connection_id")
    for name in (*_PARTIAL, *_INDEXES, "ix_invoices_newest"):
        op.drop_index(name, "invoices")
    op.create_index("ix_invoices_newest", "invoices", ["connection_id", "created_ms"])
    for name in _KEYS:
        op.drop_column("invoices", name)
