"""Messages of providers, in the form of `append`.

    context.append(from_openai(messages))
    context.append(from_anthropic(messages, system))

The way back is `prompt`, which returns content parts and fields of the provider unchanged. A module is loaded
when its adapter is first used, and none of them needs a package of a provider.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kata_context.adapters.anthropic import from_anthropic
    from kata_context.adapters.gemini import from_gemini
    from kata_context.adapters.openai import from_openai
    from kata_context.adapters.responses import from_responses
    from kata_context.adapters.texts import escape, unescape

__all__ = ["escape", "from_anthropic", "from_gemini", "from_openai", "from_responses", "unescape"]

_HOMES = {name: name.removeprefix("from_") for name in __all__} | {"escape": "texts", "unescape": "texts"}

if not TYPE_CHECKING:  # else type checkers would take every name for known

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
