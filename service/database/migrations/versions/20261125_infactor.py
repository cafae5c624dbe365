"""What deliveries into Infactor's own database need: receipts, findings, what is outgoing.

Revision: 0003, after 0002
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

import service.database.types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INSTANT = service.database.types.Instant(timezone=True)
_MONEY = service.database.types.Money()
_JSON = service.database.types.ExactJSON()
_OUTGOING = sa.text("delivered_revision < revision")
_OPEN = sa.text("closed_at IS NULL")


def _columns() -> list[tuple[str, sa.Column[Any]]]:
    zero, nothing = sa.text("0"), sa.text("'[]'")
    return [
        ("invoices", sa.Column("buyer_emails", _JSON, nullable=False, server_default=nothing)),
        (
            "invoices",
            sa.Column("delivered_revision", sa.Integer(), nullable=False, server_default=zero),
        ),
        ("invoices", sa.Column("delivery_due_at", _INSTANT, nullable=True)),
        (
            "invoices",
            sa.Column("delivery_attempts", sa.Integer(), nullable=False, server_default=zero),
        ),
        ("invoices", sa.Column("delivery_error", sa.Text(), nullable=True)),
        ("invoices", sa.Column("delivery_warnings", _JSON, nullable=False, server_default=nothing)),
        ("documents", sa.Column("balance", _MONEY, nullable=True)),
        ("documents", sa.Column("currency", sa.String(length=8), nullable=True)),
        ("documents", sa.Column("seen_at", _INSTANT, nullable=True)),
        ("runs", sa.Column("halted_at", _INSTANT, nullable=True)),
        ("runs", sa.Column("confirmed", sa.Boolean(), nullable=False, server_default=sa.false())),
    ]


def upgrade() -> None:
    for table, column in _columns():
        op.add_column(table, column)
    op.create_index(
        "ix_invoices_outgoing",
        "invoices",
        ["connection_id", "recorded_at"],
        sqlite_where=_OUTGOING,
        postgresql_where=_OUTGOING,
    )
    op.create_table(
        "breakers",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", sa.Float(precision=53), nullable=True),
        sa.Column("open_until", sa.Float(precision=53), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )
    _create_receipts()
    _create_findings()


def _create_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("invoice_id", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=True),
        sa.Column("changed", _JSON, nullable=False),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_receipts_invoice", "receipts", ["invoice_id", "id"])


def _create_findings() -> None:
    op.create_table(
        "findings",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("invoice_id", sa.String(length=32), nullable=False),
        sa.Column("connection_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("field", sa.String(length=32), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("approved", sa.Text(), nullable=True),
        sa.Column("current", sa.Text(), nullable=True),
        sa.Column("found_at", _INSTANT, nullable=False),
        sa.Column("changed_at", _INSTANT, nullable=False),
        sa.Column("closed_at", _INSTANT, nullable=True),
        sa.Column("acknowledged_at", _INSTANT, nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["connection_id"], ["connections.id"]),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_findings_connection", "findings", ["connection_id", "id"])
    op.create_index(
        "ux_findings_open",
        "findings",
        ["invoice_id", "kind", "field"],
        unique=True,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )


def downgrade() -> None:
    for table in ("findings", "receipts", "breakers"):
        op.drop_table(table)
    op.drop_index("ix_invoices_outgoing", "invoices")
    for table, column in reversed(_columns()):
        op.drop_column(table, column.name)
