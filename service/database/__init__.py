"""How the service talks to SQLite and PostgreSQL: engine, types, tables, migrations."""
