"""Two agents that think: a desk, and a clerk it gives tasks to. The same in TOML: agents.toml. Run either:

    actorium dev examples/agents.py
    actorium ask desk "Where is my order 17?"

They think with scripts, so no key is needed. With one, write model="anthropic:claude-sonnet-5-5".
"""

import msgspec

from actorium import Agent, App, Budget, tool
from actorium.actors.models.scripted import call, in_order, say

ORDERS = {17: "sent on Monday", 18: "waits for its payment"}


class Answer(msgspec.Struct):
    """What the desk answers."""

    order: int
    text: str


@tool(effect="pure")
def find_order(number: int) -> str:
    """Look an order up.

    Args:
        number: As it stands on the invoice.
    """
    return ORDERS.get(number, "there is no such order")


clerk_script = in_order(
    call(("find_order", {"number": 17})),
    say("Order 17 was sent on Monday."),
)
desk_script = in_order(
    call(("delegate_task", {"agent": "clerk", "task": "Where is order 17?"})),
    say('{"order": 17, "text": "It was sent on Monday."}'),
)

app = App(
    Agent(
        "desk",
        model="scripted:agents:desk_script",
        prompt="You answer customers. Give what has to be looked up to the clerk.",
        delegates=["clerk"],
        budget=Budget(steps=6, tokens=20_000),
        output=Answer,
        skills=["answer"],
    ),
    Agent(
        "clerk",
        model="scripted:agents:clerk_script",
        prompt="You look orders up.",
        tools=[find_order],
        risk="low",
        options={"parallel": 4},
    ),
)

if __name__ == "__main__":
    app.run()
