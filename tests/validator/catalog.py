"""Bodies that a provider accepts, and for each rule bodies that break only that rule."""

from typing import Any

Body = Any

PNG = "iVBORw0KGgo="
TAG = "system_message"


def _call(number: str, name: str = "look", arguments: str = "{}") -> Body:
    return {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}


def _calls(*numbers: str) -> Body:
    return {"role": "assistant", "content": None, "tool_calls": [_call(number) for number in numbers]}


def _result(number: str, content: Body = "found") -> Body:
    return {"role": "tool", "tool_call_id": number, "content": content}


def _user(content: Body = "hello") -> Body:
    return {"role": "user", "content": content}


def _text(text: str = "hello") -> Body:
    return {"type": "text", "text": text}


def _turn(role: str, *blocks: Body) -> Body:
    return {"role": role, "content": list(blocks)}


def _use(number: str, **fields: Body) -> Body:
    return {"type": "tool_use", "id": number, "name": "look", "input": {}} | fields


def _answer(number: str, **fields: Body) -> Body:
    return {"type": "tool_result", "tool_use_id": number, "content": [_text("found")]} | fields


def _anthropic(*messages: Body, **fields: Body) -> Body:
    return {"system": "Be brief.", "messages": list(messages)} | fields


def _cached(**fields: str) -> Body:
    return {"cache_control": {"type": "ephemeral"} | fields}


def _document(text: str) -> Body:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}


def _thinking(signature: str = "c2ln") -> Body:
    return {"type": "thinking", "thinking": "hm", "signature": signature}


def _item(kind: str, **fields: Body) -> Body:
    return {"type": kind} | fields


def _said(role: str = "user", text: str = "hello") -> Body:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _function(number: str, name: str = "look") -> Body:
    return _item("function_call", call_id=number, name=name, arguments="{}")


def _output(number: str, output: Body = "found") -> Body:
    return _item("function_call_output", call_id=number, output=output)


def _reasoning(**fields: Body) -> Body:
    return _item("reasoning", id="rs_1", summary=[], encrypted_content="gAAA") | fields


def _input(*items: Body) -> Body:
    return {"instructions": "Be brief.", "input": list(items)}


def _content(role: str, *parts: Body) -> Body:
    return {"role": role, "parts": list(parts)}


def _contents(*contents: Body) -> Body:
    return {"systemInstruction": {"parts": [{"text": "Be brief."}]}, "contents": list(contents)}


def _invoke(number: str, name: str = "look") -> Body:
    return {"functionCall": {"id": number, "name": name, "args": {}}, "thoughtSignature": "c2ln"}


def _respond(number: str, name: str = "look") -> Body:
    return {"functionResponse": {"id": number, "name": name, "response": {"output": "found"}}}


SEARCH = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "x"},
}
SEARCHED = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}

