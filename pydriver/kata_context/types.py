"""Types of what the driver takes and returns, for type checkers and for readers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypedDict

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
Format: TypeAlias = Literal["openai", "responses", "anthropic", "gemini"]
Visibility: TypeAlias = Literal["effective", "raw", "all"]
TokenSource: TypeAlias = Literal["exact", "given"]


class _HasRole(TypedDict):
    role: Role


class Message(_HasRole, total=False):
    """A message as `append` takes it; its keys are the parameters of `append_message`."""

    content: str | None
    token_count: int | None
    token_source: TokenSource | None
    tool_call_id: str | None
    tool_name: str | None
    tool_calls: Sequence[Mapping[str, Any]] | None
    model: str | None
    metadata: Mapping[str, Any] | None
    pinned: bool
    name: str | None
    parts: Sequence[Mapping[str, Any]] | None
    provider: Mapping[str, Any] | None
    external_id: str | None
    occurred_at: str | datetime | None


class _HasContent(_HasRole):
    content: str | list[dict[str, Any]] | None


class OpenAIMessage(_HasContent, total=False):
    """A message of a prompt in the OpenAI chat form; it also has the fields of `provider`, as given."""

    name: str
    tool_calls: list[dict[str, Any]]
    tool_call_id: str


class AnthropicTurn(TypedDict):
    """A turn of a prompt in the Anthropic form."""

    role: Literal["user", "assistant"]
    content: list[dict[str, Any]]


class AnthropicPrompt(TypedDict):
    """A prompt in the Anthropic form: the preamble, and turns that alternate from the user on."""

    system: str | list[dict[str, Any]]
    messages: list[AnthropicTurn]


class ResponsesPrompt(TypedDict):
    """A prompt in the OpenAI Responses form: the preamble, None without one, and items."""

    instructions: str | None
    input: list[dict[str, Any]]


class _HasContents(TypedDict):
    contents: list[dict[str, Any]]


class GeminiPrompt(_HasContents, total=False):
    """A prompt in the Gemini form: the preamble, if there is one, and contents from the user's on."""

    systemInstruction: dict[str, Any]
