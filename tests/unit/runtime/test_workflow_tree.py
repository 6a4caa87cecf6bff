"""What people see of a run: a tree while it goes on, a line for what happens, a timeline afterwards."""

import asyncio
import io
from typing import Any

from actorium import Actor, App, Client, Context, Options, Task, Workflow, workflow
from actorium.actors.workflows.record import Closing, Why
from actorium.runtime.cli.workflow_view import timeline
from actorium.runtime.memory import in_memory
from actorium.runtime.views.workflow_lines import line
from actorium.runtime.views.workflow_reader import Told
from actorium.runtime.views.workflow_screen import TreeScreen
from actorium.runtime.views.workflow_tree import Shown, tree
from actorium.runtime.views.workflow_watch import WorkflowWatch


class Work(Actor):
    options = Options(attempts=1)

    async def receive(self, message: Task, ctx: Context) -> Any:
        if ctx.task_id.endswith("/once/1"):
            raise ValueError("not yet")
        return message.inputs


def inner() -> Workflow:
    draft = workflow("inner")
    draft.step("wait", wait_signal="go")
    draft.step("after", agent="work", depends_on=["wait"])
    return draft.build()


def outer() -> Workflow:
    draft = workflow("outer")
    each = draft.step("each", agent="work", for_each=["a", "b", "c"], inputs=draft.item)
    draft.step("never", agent="work", when=each.status == "failure")
    draft.step("once", agent="work", action="once", retry={"max": 2, "backoff": "10ms"}, effect="pure")
    draft.step("in", workflow="inner", depends_on=["each", "once"])
    draft.step("end", agent="work", depends_on=["in"])
    return draft.build()


async def watched(client: Client, run_id: str) -> tuple[list[str], list[list[str]]]:
    """Lines and trees of a run from its start to its end; its child hears its signal when it listens."""
    lines, trees = [], []
    async with WorkflowWatch(client.names, "outer", run_id) as watch:
        await client.start("outer", run_id=run_id)
        async with asyncio.timeout(20):
            async for told in watch.news():
                lines += [text for each in told if (text := line(each))]
                if watch.begun:
                    trees.append(tree(watch.shown, width=90))
                if told and any("listens   wait" in line(each) for each in told):
                    (card,) = [run for run in await client.workflows.live() if run.workflow == "inner"]
                    await client.signal("inner", card.task_id, "go", by="ann")
    return lines, trees


async def test_a_run_is_followed_with_the_workflows_that_it_runs_until_its_end():
    async with in_memory(App(Work.named("work"), inner(), outer())) as client:
        lines, trees = await watched(client, "r")
    said = [text.split(maxsplit=2)[2] for text in lines]
    assert said[0].startswith("started")
    assert "fans out  each: 3 items" in said
    assert [text for text in said if text.startswith("begins    each")] == ["begins    each"]
    assert any(text.startswith("retries   once: ") and "not yet" in text for text in said)
    assert "signal    go by ann" in said
    assert said[-1] == "ended     success: completed"
    assert any("    inner/" in text or "  inner/" in text for text in lines)
    while_inside = next(one for one in trees if any("inner/" in text for text in one))
    assert any("└─ … inner/" in text or "│  └─ … inner/" in text for text in while_inside)
    assert trees[-1][0].startswith("✓ outer/r success · 5/5 steps")
    assert not any("inner/" in text for text in trees[-1])
    assert all(len(text) <= 90 for one in trees for text in one)


def step(name: str, stage: str, **told: Any) -> dict[str, Any]:
    return {"id": name, "stage": stage, **told}


def shown(*steps: dict[str, Any], **told: Any) -> Shown:
    run = {"run": "f/1", "stage": "running", "ms": 1000, "began_ms": 1, "steps": list(steps), **told}
    return Shown(run=run)


def test_a_screen_that_is_too_low_counts_what_waits_and_then_what_is_over():
    steps = [step(f"a{n}", "done", began_ms=1, ms=5) for n in range(40)]
    steps += [step("now", "running", began_ms=1, ms=5, items=9, done=3)]
    steps += [step(f"z{n}", "waiting", waits_for=["now"]) for n in range(40)]
    assert len(tree(shown(*steps))) == 82
    assert "· 40 steps wait" in tree(shown(*steps), height=50)[-1]
    low = tree(shown(*steps), height=10)
    assert [text[3:] for text in low[1:]] == [
        "✓ 40 steps are over",
        "… now  3/9 items  0.01 s",
        "· 40 steps wait",
    ]


def test_secrets_and_terminal_commands_do_not_reach_a_screen():
    told = shown(
        step("a", "failed", began_ms=1, ms=5, error="key sk-ant-api03-abcdefghijklmnop \x1b[2J gone"),
        closing={"why": "failed", "error": "\x1b]0;x\x07"},
    )
    text = "\n".join(tree(told))
    assert "\x1b" not in text
    assert "abcdefghijklmnop" not in text


def test_a_timeline_shows_when_each_step_ran_and_how_long():
    run = shown(
        step("first", "done", began_ms=1, ms=500),
        step("second", "failed", began_ms=501, ms=500, error="no", attempts=3),
        step("third", "skipped", began_ms=1001, why="failed"),
        closing={"why": "failed", "error": "step second failed"},
        stage="failure",
    ).run
    head, why, first, second, third = timeline(run, 100)
    assert head == "✗ f/1 failure (failed) · 1/3 steps · 1.00 s"
    assert why == "! failed: step second failed"
    assert ("█" * 12 + "·" * 12 in first, "0.50 s" in first) == (True, True)
    assert ("·" * 12 + "█" * 12 in second, "attempt 3" in second) == (True, True)
    assert "what it waits for failed" in third


def test_a_tree_is_drawn_over_itself_and_not_more_often_than_anybody_reads():
    now, out = [0.0], io.StringIO()
    screen = TreeScreen(out, clock=lambda: now[0], size=lambda: (80, 24))
    for at in (0.0, 0.01, 0.1):
        now[0] = at
        screen.show([], lambda: shown(step("a", "running")))
    assert out.getvalue().count("f/1") == 2
    assert out.getvalue().count("\x1b[2A") == 1


def test_steps_that_had_nothing_to_do_count_and_those_that_were_cut_do_not():
    run = shown(
        step("a", "done"), step("b", "skipped", why="when"), step("c", "skipped", why="the run ended")
    ).run
    assert " · 2/3 steps · " in timeline(run, 100)[0]


def test_a_cancel_is_said_once():
    told = Told("f/1", 0, 0, Closing(why=Why.CANCELLED, error="cancelled: enough"))
    assert line(told).endswith(" closing   cancelled: enough")
