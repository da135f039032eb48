"""Migrations: ``gateway store upgrade`` runs them, ``gateway run`` refuses a ledger that is older."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

from gateway.store.engine import open_runner

HEAD = "0007"
_SCRIPTS = Path(__file__).parent / "migrations"


def current_revision(connection: Connection) -> str | None:
    """Return the revision a ledger is at, or None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection) -> None:
    from alembic import command  # a third of a second that only this command pays for
    from alembic.config import Config

    if connection.dialect.name == "postgresql":  # several processes may be started at once; the second finds it done
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('gateway store upgrade'))")
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def upgrade(url: str) -> tuple[str | None, str]:
    """Bring a ledger to the newest revision; returns the revision before and after. Safe to repeat."""
    runner = open_runner(url, exclusive=True)
    try:
        before = await runner.read(current_revision)
        if before != HEAD:
            await runner.write(_upgrade)
        return before, HEAD
    finally:
        await runner.close()
