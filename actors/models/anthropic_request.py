"""The Messages wire of Anthropic, outward: a request as the JSON of a call.

Pure: no network, no SDK. Invariant: what Anthropic sent comes back to it unchanged, and nothing of others.
Source: anthropic 2.11 `types/message_create_params.py`.
"""

import re
from collections.abc import Mapping

from .port import (
    Effort,
    Json,
    JsonObject,
    ModelRequest,
    Opaque,
    Part,
    Role,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

CACHED: JsonObject = {"type": "ephemeral"}
CHOICES: Mapping[ToolChoice, JsonObject] = {
    ToolChoice.AUTO: {},
    ToolChoice.REQUIRED: {"tool_choice": {"type": "any"}},
    ToolChoice.NONE: {"tool_choice": {"type": "none"}},
}
CACHED_TURNS = 2  # the newest turn writes the cache, the one before it reads what the last call wrote


def request_body(request: ModelRequest, model: str, provider: str) -> JsonObject:
    """The body of a call, without `stream`."""
    body: JsonObject = {
        "model": request.model or model,
        "max_tokens": request.max_tokens,
        "messages": _messages(request, provider),
    }
    if request.system:
        body["system"] = [_marked({"type": "text", "text": request.system}, request.cache)]
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    config = _output_config(request)
    if config:
        body["output_config"] = config
    return body | _tools(request) | _thinking(request)


def _output_config(request: ModelRequest) -> JsonObject:
    config: JsonObject = {}
    if request.output:
        config["format"] = {"type": "json_schema", "schema": request.output.schema}
    if request.effort and request.effort is not Effort.NONE:
        config["effort"] = request.effort.value
    return config


def _thinking(request: ModelRequest) -> JsonObject:
    if request.effort is None:
        return {}
    return {"thinking": {"type": "disabled" if request.effort is Effort.NONE else "adaptive"}}


def _tools(request: ModelRequest) -> JsonObject:
    if not request.tools:
        return {}
    tools: list[JsonObject] = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
        for tool in request.tools
    ]
    tools[-1] = _marked(tools[-1], request.cache)
    return {"tools": [*tools], **CHOICES[request.tool_choice]}


def _marked(block: JsonObject, cache: bool) -> JsonObject:
    return {**block, "cache_control": CACHED} if cache else block


def _messages(request: ModelRequest, provider: str) -> list[Json]:
    messages: list[tuple[Role, list[JsonObject]]] = []
    for turn in request.turns:
        blocks = _blocks(turn, own=turn.provider == provider)
        if messages and messages[-1][0] is turn.role:
            messages[-1][1].extend(blocks)
        elif blocks:
            messages.append((turn.role, blocks))
    users = [blocks for role, blocks in messages if role is Role.USER]
    for blocks in users:  # all results stand first, or the model learns to call one tool at a time
        blocks.sort(key=lambda block: block.get("type") != "tool_result")
    for blocks in users[-CACHED_TURNS:]:
        blocks[-1] = _marked(blocks[-1], request.cache)
    return [{"role": role.value, "content": [*blocks]} for role, blocks in messages]


def _blocks(turn: Turn, *, own: bool) -> list[JsonObject]:
    return [block for part in turn.parts if (block := _block(part, own=own))]


def _block(part: Part, *, own: bool) -> JsonObject | None:
    """A part as a block; None where there is nothing to send. Another provider's own things stay away."""
    match part:
        case Text():  # empty text is refused
            said: JsonObject = {"type": "text", "text": part.text}
            return _with(said, part.extra, own=own) if part.text else None
        case ToolCall():
            given: JsonObject = {"INVALID_JSON": part.unparsed} if part.unparsed else part.arguments
            used: JsonObject = {"type": "tool_use", "id": _id(part.id), "name": part.name, "input": given}
            return _with(used, part.extra, own=own)
        case ToolResult():
            result: JsonObject = {"type": "tool_result", "tool_use_id": _id(part.id), "content": part.content}
            return {**result, "is_error": True} if part.is_error else result
        case Opaque():
            return part.block if own else None


def _with(block: JsonObject, extra: JsonObject, *, own: bool) -> JsonObject:
    return block | extra if own else block


def _id(name: str) -> str:
    """An id as this wire allows it: other providers put dots and colons into theirs."""
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)