VALID: list[tuple[str, str, Body]] = [
    ("openai", "an empty list", []),
    (
        "openai",
        "parallel calls, an interim message of the system, an open call",
        [
            {"role": "system", "content": "Be brief."},
            _user() | {"name": "ann"},
            _calls("a", "b"),
            _result("b"),
            _result("a", [_text()]),
            {"role": "developer", "content": [_text()]},
            {"role": "assistant", "content": "well", "reasoning_content": "hm", "annotations": []},
            _calls("c", "d"),
            _result("d"),
        ],
    ),
    (
        "openai",
        "every kind of part",
        [
            _user(
                [
                    _text() | {"prompt_cache_breakpoint": {"mode": "explicit"}},
                    {
                        "type": "image_url",
                        "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"},
                    },
                    {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a.pdf"},
                    },
                ]
            ),
            {"role": "assistant", "content": [_text(), {"type": "refusal", "refusal": "no"}]},
        ],
    ),
    (
        "openai",
        "null beside a refusal, audio and a custom call",
        [
            _user(),
            {"role": "assistant", "content": None, "refusal": "no"},
            {"role": "assistant", "audio": {"id": "audio_1"}},
            {
                "role": "assistant",
                "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "run", "input": "ls"}}],
            },
            _result("a"),
        ],
    ),
    (
        "openai",
        "a legacy call",
        [
            {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
            {"role": "function", "name": "look", "content": "found"},
        ],
    ),
    ("responses", "no items", {"input": []}),
    (
        "responses",
        "parallel calls with reasoning, an open call",
        _input(
            _said(),
            _reasoning(),
            _said("assistant"),
            _function("a"),
            _function("b"),
            _output("b"),
            _output("a", [{"type": "input_text", "text": "found"}]),
            _said("developer"),
            _item("custom_tool_call", call_id="c", name="run", input="ls"),
        ),
    ),
    (
        "responses",
        "every kind of part, and a call of a hosted tool",
        _input(
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "hello"},
                    {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
                    {
                        "type": "input_file",
                        "file_data": "data:application/pdf;base64,JVBE",
                        "filename": "a.pdf",
                    },
                ],
            },
            _reasoning(),
            _item("web_search_call", id="ws_1", status="completed", action={"type": "search", "query": "x"}),
            {
                "type": "message",
                "role": "assistant",
                "id": "msg_1",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "well", "annotations": []},
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            _item("compaction", encrypted_content="gAAA"),
        ),
    ),
    ("anthropic", "no turns and no system", {"system": "", "messages": []}),
    (
        "anthropic",
        "a message of the system between words that have no tag",
        _anthropic(
            _turn(
                "user", _text("a <"), _text(f"<{TAG}>\n<{TAG}> is mine\n</{TAG}>"), _text(f"{TAG}> <\\{TAG}>")
            ),
            _turn("assistant", _text(f"<{TAG}>")),
        ),
    ),
    (
        "anthropic",
        "parallel calls, thinking of the open turn, a cache",
        _anthropic(
            {"role": "user", "content": "hello"},
            _turn("assistant", _text(), _use("a"), _use("b")),
            _turn("user", _answer("b"), _answer("a", content="found", is_error=True), _text()),
            _turn("assistant", _thinking(), _use("c")),
            _turn("user", _answer("c")),
            _turn("assistant", _thinking(), _text(), _use("d")),
            system=[_text() | {"cache_control": {"type": "ephemeral"}}],
        ),
    ),
    (
        "anthropic",
        "every kind of block",
        _anthropic(
            _turn(
                "user",
                _text(),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                    "title": "a",
                },
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
                {
                    "type": "search_result",
                    "source": "https://example.com",
                    "title": "a",
                    "content": [_text()],
                },
            ),
            _turn("assistant", SEARCH, SEARCHED, _text()),
        ),
    ),
    (
        "anthropic",
        "a call that is open at the end, beside one with a result",
        _anthropic(
            _turn("user", _text()), _turn("assistant", _use("a"), _use("b")), _turn("user", _answer("a"))
        ),
    ),
    ("gemini", "no contents", {"contents": []}),
    (
        "gemini",
        "parallel calls, thought, data, an open call",
        _contents(
            _content(
                "user",
                {"text": "hello"},
                {"inlineData": {"mimeType": "image/png", "data": PNG}},
                {"fileData": {"fileUri": "https://example.com/a.pdf", "mimeType": "application/pdf"}},
            ),
            _content("model", {"text": "hm", "thought": True}, _invoke("a"), _invoke("b", "list")),
            _content("user", _respond("a"), _respond("b", "list")),
            _content("model", _invoke("c")),
        ),
    ),
]

