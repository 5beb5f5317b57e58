"""What the adapters make of each provider's objects, as internal/log/README.md says that they are stored."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from kata_context.adapters import from_anthropic, from_gemini, from_openai, from_responses, unescape
from kata_context.errors import KataError

Json = dict[str, Any]


def function_call(id: str, name: str = "f", arguments: str = "{}", **other: Any) -> Json:
    """Return a call in the form of tool_calls."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **other}


def test_an_answer_of_the_chat_api_says_what_model_made_it() -> None:
    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-6", "usage": {"total_tokens": 5},
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    }  # fmt: skip
    assert from_openai([answer]) == [
        {
            "role": "assistant",
            "content": "Hi",
            "model": "gpt-6",
            "metadata": {"id": "chatcmpl-1", "usage": {"total_tokens": 5}, "finish_reason": "stop"},
        }
    ]


def test_what_an_app_put_on_a_message_is_metadata() -> None:
    (openai,) = from_openai(
        [{"role": "user", "content": "Hi", "id": "m1", "createdAt": 5, "_metadata": {"a": 1}}]
    )
    (anthropic,) = from_anthropic([{"role": "user", "content": "Hi", "timestamp": "2026", "id": "m1"}])
    assert openai == {
        "role": "user",
        "content": "Hi",
        "metadata": {"id": "m1", "createdAt": 5, "_metadata": {"a": 1}},
    }
    assert anthropic == {"role": "user", "content": "Hi", "metadata": {"timestamp": "2026", "id": "m1"}}


@pytest.mark.parametrize("beside", [{"refusal": "no"}, {"audio": {"id": "a"}}, {"reasoning_content": "Hm."}])
def test_an_answer_without_content_keeps_what_is_beside_it(beside: Json) -> None:
    expected = {"role": "assistant", "content": "", "provider": beside}
    assert from_openai([{"role": "assistant", "content": None, **beside}]) == [expected]
    assert from_openai([{"role": "assistant", "content": [], **beside}]) == [expected]


def test_calls_without_an_id_or_with_one_twice_get_their_own() -> None:
    functions = [{"function": {"name": "f", "arguments": "{}"}, "id": id} for id in ("a", "a", "", "a", "")]
    answer, *results = from_openai(
        [
            {"role": "assistant", "content": None, "tool_calls": functions},
            *({"role": "tool", "tool_call_id": id, "content": id} for id in ("a", "", "a", "", "a")),
        ]
    )
    assert answer["tool_calls"] == [function_call(id) for id in ("a", "a_2", "call_1", "a_3", "call_2")]
    assert answer["metadata"] == {"call_ids": {"a_2": "a", "call_1": "", "a_3": "a", "call_2": ""}}
    assert [result["tool_call_id"] for result in results] == ["a", "call_1", "a_2", "call_2", "a_3"]


