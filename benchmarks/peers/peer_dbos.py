"""DBOS: workflows of steps that do nothing, on SQLite or PostgreSQL.

Arguments: the URL of its system database.
"""

# /// script
# dependencies = ["dbos==3.4.0", "psycopg[binary]>=3.2", "pysqlite3-binary"]
# ///

import asyncio
import sys

import newer_sqlite  # noqa: F401  # first, before anything imports sqlite3
from answering import answer_orders
from dbos import DBOS

WIDTH, WIDE = 98, 1000


def main(url: str) -> None:
    DBOS(
        config={"name": "bench", "system_database_url": url, "log_level": "ERROR", "run_admin_server": False}
    )

    @DBOS.step()
    async def step(number: int) -> int:
        return number

    @DBOS.workflow()
    async def line() -> int:
        for number in range(5):
            await step(number)
        return 5

    @DBOS.workflow()
    async def diamond() -> int:
        await step(-1)
        found = await asyncio.gather(*(step(number) for number in range(WIDTH)))
        await step(-2)
        return len(found)

    @DBOS.workflow()
    async def fan() -> int:
        return len(await asyncio.gather(*(step(number) for number in range(WIDE))))

    DBOS.launch()
    try:
        answer_orders({"line": line, "diamond": diamond, "fan": fan}, ["dbos"])
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1])
