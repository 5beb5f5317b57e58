"""A program with faults: mypy --strict finds each one in its line, and nothing else."""

from typing import Any

from kata_context import AsyncKata, Context, Kata
from kata_context.types import Message


def pass_what_is_wrong(kata: Kata, context: Context) -> None:
    context.append_message("usr", "x")  # E: incompatible type "Literal['usr']"; expected "Literal['system',
    context.append([{"role": "usr", "content": "x"}])  # E: TypedDict item "role" has type
    context.append([{"role": "user", "contents": "x"}])  # E: Extra key "contents" for TypedDict "Message"
    context.prompt(8000, "opneai")  # E: No overload variant of "prompt" of "Context"
    context.append_message("user", b"x")  # E: incompatible type "bytes"; expected "str | None"
    context.append({"role": "user", "content": "x"})  # E: incompatible type "dict[str, str]"
    context.append("[]")  # E: incompatible type "str"; expected "Sequence[Message]"
    context.window(8000, stable_steps=100)  # E: Unexpected keyword argument "stable_steps"
    context.window("8000")  # E: incompatible type "str"; expected "int | None"
    kata.renew_compaction(context)  # E: incompatible type "Context"; expected "UUID | str"
    kata.find_context(context)  # E: incompatible type "Context"; expected "str"
    kata.create(context)  # E: incompatible type "Context"; expected "str | None"
    context.messages(visibility="everything")  # E: expected "Literal['effective', 'raw', 'all']"
    context.append([], "head")  # E: incompatible type "str"; expected "int | None"
    context.set_policy("budget")  # E: incompatible type "str"; expected "Mapping[str, Any]"
    kata.usage(5)  # E: incompatible type "int"; expected "UUID | str | Handle"


def read_what_is_not_there(context: Context) -> None:
    print(context.window(8000)[0].tokens)  # E: "WindowRow" has no attribute "tokens"
    print(context.usage().window_tokens)  # E: "UsageRow" has no attribute "window_tokens"
    print(context.prompt(8000)["messages"])  # E: No overload variant of "__getitem__" of "list"
    print(context.prompt(8000, "anthropic")["message"])  # E: TypedDict "AnthropicPrompt" has no key "message"
    text: str = context.get_message(1).content  # E: expression has type "str | None", variable has type "str"
    print(text.upper())


async def forget_to_await(kata: AsyncKata) -> Any:
    kata.create("trip")  # E: Value of type "Coroutine[Any, Any, AsyncContext]" must be used
    context = kata.context("trip")
    await context.usage()  # E: "Coroutine[Any, Any, AsyncContext]" has no attribute "usage"
    message: Message = {"content": "x"}  # E: Missing key "role" for TypedDict "Message"
    return message