def test_a_made_id_is_found_again_by_a_result_that_is_converted_alone() -> None:
    (answer,) = from_openai(
        [{"role": "assistant", "tool_calls": [{"id": "", "function": {"name": "f", "arguments": ""}}] * 2}]
    )
    results = from_openai([{"role": "tool", "content": "x"}, {"role": "tool", "content": "y"}])
    assert [call["id"] for call in answer["tool_calls"] or []] == ["call_1", "call_2"]
    assert [result["tool_call_id"] for result in results] == ["call_1", "call_2"]
    (model,) = from_gemini([{"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}])
    (response,) = from_gemini([{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}])
    assert [call["id"] for call in model["tool_calls"] or []] == [response["tool_call_id"]]


def test_an_id_that_is_made_meets_none_that_was_given() -> None:
    calls = [
        {"id": id, "function": {"name": "f", "arguments": "{}"}}
        for id in ("call_1", "", "call_1_2", "call_1")
    ]
    (answer,) = from_openai([{"role": "assistant", "tool_calls": calls}])
    assert [call["id"] for call in answer["tool_calls"] or []] == ["call_1", "call_2", "call_1_2", "call_1_3"]


def test_a_function_call_and_the_function_that_answers_are_a_call_and_its_result() -> None:
    legacy = {"name": "f", "arguments": "{}"}
    answer, result = from_openai(
        [
            {"role": "assistant", "content": None, "function_call": legacy},
            {"role": "function", "name": "f", "content": "x"},
        ]
    )
    assert answer["tool_calls"] == [function_call("function_call_1")]
    assert result == {"role": "tool", "content": "x", "name": "f", "tool_call_id": "function_call_1"}
    (alone,) = from_openai([{"role": "assistant", "content": None, "function_call": legacy}])
    assert alone == {"role": "assistant", "content": "", "provider": {"function_call": legacy}}


def test_custom_calls_are_kept_and_arguments_that_are_objects_become_text() -> None:
    custom = {"id": "a", "type": "custom", "custom": {"name": "run", "input": "ls"}}
    (answer,) = from_openai(
        [
            {
                "role": "assistant",
                "tool_calls": [
                    custom,
                    {"id": "b", "index": 1, "function": {"name": "f", "arguments": {"é": None}}},
                ],
            }
        ]
    )
    assert answer["tool_calls"] == [custom, function_call("b", arguments='{"é": null}')]


def test_a_call_among_other_blocks_keeps_its_place_and_its_fields() -> None:
    use = {
        "type": "tool_use",
        "id": "a",
        "name": "f",
        "input": {},
        "caller": {"type": "direct"},
        "toolset_name": "t",
    }
    after = {"type": "text", "text": "after"}
    (answer,) = from_anthropic([{"role": "assistant", "content": [use, after]}])
    fields = {"caller": {"type": "direct"}, "toolset_name": "t"}
    assert answer == {
        "role": "assistant",
        "parts": [after],
        "tool_calls": [function_call("a", anthropic=fields, parts_before=0)],
    }


def test_the_pieces_of_one_answer_are_one_message() -> None:
    def piece(*blocks: Json) -> Json:
        return {"role": "assistant", "id": "msg_1", "model": "claude", "content": [*blocks]}

    uses = [{"type": "tool_use", "id": id, "name": "f", "input": {}} for id in "ab"]
    results = [{"type": "tool_result", "tool_use_id": id, "content": id} for id in "ab"]
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    converted = from_anthropic(
        [
            {"role": "system", "content": "Be brief."},
            piece(thinking),
            piece(uses[0]),
            {"role": "user", "content": [results[0]]},
            piece(uses[1]),
            {"role": "user", "content": [results[1]]},
        ]
    )
    assert converted == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "assistant",
            "parts": [thinking],
            "tool_calls": [function_call("a"), function_call("b")],
            "model": "claude",
            "metadata": {"id": "msg_1"},
        },
        {"role": "tool", "content": "a", "tool_call_id": "a"},
        {"role": "tool", "content": "b", "tool_call_id": "b"},
    ]


def test_neighboring_items_of_a_response_are_one_message() -> None:
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "eA=="}
    said = {"type": "output_text", "text": "I look.", "annotations": []}
    shell = {
        "type": "local_shell_call",
        "id": "ls_1",
        "call_id": "c3",
        "status": "completed",
        "action": {"a": 1},
    }
    image = {"type": "input_image", "image_url": "x"}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    assert from_responses(
        [
            {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
            {"type": "message", "role": "user", "content": "Hi", "status": "completed"},
            reasoning,
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [said]},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
            search,
            {"type": "custom_tool_call", "call_id": "c2", "name": "run", "input": "ls"},
            shell,
            {"type": "function_call_output", "call_id": "c1", "output": [image]},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
            {"type": "local_shell_call_output", "id": "c3", "output": "{}", "status": "completed"},
            {"role": "assistant", "content": "Bye."},
        ],
        "Be kind.",
    ) == [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi", "provider": {"status": "completed"}},
        {
            "role": "assistant",
            "parts": [reasoning, said | {"item": {"id": "msg_1", "status": "completed"}}, search],
            "tool_calls": [
                function_call("c1", responses={"id": "fc_1"}, parts_before=2),
                {"id": "c2", "type": "custom", "custom": {"name": "run", "input": "ls"}},
                function_call(
                    "c3", "local_shell_call", '{"action": {"a": 1}}',
                    responses={"id": "ls_1", "status": "completed", "type": "local_shell_call"},
                ),
            ],
        },
        {"role": "tool", "parts": [image], "tool_call_id": "c1"},
        {"role": "tool", "content": "done", "tool_call_id": "c2"},
        {
            "role": "tool",
            "content": "{}",
            "tool_call_id": "c3",
            "provider": {"status": "completed", "type": "local_shell_call_output"},
        },
        {"role": "assistant", "content": "Bye."},
    ]  # fmt: skip


