"""Answers that can be asked for again, transcripts, owners, lineage."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what a retry, a resume elsewhere, and a client without an id need."""
    op.add_column("conversation", sa.Column("epoch", sa.Integer, nullable=False, server_default="0"))
    op.add_column("conversation", sa.Column("lineage", sa.String(64)))
    op.create_index("ix_conversation_page", "conversation", ["tenant", "created_at", "conversation_id"])
    op.create_index("ix_conversation_lineage", "conversation", ["tenant", "lineage"])
    op.create_index("ix_conversation_place", "conversation", ["place"])
    op.create_index("ix_conversation_last_used_at", "conversation", ["last_used_at"])
    for kind in ("cache_read_tokens", "cache_write_tokens", "thinking_tokens"):
        op.add_column("turn", sa.Column(kind, sa.Integer, nullable=False, server_default="0"))
    op.add_column("turn", sa.Column("fingerprint", sa.String(64), nullable=False, server_default=""))
    op.add_column("turn", sa.Column("delivered", sa.Boolean, nullable=False, server_default="1"))
    op.create_table(
        "idempotency",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("turn_id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", name="pk_idempotency"),
        sa.ForeignKeyConstraint(["turn_id"], ["turn.id"], name="fk_idempotency_turn_id", ondelete="CASCADE"),
    )
    op.create_index("ix_idempotency_turn_id", "idempotency", ["turn_id"])
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    op.create_table(
        "transcript_entry",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("conversation_key", sa.String(32), nullable=False),
        sa.Column("project_key", sa.String(256), nullable=False),
        sa.Column("session_id", sa.String(64), nullable=False),
        sa.Column("subpath", sa.String(256), nullable=False),
        sa.Column("uuid", sa.String(64)),
        sa.Column("entry", sa.JSON, nullable=False),
        sa.Column("written_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_transcript_entry"),
        sa.ForeignKeyConstraint(
            ["conversation_key"], ["conversation.key"], name="fk_transcript_entry_conversation_key", ondelete="CASCADE"
        ),
    )
    op.create_index(
        "uq_transcript_entry",
        "transcript_entry",
        ["conversation_key", "project_key", "session_id", "subpath", "uuid"],
        unique=True,
    )
