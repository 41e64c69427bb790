"""Alembic's environment: it is handed an open connection by `store/migrate.py`."""

from alembic import context

from claude_code_api.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
