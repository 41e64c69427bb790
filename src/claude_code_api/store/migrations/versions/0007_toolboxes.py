"""What the agent of a conversation is equipped with."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the toolbox; what there is so far has none of its own."""
    op.add_column("conversation", sa.Column("toolbox", sa.JSON))