def test_an_answer_of_the_responses_api_is_a_message_of_its_own() -> None:
    refusal = {"type": "refusal", "refusal": "no"}
    answer = {
        "object": "response", "id": "resp_1", "model": "gpt-6", "instructions": "x", "tools": [],
        "output": [{"type": "message", "id": "m", "role": "assistant", "content": [refusal]}],
    }  # fmt: skip
    messages = from_responses(
        [{"role": "assistant", "content": "Hm."}, answer, {"type": "item_reference", "id": "i"}]
    )
    assert messages == [
        {"role": "assistant", "content": "Hm."},
        {
            "role": "assistant",
            "parts": [refusal | {"item": {"id": "m"}}],
            "model": "gpt-6",
            "metadata": {"id": "resp_1"},
        },
        {"role": "assistant", "parts": [{"type": "item_reference", "id": "i"}]},
    ]


def test_parts_of_gemini_have_a_type_and_calls_their_signature() -> None:
    image = {"mimeType": "image/png", "data": "AP8="}
    assert from_gemini(
        [
            "Hi",
            {"parts": [{"inline_data": {"mime_type": "image/png", "data": b"\x00\xff"}}]},
            {
                "role": "model",
                "parts": [
                    {"text": "Hm.", "thought": True},
                    {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                    {"function_call": {"name": "f", "id": "x"}},
                    {"text": "after"},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "x", "name": "f", "response": {"a": [1]}}},
                    {"functionResponse": {"name": "f", "response": {"output": "done"}}},
                    {"text": "Go on."},
                ],
            },
        ],
        "Be brief.",
    ) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "user", "parts": [{"type": "inline_data", "inlineData": image}]},
        {
            "role": "assistant",
            "parts": [
                {"type": "thinking", "thinking": "Hm.", "thought": True},
                {"type": "text", "text": "after"},
            ],
            "tool_calls": [
                function_call(
                    "f_1",
                    arguments='{"a": 1}',
                    parts_before=1,
                    gemini={"thoughtSignature": "c2ln", "made_id": True},
                ),
                function_call("x", parts_before=1),
            ],
        },
        {"role": "tool", "content": '{"a": [1]}', "tool_call_id": "x", "tool_name": "f"},
        {
            "role": "tool",
            "content": "done",
            "tool_call_id": "f_1",
            "tool_name": "f",
            "provider": {"response_key": "output"},
        },
        {"role": "user", "content": "Go on."},
    ]


def test_an_answer_of_gemini_is_its_one_candidate() -> None:
    content = {"role": "model", "parts": [{"text": "Hi"}]}
    answer = {"candidates": [{"content": content, "finish_reason": "STOP"}], "model_version": "gemini-4"}
    assert from_gemini([answer]) == [
        {"role": "assistant", "content": "Hi", "model": "gemini-4", "metadata": {"finishReason": "STOP"}}
    ]


