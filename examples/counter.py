"""A durable counter. Run it:  actorium dev examples/counter.py

Then, from anywhere:  actorium ask counter --json '{"action": "Add", "spec": {"amount": 2}}'
"""

import msgspec

from actorium import Actor, App, Context


class Add(msgspec.Struct):
    """What the counter understands."""

    amount: int = 1


class Total(msgspec.Struct):
    """What the counter remembers: written with the outcome of the message that changed it."""

    value: int = 0


class Counter(Actor):
    """Adds, and survives the death of any process."""

    state: Total

    async def receive(self, message: Add, ctx: Context) -> int:
        self.state.value += message.amount
        return self.state.value


app = App(Counter.named("counter"))

if __name__ == "__main__":
    app.run()