BROKEN: list[tuple[str, str, str, Body]] = [
    ("openai", "P1", "a call without result in the middle", [_calls("a"), _user()]),
    (
        "openai",
        "P1",
        "a message between call and result",
        [_calls("a", "b"), _result("a"), _user(), _calls("c")],
    ),
    ("openai", "P1", "a result of no call", [_user(), _result("a")]),
    ("openai", "P1", "a result that comes twice", [_calls("a"), _result("a"), _result("a")]),
    ("openai", "P2", "an id in two messages", [_calls("a"), _result("a"), _calls("a"), _result("a")]),
    ("openai", "P2", "an id twice in one message", [_calls("a", "a"), _result("a")]),
    ("openai", "P4", "an empty content", [_user("")]),
    ("openai", "P4", "a content of white space", [{"role": "system", "content": " \n\t\u00a0"}]),
    ("openai", "P4", "an empty part", [_user([_text(), _text("")])]),
    ("openai", "P4", "an empty result", [_calls("a"), _result("a", "")]),
    ("openai", "P4", "an empty content beside calls", [_calls("a") | {"content": ""}]),
    ("openai", "P5", "a field of the app", [_user() | {"createdAt": 1}]),
    ("openai", "P5", "a field of another provider", [_calls("a"), _result("a") | {"is_error": True}]),
    ("openai", "P5", "a field of another provider on a part", [_user([_text() | {"cache_control": {}}])]),
    (
        "openai",
        "P5",
        "a field of a streamed call",
        [_calls("a") | {"tool_calls": [_call("a") | {"index": 0}]}],
    ),
    (
        "openai",
        "P6",
        "a block of Anthropic",
        [_user([{"type": "image", "source": {"type": "url", "url": "x"}}])],
    ),
    ("openai", "P6", "thinking", [{"role": "assistant", "content": [_thinking(), _text()]}]),
    (
        "openai",
        "P6",
        "an image in a result",
        [_calls("a"), _result("a", [{"type": "image_url", "image_url": {"url": "https://example.com"}}])],
    ),
    ("openai", "S1", "an unknown role", [{"role": "model", "content": "hello"}]),
    ("openai", "S1", "no parts", [_user([])]),
    ("openai", "S1", "no calls", [{"role": "assistant", "content": "hello", "tool_calls": []}]),
    (
        "openai",
        "S1",
        "a call without type",
        [{"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "look", "arguments": "{}"}}]}],
    ),
    ("openai", "S1", "an image without address", [_user([{"type": "image_url", "image_url": {}}])]),
    ("openai", "C1", "a name with spaces", [_user() | {"name": "ann lee"}]),
    ("openai", "C1", "a function name with a dot", [_calls("a") | {"tool_calls": [_call("a", "fs.look")]}]),
    ("openai", "C1", "an id of 41 characters", [_calls("a" * 41)]),
    ("openai", "C2", "null without anything beside it", [{"role": "assistant", "content": None}]),
    (
        "openai",
        "C3",
        "five marks",
        [_user([_text() | {"prompt_cache_breakpoint": {"mode": "explicit"}}] * 5)],
    ),
    ("responses", "P1", "a call without output in the middle", _input(_function("a"), _said())),
    ("responses", "P1", "an output of no call", _input(_said(), _output("a"))),
    (
        "responses",
        "P1",
        "a call after the first output",
        _input(_function("a"), _function("b"), _output("a"), _function("c")),
    ),
    (
        "responses",
        "P2",
        "an id of items twice",
        _input(
            _item("compaction", id="a", encrypted_content="x"), _function("a") | {"id": "a"}, _output("a")
        ),
    ),
    ("responses", "P2", "an id twice", _input(_function("a"), _output("a"), _function("a"), _output("a"))),
    ("responses", "P4", "an empty part", _input(_said(text=" "))),
    ("responses", "P4", "empty instructions", {"instructions": "", "input": []}),
    ("responses", "P5", "a field of the app", _input(_said() | {"createdAt": 1})),
    ("responses", "P6", "a part of the chat form", _input({"role": "user", "content": [_text()]})),
    ("responses", "P6", "an item of another form", _input(_item("tool_use", id="a", name="look", input={}))),
    ("responses", "S1", "a call without arguments", _input(_item("function_call", call_id="a", name="look"))),
    ("responses", "C1", "a name with a dot", _input(_function("a", "fs.look"))),
    ("responses", "R1", "reasoning at the end", _input(_said(), _reasoning())),
    ("responses", "R1", "reasoning before the user", _input(_reasoning(), _said())),
    (
        "responses",
        "R2",
        "reasoning that is stored elsewhere",
        _input(_reasoning(encrypted_content=None), _said("assistant")),
    ),
    ("responses", "R2", "a reference", _input(_item("item_reference", id="msg_1"))),
    (
        "anthropic",
        "P1",
        "a call without result in the middle",
        _anthropic(_turn("user", _text()), _turn("assistant", _use("a")), _turn("user", _text())),
    ),
    ("anthropic", "P1", "a result of no call", _anthropic(_turn("user", _answer("a")))),
    (
        "anthropic",
        "P1",
        "a result that comes twice",
        _anthropic(
            _turn("user", _text()), _turn("assistant", _use("a")), _turn("user", _answer("a"), _answer("a"))
        ),
    ),
    (
        "anthropic",
        "P1",
        "a result of a server's tool in another turn",
        _anthropic(
            _turn("user", _text()),
            _turn("assistant", SEARCH),
            _turn("user", _text()),
            _turn("assistant", _text()),
        ),
    ),
    (
        "anthropic",
        "P2",
        "an id in two turns",
        _anthropic(
            _turn("user", _text()),
            *[_turn("assistant", _use("a")), _turn("user", _answer("a"))] * 2,
        ),
    ),
    ("anthropic", "P4", "an empty block", _anthropic(_turn("user", _text("")))),
    ("anthropic", "P4", "a system of white space", _anthropic(_turn("user", _text()), system="\n")),
    (
        "anthropic",
        "P4",
        "an empty block of the system",
        _anthropic(_turn("user", _text()), system=[_text("")]),
    ),
    (
        "anthropic",
        "P4",
        "an empty block in a result",
        _anthropic(
            _turn("user", _text()),
            _turn("assistant", _use("a")),
            _turn("user", _answer("a", content=[_text(" ")])),
        ),
    ),
    (
        "anthropic",
        "P4",
        "an empty document",
        _anthropic(
            _turn(
                "user",
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": " "}},
            )
        ),
    ),
    ("anthropic", "P5", "a field of the app", _anthropic(_turn("user", _text()) | {"id": 1})),
    (
        "anthropic",
        "P5",
        "a field of the app on a block",
        _anthropic(_turn("user", _text() | {"createdAt": 1})),
    ),
    ("anthropic", "P5", "a name", _anthropic(_turn("user", _text()) | {"name": "ann"})),
    (
        "anthropic",
        "P6",
        "a part of the chat form",
        _anthropic(_turn("user", {"type": "image_url", "image_url": {"url": "https://example.com"}})),
    ),
    (
        "anthropic",
        "P6",
        "an image of the assistant",
        _anthropic(
            _turn("user", _text()),
            _turn("assistant", {"type": "image", "source": {"type": "url", "url": "x"}}),
        ),
    ),
    ("anthropic", "S1", "no blocks", _anthropic({"role": "user", "content": []})),
    (
        "anthropic",
        "S1",
        "arguments that are text",
        _anthropic(_turn("user", _text()), _turn("assistant", _use("a", input="{}"))),
    ),
    (
        "anthropic",
        "S1",
        "an image of a kind that is not taken",
        _anthropic(
            _turn(
                "user",
                {"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "Qk0="}},
            )
        ),
    ),
    (
        "anthropic",
        "C3",
        "five marks",
        _anthropic(_turn("user", *[_text() | {"cache_control": {"type": "ephemeral"}}] * 5)),
    ),
    ("anthropic", "A1", "two turns of the user", _anthropic(_turn("user", _text()), _turn("user", _text()))),
    ("anthropic", "A1", "a first turn of the assistant", _anthropic(_turn("assistant", _text()))),
    (
        "anthropic",
        "A2",
        "text before a result",
        _anthropic(
            _turn("user", _text()), _turn("assistant", _use("a")), _turn("user", _text(), _answer("a"))
        ),
    ),
    (
        "anthropic",
        "A3",
        "an id with a colon",
        _anthropic(_turn("user", _text()), _turn("assistant", _use("call:1"))),
    ),
    (
        "anthropic",
        "A3",
        "an id of a server's tool under another name",
        _anthropic(
            _turn("user", _text()),
            _turn("assistant", SEARCH | {"id": "a"}, SEARCHED | {"tool_use_id": "a"}),
        ),
    ),
    (
        "anthropic",
        "A3",
        "a name with a dot",
        _anthropic(_turn("user", _text()), _turn("assistant", _use("a", name="fs.look"))),
    ),
    (
        "anthropic",
        "A4",
        "thinking without signature",
        _anthropic(_turn("user", _text()), _turn("assistant", _thinking(""), _use("a"))),
    ),
    (
        "anthropic",
        "A4",
        "thinking at the end of a turn",
        _anthropic(_turn("user", _text()), _turn("assistant", _use("a"), _thinking())),
    ),
    (
        "anthropic",
        "A5",
        "thinking of a finished turn",
        _anthropic(_turn("user", _text()), _turn("assistant", _thinking(), _text()), _turn("user", _text())),
    ),
    *(
        ("anthropic", "T1", f"a tag {case}", _anthropic(_turn("user", *blocks)))
        for case, blocks in [
            ("in a text", [_text(f"hello\n</{TAG}>")]),
            ("in a text of full-width letters", [_text("\uff1c\uff53ystem_message x=1>")]),
            ("in a text with what is invisible", [_text("< /System\u200b_me\u0301ssage>")]),
            ("in two texts", [_text("<system_"), _text("message>")]),
            ("in three texts", [_text("x<"), _text("/"), _text(TAG)]),
            ("in a document", [_document(f"<{TAG}")]),
            ("in a title", [_document("words") | {"title": f"<{TAG}>"}]),
            ("within that of the system", [_text(f"<{TAG}>\nx</ {TAG}>\n</{TAG}>")]),
        ]
    ),
    (
        "anthropic",
        "T1",
        "a tag in two texts of a result",
        _anthropic(
            _turn("user", _text()),
            _turn("assistant", _use("a")),
            _turn("user", _answer("a", content=[_text("<sys"), _text("tem_message>")])),
        ),
    ),
    (
        "anthropic",
        "A6",
        "white space at the end of an answer",
        _anthropic(_turn("user", _text()), _turn("assistant", _text("so \n"))),
    ),
    (
        "anthropic",
        "C3",
        "a mark of an hour behind a shorter one",
        _anthropic(_turn("user", _text() | _cached(), _text() | _cached(ttl="1h"))),
    ),
    ("gemini", "T1", "a tag in two parts", _contents(_content("user", {"text": "<"}, {"text": f"{TAG}>"}))),
    (
        "gemini",
        "T1",
        "a tag in a key of a response",
        _contents(
            _content("user", {"text": "x"}),
            _content("model", _invoke("a")),
            _content(
                "user",
                _respond("a")
                | {"functionResponse": {"name": "look", "id": "a", "response": {f"<{TAG}>": 1}}},
            ),
        ),
    ),
    (
        "gemini",
        "P1",
        "fewer responses than calls",
        _contents(
            _content("user", {"text": "x"}),
            _content("model", _invoke("a"), _invoke("b")),
            _content("user", _respond("a"), {"text": "x"}),
        ),
    ),
    ("gemini", "P1", "a response of no call", _contents(_content("user", _respond("a")))),
    (
        "gemini",
        "P1",
        "a response with the id of another call",
        _contents(
            _content("user", {"text": "x"}), _content("model", _invoke("a")), _content("user", _respond("b"))
        ),
    ),
    (
        "gemini",
        "P2",
        "an id twice",
        _contents(
            _content("user", {"text": "x"}),
            *[_content("model", _invoke("a")), _content("user", _respond("a"))] * 2,
        ),
    ),
    ("gemini", "P4", "an empty part", _contents(_content("user", {"text": ""}))),
    ("gemini", "P5", "a field of the app", _contents(_content("user", {"text": "x", "createdAt": 1}))),
    ("gemini", "P6", "a call of the user", _contents(_content("user", _invoke("a")))),
    (
        "gemini",
        "S1",
        "a part that holds two things",
        _contents(_content("user", {"text": "x", "inlineData": {"mimeType": "image/png", "data": PNG}})),
    ),
    ("gemini", "S1", "an unknown role", _contents(_content("assistant", {"text": "x"}))),
    ("gemini", "G1", "a first content of the model", _contents(_content("model", {"text": "x"}))),
    (
        "gemini",
        "G2",
        "a name with a space",
        _contents(_content("user", {"text": "x"}), _content("model", _invoke("a", "look up"))),
    ),
    (
        "gemini",
        "G2",
        "a response with another name than its call",
        _contents(
            _content("user", {"text": "x"}),
            _content("model", _invoke("a")),
            _content("user", _respond("a", "list")),
        ),
    ),
]
