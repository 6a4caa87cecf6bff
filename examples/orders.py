"""A workflow in Python: an order is priced, charged and sent; if sending fails, the charge is given back.

    actorium dev examples/orders.py
    actorium workflow run order --input number=17 --input 'items=["tea", "cup"]'
    nats pub shop.orders '{"number": 18, "items": ["pot"]}'
    nats request webhooks.orders '{"number": 19, "items": ["cup"]}'

Every step is in the ledger before it takes effect: kill any process, the run goes on where it was.
"""

from typing import Any

from actorium import Actor, App, Context, Reject, Task, workflow

PRICES = {"tea": 4.5, "cup": 9.0, "pot": 31.0}


class Shop(Actor):
    """Does what the steps say; the task's id is the key that makes a repetition the same charge."""

    async def receive(self, message: Task, ctx: Context) -> Any:
        told = message.inputs or {}
        match message.action:
            case "price":
                if told["item"] not in PRICES:
                    raise Reject(f"there is no {told['item']}")
                return PRICES[told["item"]]
            case "charge":
                return {"receipt": f"{told['number']}-1", "paid": sum(told["prices"])}
            case "refund":
                return {"returned": told["receipt"]}
            case _:
                return {"sent": told["number"]}


draft = workflow(
    "order",
    description="Charge an order and send it",
    on_failure="compensate",
    deadline="1h",
    triggers=[{"type": "event", "subject": "shop.orders"}, {"type": "webhook", "path": "orders"}],
)
number = draft.input("number", int)
prices = draft.step(
    "price",
    agent="shop",
    action="price",
    for_each=draft.input("items", list),
    inputs={"item": draft.item},
    effect="pure",
)
charged = draft.step(
    "charge",
    agent="shop",
    action="charge",
    inputs={"number": number, "prices": prices.data},
    effect="compensable",
    undo={"action": "refund", "inputs": {"receipt": "${steps.charge.data.receipt}"}},
)
sent = draft.step(
    "send",
    agent="shop",
    action="send",
    inputs={"number": number},
    depends_on=[charged],
    retry=3,
    timeout="30s",
)
draft.output("paid", charged.data.paid)
draft.output("sent", sent.data.sent)

app = App(Shop.named("shop"), draft.build())

if __name__ == "__main__":
    app.run()
