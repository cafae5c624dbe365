"""What a run has found unannounced, and would withdraw; what of held invoices is to mend: nothing.

Revision: 0008, after 0007
"""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

import service.database.types
from service.kit.clock import now

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_RUNS = sa.table(
    "runs",
    sa.column("id", sa.BigInteger()),
    sa.column("kind", sa.String()),
    sa.column("tally", service.database.types.ExactJSON()),
    sa.column("finished_at", service.database.types.Instant()),
    sa.column("unannounced", sa.Integer()),
)
_NEWEST = ("connection_id", "created_ms", "id")
_HAS_WARNINGS = "warnings <> '[]' OR delivery_warnings <> '[]'"
# Older ones nobody asks for.
_ASKED_FOR = timedelta(days=1)


def upgrade() -> None:
    op.add_column(
        "runs", sa.Column("unannounced", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column(
        "runs", sa.Column("would_withdraw", service.database.types.ExactJSON(), nullable=True)
    )
    recent = sa.select(_RUNS.c.id, _RUNS.c.tally).where(
        _RUNS.c.kind == "reconcile", _RUNS.c.finished_at >= now() - _ASKED_FOR
    )
    for run_id, tally in op.get_bind().execute(recent).all():
        if counted := tally.get("unannounced"):
            op.execute(sa.update(_RUNS).where(_RUNS.c.id == run_id).values(unannounced=counted))
    _index_what_is_to_mend(f"hold IS NULL AND ({_HAS_WARNINGS})")


def _index_what_is_to_mend(which: str) -> None:
    where = sa.text(which)
    op.drop_index("ix_invoices_to_mend", "invoices")
    op.create_index(
        "ix_invoices_to_mend", "invoices", _NEWEST, sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    _index_what_is_to_mend(_HAS_WARNINGS)
    op.drop_column("runs", "would_withdraw")
    op.drop_column("runs", "unannounced")
