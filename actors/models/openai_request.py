"""The chat completions wire of OpenAI, outward: a request as the JSON of a call.

Pure: no network. Invariant: fields that a server sent with a message or a call go back to it unchanged
(Gemini's thought signatures, OpenRouter's reasoning details), and to no other.
"""

import msgspec

from .port import (
    Json,
    JsonObject,
    ModelRequest,
    Opaque,
    Role,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from .profile import Profile


def request_body(request: ModelRequest, model: str, profile: Profile, extra: JsonObject) -> JsonObject:
    """The body of a streaming call."""
    messages: list[JsonObject] = [{"role": "system", "content": request.system}] if request.system else []
    for turn in request.turns:
        messages.extend(
            _user(turn, profile)
            if turn.role is Role.USER
            else _assistant(turn, own=turn.provider == profile.name)
        )
    body: JsonObject = {
        "model": request.model or model,
        profile.limit.value: request.max_tokens,
        "messages": [*messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.stop:
        body["stop"] = [*request.stop]
    if request.output:
        schema: JsonObject = {"name": request.output.name, "strict": True, "schema": request.output.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.effort:
        body["reasoning_effort"] = profile.effort(request.effort).value
    return body | _tools(request) | extra


def _tools(request: ModelRequest) -> JsonObject:
    if not request.tools:
        return {}
    tools: list[Json] = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
        }
        for tool in request.tools
    ]
    choice: JsonObject = {"tool_choice": request.tool_choice.value}
    return {"tools": tools} | ({} if request.tool_choice is ToolChoice.AUTO else choice)


def _user(turn: Turn, profile: Profile) -> list[JsonObject]:
    """Tool results as messages of their own, which have to follow the calls; then what the user says."""
    messages: list[JsonObject] = []
    content: list[JsonObject] = []
    for part in turn.parts:
        match part:
            case ToolResult():
                # This wire has no field for failure: it is said in words.
                text = f"[error] {part.content}" if part.is_error else part.content
                messages.append({"role": "tool", "tool_call_id": part.id, "content": text})
            case Text():
                content.append({"type": "text", "text": part.text})
            case Opaque() if turn.provider == profile.name:
                content.append(part.block)
    return [*messages, {"role": "user", "content": _content(content)}] if content else messages


def _content(blocks: list[JsonObject]) -> Json:
    """One text where all are texts: some servers know nothing else."""
    if all(block.get("type") == "text" for block in blocks):
        return "\n\n".join(str(block["text"]) for block in blocks)
    return [*blocks]


def _assistant(turn: Turn, *, own: bool) -> list[JsonObject]:
    text = "".join(part.text for part in turn.parts if isinstance(part, Text))
    calls: list[Json] = [_call(part, own=own) for part in turn.parts if isinstance(part, ToolCall)]
    message: JsonObject = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = calls
    for part in turn.parts:
        if own and isinstance(part, Opaque):
            message |= part.block
    return [message] if text or calls else []


def _call(call: ToolCall, *, own: bool) -> JsonObject:
    arguments = call.unparsed or msgspec.json.encode(call.arguments).decode()
    message: JsonObject = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if not own:
        return message
    extra = dict(call.extra)
    function, known = extra.pop("function", None), message["function"]
    if isinstance(function, dict) and isinstance(known, dict):
        message["function"] = function | known
    return extra | message
