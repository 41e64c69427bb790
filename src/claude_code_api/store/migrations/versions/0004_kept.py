"""Conversations that are kept although they hold no turn: everything was taken back."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Say of each conversation whether it holds its id; until now, those with a completed turn did."""
    op.add_column("conversation", sa.Column("kept", sa.Boolean, nullable=False, server_default="1"))
    op.execute("UPDATE conversation SET kept = (turns > 0)")
