"""How a run is drawn: as a tree, as lines, and over itself on a terminal."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorium.actors.runs.approval import Decision, Question, Verdict
from actorium.runtime.views.live_tree import last_lines, tree
from actorium.runtime.views.run_screen import LineScreen, TreeScreen
from actorium.runtime.views.run_view import CallStage, CallView, RunStage, RunView, StepView

QUESTION = Question(id="q1", run="a/t", agent="a", call="1/1", tool="pay", arguments={}, hash="h")


def view(*calls: CallView, **fields: object) -> RunView:
    step = StepView(number=1, model="p:m", text="I will see", tokens=1200, usd=0.0123, calls=calls)
    told = {"task": "do it", "steps": (step,), "began_ms": 1, "tokens": 1200, "usd": 0.0123} | fields
    return RunView(agent="a", task_id="t", **told)


def test_a_run_is_a_head_and_what_hangs_below_it():
    inner = RunView(agent="b", task_id="a/t/1/2/1", stage=RunStage.SUCCESS, task="help", began_ms=1)
    drawn = tree(
        view(
            CallView(
                id="1/1", tool="pay", arguments={"amount": 7}, stage=CallStage.WAITING, question=QUESTION
            ),
            CallView(
                id="1/2", tool="delegate_task", arguments={"agent": "b"}, stage=CallStage.DONE, run=inner
            ),
            CallView(
                id="1/3", tool="look", arguments={}, stage=CallStage.FAILED, content="too dark", attempt=2
            ),
        )
    )
    assert drawn == [
        "… a/t running · 1 step · 1,200 tokens, $0.0123 · 0.0 s · do it",
        "└─ step 1  p:m  1,200 tokens, $0.0123",
        '   ├─ "I will see"',
        '   ├─ ? pay {"amount":7}  waits for approval q1',
        '   ├─ ✓ delegate_task {"agent":"b"}',
        "   │  └─ ✓ b/a/t/1/2/1 success · 0 steps · 0 tokens · 0.0 s · help",
        "   └─ ✗ look {}  attempt 2  → too dark",
    ]


def test_words_hang_below_the_run_that_says_them_and_only_their_end():
    drawn = tree(view(), words={"a/t": "so " * 100 + "it ends", "b/x": "not here"})
    assert drawn[-1].startswith('└─ "…')
    assert drawn[-1].endswith('so it ends"')
    assert "not here" not in "".join(drawn)


def test_how_it_ended_and_what_was_decided_is_said():
    decision = Decision(verdict=Verdict.DENY, hash="h", by="ann")
    denied = CallView(id="1/1", tool="pay", arguments={}, stage=CallStage.FAILED, decision=decision)
    drawn = tree(
        view(denied, stage=RunStage.PARTIAL, why="budget", limit="usd", error="no money", priced=False)
    )
    assert "~ a/t partial (budget: usd)" in drawn[0]
    assert "(price not known)" in drawn[0]
    assert "✗ pay {}  denied by ann" in drawn[-2]
    assert drawn[-1] == "└─ ! no money"


@given(st.text(max_size=300), st.integers(20, 200))
def test_no_line_is_too_long_nor_commands_the_terminal(text: str, width: int):
    hostile = CallView(id="1/1", tool=text, arguments={text: text}, content=text)
    for line in tree(view(hostile, task=text, error=text), width=width, words={"a/t": text}):
        assert len(line) <= width
        assert line.isprintable()


def test_secrets_are_not_drawn():
    secret = "sk-ant-" + "a" * 40
    call = CallView(id="1/1", tool="send", arguments={"password": "hunter22", "text": secret}, content=secret)
    drawn = "\n".join(tree(view(call, task=f"use {secret}")))
    assert secret not in drawn
    assert "hunter22" not in drawn


@pytest.mark.parametrize("height", [3, 5, 9, 40])
def test_a_tree_that_is_too_high_keeps_its_head_and_its_newest_lines(height: int):
    lines = [str(n) for n in range(20)]
    kept = last_lines(lines, height)
    assert len(kept) == min(height, 20)
    assert (kept[0], kept[-1]) == ("0", "19")
    if height < 20:
        assert kept[1] == f"  … {20 - (height - 1)} lines above"


def test_a_screen_draws_over_what_it_drew_and_stands_still_while_it_asks():
    out, now = io.StringIO(), [0.0]
    screen = TreeScreen(out, clock=lambda: now[0], size=lambda: (80, 24))
    screen.show((), view())
    first = out.getvalue()
    assert "\x1b[" not in first
    screen.show((), view())
    assert out.getvalue()[len(first) :].startswith(f"\x1b[{first.count(chr(10))}A\r\x1b[J")
    so_far = len(out.getvalue())
    screen.hear(view, {"a/t": "hm"})
    assert len(out.getvalue()) == so_far  # too soon after the last
    now[0] += 1
    screen.hear(view, {"a/t": "hm"})
    assert out.getvalue().endswith('└─ "hm"\n')
    screen.ask("really? ")
    screen.show((), view())
    assert out.getvalue().endswith("really? ")
    screen.go_on()
    screen.end(view(stage=RunStage.SUCCESS))
    assert "\x1b[" not in out.getvalue().rpartition("really? ")[2]  # the question stays where it was
    assert "✓ a/t success" in out.getvalue().rpartition("really? ")[2]


def test_a_run_that_never_began_is_not_summed_up():
    out = io.StringIO()
    LineScreen(out).end(RunView(agent="a", task_id="t"))
    assert out.getvalue() == ""
