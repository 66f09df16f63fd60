"""How SQLite answers a question: which index it uses, and whether it sorts."""

from collections.abc import Callable

from sqlalchemy import Engine, event


def plans(engine: Engine, ask: Callable[[], object]) -> list[str]:
    """How SQLite finds what it is asked: the plan of each statement."""
    asked: list[tuple[str, tuple[object, ...]]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _note(_c: object, _cursor: object, statement: str, values: tuple[object, ...], *_: object) -> None:
        asked.append((statement, values))

    ask()
    event.remove(engine, "before_cursor_execute", _note)
    with engine.connect() as connection:
        return [
            " / ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
            for statement, values in asked
            if statement.startswith("SELECT")
        ]
