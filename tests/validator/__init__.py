"""What providers accept. README.md lists the rules."""

from collections.abc import Callable
from typing import Any

from validator.anthropic_messages import judge_anthropic
from validator.findings import Violation
from validator.gemini import judge_gemini
from validator.openai_chat import judge_openai
from validator.openai_responses import judge_responses

__all__ = ["FORMS", "Violation", "judge"]

FORMS: dict[str, Callable[[Any, str], list[Violation]]] = {
    "openai": judge_openai,
    "responses": judge_responses,
    "anthropic": judge_anthropic,
    "gemini": judge_gemini,
}


def judge(form: str, body: Any, foreign: str = "") -> list[Violation]:
    """Return the violations of a request body, none if the provider accepts it.

    Parameters
    ----------
    foreign : words that no message of the system has
    """
    return FORMS[form](body, foreign)
