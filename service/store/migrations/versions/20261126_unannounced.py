"""How many changes a reconcile has found that no notice had announced, in a column of its own.

Revision: 0008, after 0007
"""

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

import service.store.columns
from service.times import now

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_RUNS = sa.table(
    "runs",
    sa.column("id", sa.BigInteger()),
    sa.column("kind", sa.String()),
    sa.column("tally", service.store.columns.ExactJSON()),
    sa.column("finished_at", service.store.columns.Instant()),
    sa.column("unannounced", sa.Integer()),
)
# Older ones nobody asks for.
_ASKED_FOR = timedelta(days=1)


def upgrade() -> None:
    op.add_column(
        "runs", sa.Column("unannounced", sa.Integer(), nullable=False, server_default="0")
    )
    recent = sa.select(_RUNS.c.id, _RUNS.c.tally).where(
        _RUNS.c.kind == "reconcile", _RUNS.c.finished_at >= now() - _ASKED_FOR
    )
    for run_id, tally in op.get_bind().execute(recent).all():
        if counted := tally.get("unannounced"):
            op.execute(sa.update(_RUNS).where(_RUNS.c.id == run_id).values(unannounced=counted))


def downgrade() -> None:
    op.drop_column("runs", "unannounced")
