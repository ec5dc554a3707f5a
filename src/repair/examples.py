"""Examples that the issue gives; grafter takes this file away again."""
import ast
import importlib

import pytest

CASES = ["CASES"]
WORDS = {"true": "True", "false": "False", "null": "None", "nil": "None"}


@pytest.mark.parametrize("number", range(len(CASES)))
def test_example_of_the_issue(number):
    module, text, wanted = CASES[number]
    try:
        call = ast.parse(text, mode="eval").body
        plain = [ast.literal_eval(value) for value in call.args]
        named = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        wanted = ast.literal_eval(WORDS.get(wanted, wanted))
    except (SyntaxError, ValueError):
        pytest.skip("not all of it is a literal")
    found = getattr(importlib.import_module(module), call.func.id)(*plain, **named)
    assert found == (pytest.approx(wanted) if isinstance(wanted, float) else wanted)
