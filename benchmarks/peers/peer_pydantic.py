"""Pydantic AI: an agent of two turns and one tool with a model that is a Python function, in its own process.

Arguments: memory, or the URL of a DBOS system database, which makes its runs durable: each is a
workflow there.
"""

# /// script
# dependencies = ["pydantic-ai-slim==2.68.0", "dbos==3.4.0", "pysqlite3-binary"]
# ///

import sys

import newer_sqlite  # noqa: F401  # first, before anything imports sqlite3
from answering import answer_orders
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel


def looking(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    if len(messages) == 1:
        return ModelResponse(parts=[ToolCallPart("look", {"place": "Bern"})])
    return ModelResponse(parts=[TextPart("It is sunny in Bern.")])


def saying(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    return ModelResponse(parts=[TextPart("done")])


def look(place: str) -> str:
    """Look at a place."""
    return f"sunny in {place}"


def main(url: str) -> None:
    packages, capabilities = ["pydantic-ai-slim"], []
    if url != "memory":
        from dbos import DBOS
        from pydantic_ai.durable_exec.dbos import DBOSDurability

        DBOS(
            config={
                "name": "bench",
                "system_database_url": url,
                "log_level": "ERROR",
                "run_admin_server": False,
            }
        )
        capabilities, packages = [DBOSDurability()], ["pydantic-ai-slim", "dbos"]
    looker = Agent(FunctionModel(looking), name="looker", tools=[look], capabilities=capabilities)
    sayer = Agent(FunctionModel(saying), name="sayer", capabilities=capabilities)

    async def looks() -> None:
        found = await looker.run("How is the weather in Bern?")
        assert found.output == "It is sunny in Bern.", found

    async def says() -> None:
        found = await sayer.run("How is the weather in Bern?")
        assert found.output == "done", found

    if capabilities:
        looks, says = DBOS.workflow()(looks), DBOS.workflow()(says)  # outside of a workflow nothing is kept
        DBOS.launch()
    answer_orders({"look": looks, "say": says}, packages)


if __name__ == "__main__":
    main(sys.argv[1])
