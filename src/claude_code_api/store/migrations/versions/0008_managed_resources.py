"""Agents and their versions, environments, files and skills."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add what sessions of Claude Managed Agents are made of."""
    op.create_table(
        "managed_agent",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("archived_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_managed_agent"),
    )
    op.create_table(
        "managed_agent_version",
        sa.Column("agent_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("definition", sa.JSON, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "version", name="pk_managed_agent_version"),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["managed_agent.id"], name="fk_managed_agent_version_agent_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "managed_environment",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("archived_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_managed_environment"),
    )
    _files_and_skills()
    for table in ("agent", "environment", "file", "skill"):
        op.create_index(f"ix_managed_{table}_page", f"managed_{table}", ["tenant", "created_at", "id"])
    op.create_index("ix_managed_file_expires_at", "managed_file", ["expires_at"])
    op.create_index("ix_managed_skill_version_page", "managed_skill_version", ["skill_id", "created_at", "id"])


def _files_and_skills() -> None:
    op.create_table(
        "managed_file",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("mime_type", sa.String(255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_managed_file"),
    )
    op.create_table(
        "managed_skill",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_managed_skill"),
    )
    op.create_table(
        "managed_skill_version",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("skill_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_managed_skill_version"),
        sa.ForeignKeyConstraint(
            ["skill_id"], ["managed_skill.id"], name="fk_managed_skill_version_skill_id", ondelete="CASCADE"
        ),
    )
