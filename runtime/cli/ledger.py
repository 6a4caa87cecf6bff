"""Ledger: prove that nobody changed what an agent did."""

from typing import TYPE_CHECKING

import click

from .answer import Answer
from .connection import agent_argument, common, connected, must_exist

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ...storage.port import Entry
    from ...storage.verifier import Verified
    from ..client import Client


@click.group(short_help="The record of what agents did.")
def ledger() -> None:
    """The ledger: an append-only chain of records for each agent, each sealed to the one before."""


@ledger.command()
@common
@agent_argument
@click.option(
    "--checkpoint", metavar="COUNT:HEAD", help="What an earlier verify printed; it must be in the chain."
)
def verify(answer: Answer, *, agent: str, checkpoint: str | None) -> None:
    """Prove that AGENT's chain of records is whole, and print a checkpoint: COUNT:HEAD.

    A cut tail is found only against a checkpoint that was kept somewhere else.
    """
    earlier = read_checkpoint(checkpoint) if checkpoint else None
    proven = connected(answer, lambda client: _proven(client, agent, earlier))
    value = {"agent": agent, "count": proven.count, "head": proven.head}
    answer.note(f"the chain of {agent} is whole: {proven.count} records")
    answer.data(value, f"{proven.count}:{proven.head}")


async def _proven(client: "Client", agent: str, checkpoint: "Verified | None") -> "Verified":
    from ...bus import subjects
    from ...storage.verifier import verify_stream

    tenant = subjects.DEFAULT_TENANT
    chain = subjects.ledger(subjects.partition(tenant, agent, client.names.partitions), tenant, agent)
    proven = await verify_stream(_bytes(client.names.ledger.read(chain)), chain, checkpoint)
    if not proven.count:
        await must_exist(client, agent)
    return proven


async def _bytes(entries: "AsyncIterator[Entry]") -> "AsyncIterator[bytes]":
    async for entry in entries:
        yield entry.value


def read_checkpoint(text: str) -> "Verified":
    """A checkpoint as `ledger verify` prints it. Raises UsageError."""
    from ...storage.verifier import Verified

    count, _, head = text.partition(":")
    if not (count.isdecimal() and len(head) == 64):
        raise click.UsageError(f"--checkpoint {text!r} is not COUNT:HEAD, as `ledger verify` prints it")
    return Verified(int(count), head)
