"""What reliability needs: reconciles, alerts, audit, heartbeats, counted deliveries.

Revision: 0002, after 0001
"""

import sqlalchemy as sa
from alembic import op

import service.database.types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = service.database.types.Instant(timezone=True)
_LONG_AGO = "1970-01-01 00:00:00"
_PARKED = sa.text("status = 'parked'")
_CONNECTION_INSTANTS = (
    "disconnected_at",
    "suspended_at",
    "released_at",
    "throttled_since",
    "reconciled_at",
)


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("since", service.database.types.Instant(timezone=True), nullable=False),
        sa.Column("raised_at", service.database.types.Instant(timezone=True), nullable=False),
        sa.Column("ended_at", service.database.types.Instant(timezone=True), nullable=True),
        sa.Column("told_at", service.database.types.Instant(timezone=True), nullable=True),
        sa.Column("end_told_at", service.database.types.Instant(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", service.database.types.Instant(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("alerts", schema=None) as batch_op:
        batch_op.create_index("ix_alerts_newest", ["raised_at"], unique=False)
        batch_op.create_index(
            "ux_alerts_open",
            ["cause", "subject"],
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )

    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", service.database.types.Instant(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("connection_id", sa.String(length=32), nullable=True),
        sa.Column("details", service.database.types.ExactJSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_at"), ["at"], unique=False)

    op.create_table(
        "deliveries",
        sa.Column("minute", service.database.types.Instant(timezone=True), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("minute", "outcome"),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    # A constant default, because SQLite adds no other column that must not be null; every company
    # that is there is reconciled at once, from the day on which it was connected.
    for name in ("reconciled_until", "reconcile_due_at"):
        op.add_column(
            "connections", sa.Column(name, _INSTANT, nullable=False, server_default=_LONG_AGO)
        )
    op.execute("UPDATE connections SET reconciled_until = connected_at")
    for name in _CONNECTION_INSTANTS:
        op.add_column("connections", sa.Column(name, _INSTANT, nullable=True))
    op.add_column(
        "connections", sa.Column("refreshes", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "documents", sa.Column("supplier_id", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE documents SET supplier_id = (SELECT connections.supplier_id FROM connections"
        " JOIN invoices ON invoices.connection_id = connections.id"
        " WHERE invoices.id = documents.invoice_id)"
    )
    op.add_column("notices", sa.Column("delivery_id", sa.String(length=32), nullable=True))
    op.create_index("ix_notices_handled", "notices", ["handled_at"])
    op.create_index(
        "ix_notices_parked",
        "notices",
        ["connection_id", "id"],
        sqlite_where=_PARKED,
        postgresql_where=_PARKED,
    )
    op.add_column("runs_seen", sa.Column("sync_token", sa.BigInteger(), nullable=True))
    op.add_column("runs_seen", sa.Column("last_updated", _INSTANT, nullable=True))
    op.add_column("runs_seen", sa.Column("total", service.database.types.Money(), nullable=True))
    op.add_column("runs_seen", sa.Column("balance", service.database.types.Money(), nullable=True))
    op.create_index("ix_runs_newest", "runs", ["connection_id", "kind", "id"])
    op.create_index("ix_runs_finished", "runs", ["finished_at"])
    op.create_index("ix_reads_month", "reads", ["month", "count"])


def downgrade() -> None:
    op.drop_index("ix_reads_month", "reads")
    op.drop_index("ix_runs_finished", "runs")
    op.drop_index("ix_runs_newest", "runs")
    for name in ("sync_token", "last_updated", "total", "balance"):
        op.drop_column("runs_seen", name)
    op.drop_index("ix_notices_parked", "notices")
    op.drop_index("ix_notices_handled", "notices")
    op.drop_column("notices", "delivery_id")
    op.drop_column("documents", "supplier_id")
    for name in (*_CONNECTION_INSTANTS, "reconcile_due_at", "reconciled_until", "refreshes"):
        op.drop_column("connections", name)
    for table in ("heartbeats", "deliveries", "audit", "alerts"):
        op.drop_table(table)
