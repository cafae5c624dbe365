"""Operators in browsers, samples of how the service does, and invoices by their number.

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

import service.database.types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INSTANT = service.database.types.Instant(timezone=True)
_HAS_TID = sa.text("intuit_tid IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "operator_sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("expires_at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("ix_operator_sessions_expires_at", "operator_sessions", ["expires_at"])
    op.create_table(
        "login_attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("about", sa.String(length=64), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_login_attempts_about", "login_attempts", ["about", "at"])
    op.create_table(
        "samples",
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lag_p50", sa.Float(precision=53), nullable=True),
        sa.Column("lag_p95", sa.Float(precision=53), nullable=True),
        sa.Column("pending", sa.BigInteger(), nullable=False),
        sa.Column("oldest_pending", sa.Float(precision=53), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("parked", sa.BigInteger(), nullable=False),
        sa.Column("ignored", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slot"),
    )
    op.create_index("ix_invoices_doc_number", "invoices", ["doc_number"])
    op.create_index("ix_notices_entity", "notices", ["entity_id"])
    op.create_index(
        "ix_notices_tid",
        "notices",
        ["intuit_tid"],
        sqlite_where=_HAS_TID,
        postgresql_where=_HAS_TID,
    )


def downgrade() -> None:
    op.drop_index("ix_notices_tid", "notices")
    op.drop_index("ix_notices_entity", "notices")
    op.drop_index("ix_invoices_doc_number", "invoices")
    for table in ("samples", "login_attempts", "operator_sessions"):
        op.drop_table(table)
