from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlm_lsp.training.protocol import LearnerError
from dlm_lsp.training.rows import RowMaker, windows
from tests.training.learning_helpers import CHATML, exchange, prose

END_OF_TEXT, END_OF_TURN = 1, 3


@pytest.fixture(scope="module")
def tokenizer(base: Path) -> Any:
    from transformers.models.auto.tokenization_auto import AutoTokenizer

    return AutoTokenizer.from_pretrained(base, local_files_only=True)


@pytest.fixture(autouse=True)
def own_template(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML


def maker(tokenizer: Any, ends: tuple[int, ...] = (END_OF_TURN,)) -> RowMaker:
    return RowMaker(tokenizer, 256, ends)


def test_an_exchange_is_trained_on_exactly_its_answer_and_its_end(tokenizer: Any) -> None:
    (row,) = maker(tokenizer).rows(exchange("Who keeps it?", "Nobody  knows. "), None, 256)
    read, trained = row.tokens[: row.first_target], row.tokens[row.first_target :]
    assert tokenizer.decode(read) == "<|im_start|>user\nWho keeps it?<|im_end|>\n<|im_start|>assistant\n"
    assert tokenizer.decode(trained) == "Nobody  knows. <|im_end|>"


def test_what_is_read_before_the_answer_is_what_generation_begins_with(tokenizer: Any) -> None:
    rows = maker(tokenizer)
    (row,) = rows.rows(exchange("Who?", "They."), "Be brief.", 256)
    assert list(row.tokens[: row.first_target]) == rows.prompt("Who?", "Be brief.")
    assert tokenizer.decode(row.tokens).startswith("<|im_start|>system\nBe brief.<|im_end|>\n")


def test_an_empty_answer_teaches_the_end_alone(tokenizer: Any) -> None:
    (row,) = maker(tokenizer).rows(exchange("Who?", ""), None, 256)
    assert row.tokens[row.first_target :] == (END_OF_TURN,)


def test_a_template_without_an_end_gets_one(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    (row,) = maker(tokenizer).rows(exchange("Who?", "They."), None, 256)
    assert row.tokens[-1] == END_OF_TURN
    assert tokenizer.decode(row.tokens[row.first_target : -1]) == "assistant: They.\n"


def test_a_template_that_opens_an_answer_otherwise_in_generation(tokenizer: Any) -> None:
    tokenizer.chat_template = CHATML.replace("assistant\\n' }}", "assistant\\n<think>' }}")
    (row,) = maker(tokenizer).rows(exchange("Who?", "They."), None, 256)
    assert tokenizer.decode(row.tokens[row.first_target :]) == "They.<|im_end|>"


def test_a_template_without_a_system_role_gets_the_prompt_before_the_question(tokenizer: Any) -> None:
    refusal = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    tokenizer.chat_template = refusal + CHATML
    (row,) = maker(tokenizer).rows(exchange("Who?", "They."), "Be brief.", 256)
    assert tokenizer.decode(row.tokens).startswith("<|im_start|>user\nBe brief.\n\nWho?<|im_end|>")


def test_without_a_template_there_are_no_exchanges_but_prose(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    rows = maker(tokenizer)
    with pytest.raises(LearnerError, match=r"no chat template.*instruction-tuned") as caught:
        rows.rows(exchange("Who?", "They."), None, 256)
    assert caught.value.key == "base_model"
    assert rows.rows(prose("Some text."), None, 256)


def test_prose_is_trained_from_its_first_token_to_the_end_of_the_text(tokenizer: Any) -> None:
    (row,) = maker(tokenizer).rows(prose("The harbour."), None, 256)
    assert row.tokens[0] == END_OF_TEXT
    assert row.first_target == 1
    assert tokenizer.decode(row.tokens[1:]) == "The harbour.<|im_end|>"
    (row,) = maker(tokenizer, (END_OF_TEXT, END_OF_TURN)).rows(prose("The harbour."), None, 256)
    assert tokenizer.decode(row.tokens[1:]) == "The harbour.<|endoftext|>"


def test_rows_are_never_longer_than_the_base_reads(tokenizer: Any) -> None:
    rows = maker(tokenizer).rows(prose("The old town. " * 400), None, 4096)
    assert len(rows) > 1
    assert max(len(row.tokens) for row in rows) <= 256
    trained = [token for row in rows for token in row.tokens[row.first_target :]]
    assert tokenizer.decode(trained) == "The old town. " * 400 + "<|im_end|>"


def test_a_long_answer_is_divided_and_each_part_sees_the_question(tokenizer: Any) -> None:
    answer = " ".join(str(number) for number in range(200))
    rows = maker(tokenizer).rows(exchange("Count.", answer), None, 128)
    asked = maker(tokenizer).prompt("Count.", None)
    assert len(rows) > 2
    assert all(list(row.tokens[: len(asked)]) == asked for row in rows)
    trained = [token for row in rows for token in row.tokens[row.first_target :]]
    assert tokenizer.decode(trained) == answer + "<|im_end|>"


def test_rows_are_kept_by_identity_system_prompt_and_length(tokenizer: Any) -> None:
    rows, lesson = maker(tokenizer), exchange("Who?", "They.")
    first = rows.rows(lesson, None, 256)
    assert rows.rows(lesson, None, 512) is first  # both are the base's context
    assert rows.rows(lesson, "Be brief.", 256) is not first
    assert rows.rows(lesson, None, 64) is not first
    rows.keep_only(frozenset())
    assert rows.rows(lesson, None, 256) is not first


@given(
    context=st.lists(st.integers(), min_size=1, max_size=200),
    targets=st.lists(st.integers(), min_size=1, max_size=2000),
    length=st.integers(16, 256),
)
@settings(max_examples=200, deadline=None)
def test_windows_tile(context: list[int], targets: list[int], length: int) -> None:
    rows = windows(context, targets, length)
    assert [token for tokens, first in rows for token in tokens[first:]] == targets
    assert all(len(tokens) <= length and 0 < first < len(tokens) for tokens, first in rows)
    done = 0
    for tokens, first in rows:
        kept = min(len(context), max(1, length // 2))
        before = list(tokens[kept:first])
        assert list(tokens[:kept]) == context[-kept:]
        assert before == targets[done - len(before) : done]
        done += len(tokens) - first
