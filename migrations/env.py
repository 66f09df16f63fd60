"""Runs the migrations on the connection that `inspectd.ledger.database.upgrade` hands over, inside its transaction."""

from alembic import context

from inspectd.ledger.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter most things in place
    transactional_ddl=True,  # and yet can roll back every change of a schema
)
with context.begin_transaction():
    context.run_migrations()
