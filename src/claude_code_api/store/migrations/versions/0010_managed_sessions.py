"""Sessions of Managed Agents and their events."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add what a conversation is as a session, and its log."""
    op.create_table(
        "managed_session",
        sa.Column("conversation_key", sa.String(32), nullable=False),
        sa.Column("agent", sa.JSON, nullable=False),
        sa.Column("agent_id", sa.String(64), nullable=False),
        sa.Column("agent_version", sa.Integer, nullable=False),
        sa.Column("is_implicit", sa.Boolean, nullable=False),
        sa.Column("environment_id", sa.String(64), nullable=False),
        sa.Column("title", sa.Text),
        sa.Column("budget", sa.BigInteger),
        sa.Column("is_budgeted", sa.Boolean, nullable=False),
        sa.Column("resources", sa.JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("stop_reason", sa.JSON),
        sa.Column("waiting", sa.JSON, nullable=False),
        sa.Column("outcomes", sa.JSON, nullable=False),
        sa.Column("run", sa.JSON),
        sa.Column("active_seconds", sa.Float, nullable=False),
        sa.Column("running_since", sa.Float),
        sa.Column("archived_at", sa.Float),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("followed", sa.Integer, nullable=False),
        sa.Column("works", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("conversation_key", name="pk_managed_session"),
        sa.ForeignKeyConstraint(
            ["conversation_key"], ["conversation.key"], name="fk_managed_session_conversation_key", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_managed_session_agent_id", "managed_session", ["agent_id"])
    op.create_index("ix_managed_session_works", "managed_session", ["works"])
    op.create_table(
        "managed_event",
        sa.Column("session_key", sa.String(32), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("id", sa.String(48), nullable=False),
        sa.Column("type", sa.String(48), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("blocks", sa.JSON),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("processed_at", sa.Float),
        sa.Column("turn_id", sa.String(36)),
        sa.Column("call_id", sa.String(128)),
        sa.PrimaryKeyConstraint("session_key", "seq", name="pk_managed_event"),
        sa.ForeignKeyConstraint(
            ["session_key"],
            ["managed_session.conversation_key"],
            name="fk_managed_event_session_key",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_managed_event_session_key", "managed_event", ["session_key", "type", "seq"])
    op.create_index("ix_managed_event_turn", "managed_event", ["session_key", "turn_id"])
    op.create_index("ix_managed_event_call", "managed_event", ["session_key", "call_id"])
    op.create_index("uq_managed_event_id", "managed_event", ["session_key", "id"], unique=True)
