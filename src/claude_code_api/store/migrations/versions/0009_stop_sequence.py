"""Which of a request's stop sequences an answer met."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the text; of the answers so far nobody knows."""
    op.add_column("turn", sa.Column("stop_sequence", sa.Text))
