"""The history of the schema: one file per revision in versions/, applied by Alembic."""