@dataclass
class Said:
    """A message of an app's own class."""

    role: str
    content: str
    name: str | None = None


def test_dataclasses_are_taken() -> None:
    assert from_openai([Said("user", "Hi")]) == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("text", ["a\x00b", "\ud83d", "\udc00\ud800", "␚0000", "␚", "plain"])
def test_texts_that_postgres_refuses_are_escaped_and_come_back(text: str) -> None:
    (message,) = from_openai(
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": text, text: 1}],
                "name": text,
                "mine": [text],
            }
        ],
        on_bad_text="escape",
    )
    json.dumps(message, ensure_ascii=False).encode()
    assert "\\u0000" not in json.dumps(message)
    (back,) = unescape([message])
    assert back["parts"][0] == {"type": "text", "text": text, text: 1}
    assert (back["name"], back["metadata"]) == (text, {"mine": [text]})


@pytest.mark.parametrize(
    "convert",
    [
        lambda: from_responses([5]),
        lambda: from_responses([{"type": "message", "role": "assistant", "content": 5}]),
        lambda: from_gemini([5]),
        lambda: from_gemini([{"role": "model", "parts": [{"thought": True}]}]),
        lambda: from_gemini([{"role": "model", "parts": {"text": "x"}}]),
        lambda: from_gemini([{"candidates": []}]),
        lambda: from_openai([{1: 2}]),
    ],
)
def test_what_is_not_of_the_form_is_refused_by_its_number(convert: Any) -> None:
    with pytest.raises(KataError, match="message 1"):
        convert()


def test_one_message_is_not_a_list() -> None:
    with pytest.raises(KataError, match="not a list"):
        from_openai({"role": "user", "content": "Hi"})
    with pytest.raises(KataError, match="on_bad_text"):
        from_openai([], on_bad_text="drop")  # type: ignore[arg-type]


def test_objects_of_the_providers_packages_are_taken_as_they_are() -> None:
    from anthropic.types import Message
    from google.genai.types import GenerateContentResponse
    from openai.types.chat import ChatCompletion
    from openai.types.responses import Response

    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    chat = ChatCompletion.model_validate(
        {
            "id": "1", "object": "chat.completion", "created": 5, "model": "gpt",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "tool_calls",
                    "message": {"role": "assistant", "content": None, "tool_calls": [call]},
                }
            ],
        }
    )  # fmt: skip
    message = Message.model_validate(
        {
            "id": "1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use",
            "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
            "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": None}}],
        }
    )  # fmt: skip
    item = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}"}
    response = Response.model_validate(
        {
            "id": "1", "object": "response", "created_at": 5, "model": "gpt", "output": [item], "tools": [],
            "tool_choice": "auto", "parallel_tool_calls": True,
        }
    )  # fmt: skip
    part = {"functionCall": {"id": "c", "name": "f", "args": {"a": None}}, "thoughtSignature": "c2ln"}
    gemini = GenerateContentResponse.model_validate(
        {"modelVersion": "gemini", "candidates": [{"content": {"role": "model", "parts": [part]}}]}
    )
    assert from_openai([chat.choices[0].message]) == [
        {"role": "assistant", "content": None, "tool_calls": [call]}
    ]
    for given, model, calls in (
        (from_openai([chat]), "gpt", [call]),
        (from_anthropic([message]), "claude", [function_call("c", arguments='{"a": null}')]),
        (from_responses([response]), "gpt", [function_call("c", responses={"id": "fc"})]),
        (
            from_gemini([gemini]),
            "gemini",
            [function_call("c", arguments='{"a": null}', gemini={"thoughtSignature": "c2ln"})],
        ),
    ):
        assert [(m["model"], m["tool_calls"]) for m in given] == [(model, calls)]
    answered = from_anthropic([{"role": "assistant", "content": message.content}])
    assert answered[0]["tool_calls"] == [function_call("c", arguments='{"a": null}')]
