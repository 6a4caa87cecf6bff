"""LangGraph: graphs of nodes that do nothing; in memory, or with its SQLite saver.

Arguments: memory | off | full, and a directory. `off` and `full` are SQLite's `synchronous`: with `off` a
checkpoint survives kill -9, with `full`, which is what the saver does by itself, also loss of power. Each
checkpoint is written before the next node begins (durability="sync").
"""

# /// script
# dependencies = ["langgraph==1.2.22", "langgraph-checkpoint-sqlite==3.1.2"]
# ///

import operator
import sqlite3
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypedDict

from answering import answer_orders
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

WIDTH, WIDE = 98, 1000


class State(TypedDict):
    """What nodes hand on."""

    seen: Annotated[list[int], operator.add]


def line(length: int) -> Any:
    graph = StateGraph(State)
    before = START
    for number in range(length):
        graph.add_node(f"n{number}", lambda _, number=number: {"seen": [number]})
        graph.add_edge(before, f"n{number}")
        before = f"n{number}"
    graph.add_edge(before, END)
    return graph


def diamond(width: int) -> Any:
    graph = StateGraph(State)
    graph.add_node("first", lambda _: {"seen": [-1]})
    graph.add_node("last", lambda _: {"seen": [-2]})
    graph.add_edge(START, "first")
    for number in range(width):
        graph.add_node(f"n{number}", lambda _, number=number: {"seen": [number]})
        graph.add_edge("first", f"n{number}")
    graph.add_edge([f"n{number}" for number in range(width)], "last")
    graph.add_edge("last", END)
    return graph


def fan(width: int) -> Any:
    graph = StateGraph(State)
    graph.add_node("one", lambda item: {"seen": [item["number"]]})
    graph.add_conditional_edges(START, lambda _: [Send("one", {"number": n}) for n in range(width)], ["one"])
    graph.add_edge("one", END)
    return graph


def saver(kind: str, home: Path) -> SqliteSaver | None:
    if kind == "memory":
        return None
    connection = sqlite3.connect(home / f"langgraph-{kind}.db", check_same_thread=False)
    made = SqliteSaver(connection)
    made.setup()
    connection.execute(f"PRAGMA synchronous={kind}")
    return made


def run(graph: Any, count: int, durable: bool) -> None:
    config = {"configurable": {"thread_id": uuid.uuid4().hex}, "recursion_limit": 50}
    found = graph.invoke({"seen": []}, config, **({"durability": "sync"} if durable else {}))
    assert len(found["seen"]) == count, found


def main(kind: str, home: Path) -> None:
    checkpointer = saver(kind, home)
    shapes = {"line": (line(5), 5), "diamond": (diamond(WIDTH), WIDTH + 2), "fan": (fan(WIDE), WIDE)}
    known = {
        name: partial(run, graph.compile(checkpointer=checkpointer), count, checkpointer is not None)
        for name, (graph, count) in shapes.items()
    }
    lanes = 1 if checkpointer is None else 8  # threads with which it is fastest here
    answer_orders(known, ["langgraph", "langgraph-checkpoint-sqlite"], threads=lanes)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
