"""Random conversations in the forms of providers, as a provider takes and gives them."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Json = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00<")
TEXT = st.builds(
    lambda first, rest: first + rest, st.sampled_from("aé漢7🦊"), st.text(CHARACTERS, max_size=12)
)
NAME = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,15}", fullmatch=True)
NUMBER = st.integers(-(10**12), 10**12) | st.floats(-1e9, 1e9, allow_nan=False).filter(
    lambda n: n == 0 or abs(n) > 1e-6
)
VALUE = st.recursive(
    st.none() | st.booleans() | NUMBER | st.text(CHARACTERS, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(CHARACTERS, max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
INPUT = st.dictionaries(st.text(CHARACTERS, min_size=1, max_size=6), VALUE, max_size=3)
URL = st.sampled_from(["https://example.com/a.png", "https://example.com/b"])
BASE64 = st.sampled_from(["AP8=", "iVBORw0KGgo="])


def some(strategy: st.SearchStrategy[Any], least: int = 1, most: int = 3) -> st.SearchStrategy[Any]:
    """Return lists of a few."""
    return st.lists(strategy, min_size=least, max_size=most)


def record(required: Json, optional: Json | None = None) -> st.SearchStrategy[Json]:
    """Return objects; values that are not strategies are as they are."""

    def strategies(fields: Json) -> Json:
        return {
            name: value if isinstance(value, st.SearchStrategy) else st.just(value)
            for name, value in fields.items()
        }

    return st.fixed_dictionaries(strategies(required), optional=strategies(optional or {}))


def numbered(calls: list[Json], start: int, key: str) -> list[Json]:
    """Return calls with ids of their own."""
    return [call | {key: f"call_{start + place}"} for place, call in enumerate(calls)]


# OpenAI chat

CHAT_TEXT = record({"type": "text", "text": TEXT})
CHAT_PART = st.one_of(
    CHAT_TEXT,
    record({"type": "image_url", "image_url": record({"url": URL}, {"detail": "low"})}),
    record({"type": "input_audio", "input_audio": record({"data": BASE64, "format": "wav"})}),
    record(
        {
            "type": "file",
            "file": record({"file_data": "data:application/pdf;base64,AP8=", "filename": "a.pdf"}),
        }
    ),
)
CHAT_CALL = st.one_of(
    record({"type": "function", "function": record({"name": NAME, "arguments": TEXT})}),
    record({"type": "custom", "custom": record({"name": NAME, "input": TEXT})}),
)
CHAT_BESIDE: Json = {
    "refusal": TEXT,
    "audio": record({"id": NAME}),
    "annotations": [{"type": "url_citation"}],
    "reasoning_content": TEXT,
}


@st.composite
def chat(draw: Any) -> list[Json]:
    """Return messages of the OpenAI chat form."""
    messages: list[Json] = [{"role": draw(st.sampled_from(["system", "developer"])), "content": draw(TEXT)}]
    made = 0
    for _ in range(draw(st.integers(1, 4))):
        messages.append(draw(record({"role": "user", "content": TEXT | some(CHAT_PART)}, {"name": NAME})))
        answer = draw(record({"role": "assistant", "content": TEXT | some(CHAT_TEXT)}, CHAT_BESIDE))
        messages.append(answer)
        calls = numbered(draw(some(CHAT_CALL, 0)), made, "id")
        made += len(calls)
        if calls:
            answer["tool_calls"] = calls
            if draw(st.booleans()):
                answer["content"] = None
            messages += [
                {"role": "tool", "tool_call_id": call["id"], "content": draw(TEXT | some(CHAT_TEXT))}
                for call in draw(st.permutations(calls))
            ]
        elif answer.keys() & {"refusal", "audio"} and draw(st.booleans()):
            answer["content"] = None
    return messages


# Anthropic

BLOCK_TEXT = record({"type": "text", "text": TEXT})
MEDIUM = st.one_of(
    record({"type": "image", "source": record({"type": "url", "url": URL})}),
    record(
        {"type": "image", "source": record({"type": "base64", "media_type": "image/png", "data": BASE64})}
    ),
    record(
        {"type": "document", "source": record({"type": "url", "url": URL})}, {"title": TEXT, "context": TEXT}
    ),
    record(
        {"type": "document", "source": record({"type": "text", "media_type": "text/plain", "data": TEXT})}
    ),
    record({"type": "search_result", "source": URL, "title": TEXT, "content": some(BLOCK_TEXT)}),
)
TOOL_USE = record(
    {"type": "tool_use", "name": NAME, "input": INPUT}, {"caller": {"type": "direct"}, "toolset_name": NAME}
)
SEARCH = record({"type": "server_tool_use", "name": "web_search", "input": INPUT})
THINKING = st.one_of(
    record({"type": "thinking", "thinking": TEXT, "signature": BASE64}),
    record({"type": "redacted_thinking", "data": BASE64}),
)


@st.composite
def turns(draw: Any) -> Json:
    """Return a system prompt and turns of the Anthropic form."""
    messages: list[Json] = []
    results: list[Json] = []
    made = 0
    for _ in range(draw(st.integers(1, 4))):
        own = draw(some(BLOCK_TEXT | MEDIUM, least=0 if results else 1))
        messages.append({"role": "user", "content": results + own})
        said = draw(some(BLOCK_TEXT | TOOL_USE | SEARCH, 1, 5))
        blocks = draw(some(THINKING, 0, 1))
        results = []
        for block in said:
            made += 1
            if block["type"] == "tool_use":
                block["id"] = f"call_{made}"
                fields = {"is_error": True, "toolset_name": NAME}
                result = {
                    "type": "tool_result",
                    "tool_use_id": block["id"],
                    "content": some(BLOCK_TEXT | MEDIUM, 0),
                }
                results.append(draw(record(result, fields)))
            blocks.append(block)
            if block["type"] == "server_tool_use":
                block["id"] = f"srvtoolu_{made}"
                blocks.append({"type": "web_search_tool_result", "tool_use_id": block["id"], "content": []})
        messages.append({"role": "assistant", "content": blocks})
        results = draw(st.permutations(results))
    if results:
        messages.append({"role": "user", "content": results})
    return {"system": draw(TEXT | some(BLOCK_TEXT, 2)), "messages": messages}


def without_finished_thinking(prompt: Json) -> Json:
    """Return turns with the thinking of the open tool turn only."""
    messages = prompt["messages"]
    is_open = messages[-1]["role"] == "user" and all(
        b["type"] == "tool_result" for b in messages[-1]["content"]
    )
    start = max(
        place
        for place, turn in enumerate(messages)
        if turn["role"] == "user" and any(block["type"] != "tool_result" for block in turn["content"])
    )
    kept = [
        turn
        if is_open and place > start
        else turn
        | {"content": [b for b in turn["content"] if b["type"] not in ("thinking", "redacted_thinking")]}
        for place, turn in enumerate(messages)
    ]
    return prompt | {"messages": kept}


# OpenAI Responses

INPUT_TEXT = record({"type": "input_text", "text": TEXT})
INPUT_PART = st.one_of(
    INPUT_TEXT,
    record({"type": "input_image", "image_url": URL, "detail": st.sampled_from(["auto", "low"])}),
    record({"type": "input_file", "file_url": URL}),
)
SAID = record({"type": "output_text", "text": TEXT, "annotations": []})
REFUSED = record({"type": "refusal", "refusal": TEXT})
ITEM = st.one_of(
    record(
        {"type": "message", "role": "assistant", "status": "completed", "content": some(SAID | REFUSED)},
        {"phase": "commentary"},
    ),
    record({"type": "function_call", "name": NAME, "arguments": TEXT}, {"status": "completed"}),
    record({"type": "custom_tool_call", "name": NAME, "input": TEXT}),
    record({"type": "apply_patch_call", "status": "completed", "operation": INPUT}),
    record({"type": "local_shell_call", "status": "completed", "action": INPUT}),
    record({"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}),
    record({"type": "mcp_call", "name": NAME, "server_label": NAME, "arguments": TEXT}, {"output": TEXT}),
)
COMPACTION = record({"type": "compaction", "encrypted_content": BASE64})
REASONING = record(
    {
        "type": "reasoning",
        "encrypted_content": BASE64,
        "summary": some(record({"type": "summary_text", "text": TEXT}), 0),
    }
)


@st.composite
def items(draw: Any) -> Json:
    """Return instructions and items of the OpenAI Responses form."""
    given: list[Json] = []
    made = 0
    for _ in range(draw(st.integers(1, 4))):
        given.append(
            draw(
                record(
                    {
                        "type": "message",
                        "role": "user",
                        "content": TEXT | some(st.tuples(INPUT_PART, INPUT_TEXT)),
                    }
                )
            )
        )
        if isinstance(given[-1]["content"], list):
            given[-1]["content"] = [part for pair in given[-1]["content"] for part in pair]
        results = []
        for item in draw(some(COMPACTION, 0, 1)) + draw(some(ITEM, 1, 5)):
            for own in [*draw(some(REASONING, 0, 1)), item]:
                made += 1
                own["id"] = f"{own['type']}_{made}"
                given.append(own)
            if item["type"].endswith("_call") and item["type"] not in ("web_search_call", "mcp_call"):
                item["call_id"] = f"call_{made}"
                results.append(draw(_output(item)))
        given += draw(st.permutations(results))
    return {"instructions": draw(TEXT), "input": given}


def _output(call: Json) -> st.SearchStrategy[Json]:
    kind = call["type"]
    if kind == "local_shell_call":
        return record(
            {"type": f"{kind}_output", "id": call["call_id"], "output": TEXT}, {"status": "completed"}
        )
    fields = {"type": f"{kind}_output", "call_id": call["call_id"], "output": TEXT}
    if kind == "apply_patch_call":
        return record(fields | {"status": "completed"})
    return record(fields, {"status": "completed"} if kind == "function_call" else {})


# Gemini

GEMINI_TEXT = record({"text": TEXT})
GEMINI_PART = st.one_of(
    GEMINI_TEXT,
    record({"inlineData": record({"mimeType": "image/png", "data": BASE64})}),
    record({"fileData": record({"fileUri": URL, "mimeType": "video/mp4"})}),
)
SIGNATURE = {"thoughtSignature": BASE64}
FUNCTION_CALL = record({"functionCall": record({"name": NAME, "args": INPUT})}, SIGNATURE)
MODEL_PART = st.one_of(
    record({"text": TEXT}, SIGNATURE),
    record({"text": TEXT, "thought": True}),
    FUNCTION_CALL,
    record({"executableCode": record({"language": "PYTHON", "code": TEXT})}),
    record({"codeExecutionResult": record({"outcome": "OUTCOME_OK", "output": TEXT})}),
)


@st.composite
def contents(draw: Any) -> Json:
    """Return a system instruction and contents of the Gemini form."""
    given: list[Json] = []
    results: list[Json] = []
    made = 0
    for _ in range(draw(st.integers(1, 4))):
        given.append({"role": "user", "parts": results or draw(some(GEMINI_PART))})
        parts = draw(some(MODEL_PART, 1, 5))
        results = []
        for call in [part["functionCall"] for part in parts if "functionCall" in part]:
            made += 1
            own = {"id": f"call_{made}"} if draw(st.booleans()) else {}
            call |= own
            response = draw(INPUT | record({"result": TEXT}) | record({"error": TEXT}))
            results.append({"functionResponse": own | {"name": call["name"], "response": response}})
        given.append({"role": "model", "parts": parts})
    if results:
        given.append({"role": "user", "parts": results})
    return {"systemInstruction": {"parts": draw(some(GEMINI_TEXT))}, "contents": given}
