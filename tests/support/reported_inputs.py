"""Inputs of public bug reports, about requests that providers refused, in the form of append."""

from typing import Any

Draft = dict[str, Any]
PNG = "iVBORw0KGgo="
URL = "https://example.com/a.png"


def _user(*parts: Draft) -> Draft:
    return {"role": "user", "parts": list(parts)}


def _answer(*parts: Draft) -> Draft:
    return {"role": "assistant", "parts": list(parts)}


def _text(text: str, **fields: Any) -> Draft:
    return {"type": "text", "text": text, **fields}


def _turn(result: Draft, arguments: str = "{}", **fields: Any) -> list[Draft]:
    """Return a question, a call and its result."""
    call = {"id": "a", "type": "function", "function": {"name": "look", "arguments": arguments}} | fields
    return [
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a"} | result,
    ]


def _image(url: Any, **fields: Any) -> Draft:
    return {"type": "image_url", "image_url": {"url": url}, **fields}


def _source(media_type: str, data: str, kind: str = "image") -> Draft:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": data}}


_MARK = {"type": "ephemeral"}
_CITED: Draft = {"cited_text": "x", "document_index": 0, "document_title": None}
_SEARCH: Draft = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
_FOUND: Draft = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1"}

ACCEPTED: dict[str, list[Draft]] = {
    "a media type that is none": [_user(_source("image/jpg", "/9j/4AAQ"))],
    "such a type in an address": [_user(_image("data:image/jpg;base64,/9j/4AAQ"))],
    "a media type with parameters": [_user(_image(f"data:image/png;charset=utf-8;base64,{PNG}"))],
    "a media type in capitals": [_user(_image(f"data:IMAGE/PNG;base64,{PNG}"))],
    "data with line breaks": [_user(_source("image/png", "iVBO\nRw0K"))],
    "an address in capitals": [_user(_image(URL.replace("https", "HTTPS")))],
    "an address without its object": [_user({"type": "image_url", "image_url": URL})],
    "a mark with a scope": [_user(_text("x", cache_control=_MARK | {"scope": "global"}))],
    "a mark of an unknown type": [_user(_text("x", cache_control={"type": "persistent"}))],
    "an empty mark": [_user(_text("x", cache_control={}))],
    "a mark of an unknown time": [_user(_text("x", cache_control=_MARK | {"ttl": "2h"}))],
    "a mark of an hour behind another": [
        _user(_text("x", cache_control=_MARK), _text("y", cache_control=_MARK | {"ttl": "1h"}))
    ],
    "a mark of an unknown mode": [_user(_text("x", prompt_cache_breakpoint={"mode": "implicit", "x": 1}))],
    "a mark on a blank text": [_user(_text("x"), _text(" ", cache_control=_MARK))],
    "a citation with the id of a file": [
        _user(_text("q")),
        _answer(
            _text(
                "a",
                citations=[
                    _CITED
                    | {"type": "char_location", "start_char_index": 0, "end_char_index": 1, "file_id": None}
                ],
            )
        ),
    ],
    "citations that are none": [_user(_text("q")), _answer(_text("a", citations=[{"type": "x"}, 1]))],
    "an unknown setting of citations": [
        _user(
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "citations": {"enabled": True, "x": 1},
            }
        )
    ],
    "annotations that are none": [
        _user(_text("q")),
        _answer({"type": "output_text", "text": "a", "annotations": [{"type": "x"}], "logprobs": [{"x": 1}]}),
    ],
    "a caller with more fields": _turn(
        {"content": "x"}, anthropic={"caller": {"type": "direct", "x": 1}}, responses={"caller": {"x": 1}}
    ),
    "a text behind a call": [
        _user(_text("q")),
        _turn({}, parts_before=0)[1] | {"parts": [_text("after")]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
    ],
    "an answer that ends with white space": [_user(_text("q")), {"role": "assistant", "content": "so \n"}],
    "such an answer in parts": [_user(_text("q")), _answer(_text("so \u00a0"))],
    "numbers that JSON has not": _turn({"content": '{"a": NaN}'}, '{"a": NaN}'),
    "a key that comes twice": _turn({"content": "[]"}, '{"a": 1, "a": 2}'),
    "null as arguments and as result": _turn({"content": "null"}, "null"),
    "an empty result": _turn({"content": ""}),
    "a document in a result": _turn({"parts": [_source("application/pdf", "JVBERi0=", "document")]}),
    "thinking without an answer": [
        _user(_text("q")),
        _answer({"type": "thinking", "thinking": "x", "signature": "s"}),
        _user(_text("z")),
    ],
    "reasoning without an answer": [
        _user(_text("q")),
        _answer({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "g"}),
        _user(_text("z")),
    ],
    "a search result without words": [
        _user(_text("q"), {"type": "search_result", "source": "s", "title": "t", "content": [_text(" ")]})
    ],
    "a document without words": [
        _user(_text("q"), {"type": "document", "source": {"type": "content", "content": [_text(" ")]}})
    ],
    "a sound in a result": _turn(
        {"parts": [{"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}]}
    ),
}
REFUSED: dict[str, tuple[set[str], list[Draft]]] = {
    "a search that failed": (
        {"openai", "responses", "gemini"},
        [
            _user(_text("q")),
            _answer(
                _SEARCH | {"x": 1},
                _FOUND | {"content": {"type": "web_search_tool_result_error", "error_code": "unavailable"}},
                _text("ok"),
            ),
        ],
    ),
    "an image of the system": (
        {"openai", "responses", "anthropic", "gemini"},
        [{"role": "system", "parts": [_image(URL)]}, _user(_text("q"))],
    ),
    "an image of the assistant": (
        {"openai", "responses", "anthropic", "gemini"},
        [_user(_text("q")), _answer(_image(URL))],
    ),
}
"""With the forms that refuse them."""
