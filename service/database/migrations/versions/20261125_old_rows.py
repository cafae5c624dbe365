"""Which rows of Infactor's own old QuickBooks import are whose.

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op

import service.database.types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("invoices", sa.Column("adopted", sa.String(length=24), nullable=True))
    op.add_column(
        "invoices",
        sa.Column("old_rows_held", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_index("ux_invoices_adopted", "invoices", ["adopted"], unique=True)
    op.add_column(
        "connections",
        sa.Column("adopted_at", service.database.types.Instant(timezone=True), nullable=True),
    )
    op.create_table(
        "old_ids",
        sa.Column("connection_id", sa.String(length=32), nullable=False),
        sa.Column("quickbooks_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connections.id"]),
        sa.PrimaryKeyConstraint("connection_id", "quickbooks_id"),
    )


def downgrade() -> None:
    op.drop_table("old_ids")
    op.drop_column("connections", "adopted_at")
    op.drop_index("ux_invoices_adopted", "invoices")
    op.drop_column("invoices", "old_rows_held")
    op.drop_column("invoices", "adopted")
