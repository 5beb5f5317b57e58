"""The validator of request bodies accepts what is valid, and finds each fault."""

from typing import Any

import pytest

from validator import FORMS, judge
from validator.catalog import BROKEN, VALID
from validator.published import PUBLISHED

# Rules on letters, lengths, order and numbers, which types do not express.
TYPED_RULES = ("P5", "P6", "S1")
# The types take these all the same.
LOOSE = {
    ("openai", "no parts"),
    ("openai", "no calls"),
    ("anthropic", "no blocks"),
    ("anthropic", "an image of the assistant"),
    ("gemini", "a call of the user"),
    ("gemini", "a part that holds two things"),
    ("gemini", "an unknown role"),
}


@pytest.mark.parametrize(("form", "case", "body"), VALID, ids=[f"{form}: {case}" for form, case, _ in VALID])
def test_a_valid_body_is_accepted_by_both_judges(form: str, case: str, body: Any) -> None:
    assert judge(form, body) == []
    assert PUBLISHED[form](body) is None


@pytest.mark.parametrize(
    ("form", "rule", "case", "body"), BROKEN, ids=[f"{form} {rule}: {case}" for form, rule, case, _ in BROKEN]
)
def test_a_body_that_breaks_one_rule_breaks_that_rule_alone(
    form: str, rule: str, case: str, body: Any
) -> None:
    assert {violation.rule for violation in judge(form, body)} == {rule}


@pytest.mark.parametrize(
    ("form", "rule", "case", "body"), BROKEN, ids=[f"{form} {rule}: {case}" for form, rule, case, _ in BROKEN]
)
def test_the_published_types_find_what_types_can_find(form: str, rule: str, case: str, body: Any) -> None:
    expected = rule in TYPED_RULES and (form, case) not in LOOSE
    assert (PUBLISHED[form](body) is not None) == expected, PUBLISHED[form](body)


def test_each_form_has_valid_and_broken_bodies() -> None:
    assert {form for form, _, _ in VALID} == {form for form, _, _, _ in BROKEN} == set(FORMS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [None, 1, "text", [None], [[]], {}, {"messages": None}, {"contents": [1]}])
def test_a_value_that_is_not_a_body_is_refused_without_an_exception(form: str, value: Any) -> None:
    assert judge(form, value)
