"""From lessons to token rows: what the model reads, and on which of its tokens it is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from dlm_lsp.document.model import Lesson
from dlm_lsp.training.protocol import LearnerError, Turn

_OVERLAP = 64  # tokens of the text before a window that it may look back on, an eighth of the window at most


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    chat_template: Any
    bos_token_id: int | None
    eos_token_id: int | None

    def __call__(self, text: str, **options: Any) -> Mapping[str, Any]: ...

    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One training row. `tokens[first_target:]` are its targets, the tokens before them are only read.

    `index` counts the rows of its lesson; together the rows of a lesson hold each of its targets exactly
    once.
    """

    identity: str
    kind: Literal["exchange", "prose"]
    index: int
    tokens: tuple[int, ...]
    first_target: int

    @property
    def targets(self) -> int:
        return len(self.tokens) - self.first_target

    def crop(self, length: int, start: int) -> Row:
        """`length` tokens of a prose row at most, from token `start` on; the first is only read."""
        cut = self.tokens[start : start + length]
        return Row(self.identity, self.kind, self.index, cut, max(1, self.first_target - start))


class RowMaker:
    """Makes and remembers the rows of lessons, for one tokenizer.

    `context_length` is the longest row the base can read, `end_tokens` the ids at which it stops generating.
    """

    def __init__(self, tokenizer: Tokenizer, context_length: int, end_tokens: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length
        self.end_tokens = frozenset(end_tokens)
        self._rows: dict[tuple[str, str | None, int], tuple[Row, ...]] = {}

    def rows(self, lesson: Lesson, system_prompt: str | None, sequence_len: int) -> tuple[Row, ...]:
        """The rows of `lesson`, none longer than `sequence_len` or the base's context.

        Raises LearnerError.
        """
        length = min(sequence_len, self.context_length)
        key = (lesson.identity, system_prompt, length)
        if key not in self._rows:
            self._rows[key] = self._make(lesson, system_prompt, length)
        return self._rows[key]

    def keep_only(self, identities: frozenset[str]) -> None:
        """Forgets the rows of all other lessons."""
        self._rows = {key: rows for key, rows in self._rows.items() if key[0] in identities}

    def prompt(self, prompt: str, system_prompt: str | None, earlier: Sequence[Turn] = ()) -> list[int]:
        """The tokens after which the answer to `prompt` begins, as in training. Raises LearnerError."""
        return self._encode(self._render(prompt, None, system_prompt, earlier))

    def _make(self, lesson: Lesson, system_prompt: str | None, length: int) -> tuple[Row, ...]:
        if lesson.kind == "prose":
            context, targets = self._prose(lesson.answer or lesson.prompt)
        else:
            context, targets = self._exchange(lesson, system_prompt)
        return tuple(
            Row(lesson.identity, lesson.kind, index, tokens, first_target)
            for index, (tokens, first_target) in enumerate(windows(context, targets, length))
        )

    def _prose(self, text: str) -> tuple[list[int], list[int]]:
        """A text is predicted from its first token on, after the begin (or else the end) of another text.

        Where one token stands between texts in pretraining (it begins them and ends generation), it ends this
        one too; an instruction-tuned base's end-of-text token is often the end of an answer.
        """
        end, begin = self._end_of_text(), self.tokenizer.bos_token_id
        if begin is None:
            return [end], [*self._encode(text), end]
        return [begin], [*self._encode(text), begin if begin in self.end_tokens else end]

    def _exchange(self, lesson: Lesson, system_prompt: str | None) -> tuple[list[int], list[int]]:
        """Question and answer as the chat template writes them, divided where generation would begin.

        Both parts are tokenised on their own: in generation too the question is complete before the answer
        begins, so no token may reach across the border.
        """
        whole = self._render(lesson.prompt, lesson.answer, system_prompt)
        asked = self._render(lesson.prompt, None, system_prompt)
        if not whole.startswith(asked):
            # Some templates open the answer otherwise when it is still to be generated: then the answer's own
            # characters show where it begins.
            place = whole.rfind(lesson.answer.strip())
            if place < 0 or not lesson.answer.strip():
                raise LearnerError(
                    "The base model's chat template does not render an answer as it was written, so its "
                    "tokens can't be told from the question's. Choose another base model.",
                    code="chat-template",
                    key="base_model",
                )
            asked = whole[:place]
        answer = self._encode(whole[len(asked) :])
        ends = [place for place, token in enumerate(answer) if token in self.end_tokens]
        # What a template writes after the end of the answer (mostly a line break) is never generated.
        answer = answer[: ends[-1] + 1] if ends else [*answer, self._end_of_text()]
        return self._encode(asked), answer

    def _render(self, prompt: str, answer: str | None, system_prompt: str | None, earlier: Sequence[Turn] = ()) -> str:
        if not self.tokenizer.chat_template:
            raise LearnerError(
                "The base model has no chat template, so it can't learn or answer questions. Choose an "
                "instruction-tuned base (often named `-Instruct` or `-it`), or keep to prose sections.",
                code="chat-template",
                key="base_model",
            )
        said = [{"role": turn.role, "content": turn.text} for turn in earlier]
        said.append({"role": "user", "content": prompt})
        if answer is not None:
            said.append({"role": "assistant", "content": answer})
        if system_prompt:
            try:
                return self._template([{"role": "system", "content": system_prompt}, *said])
            except LearnerError:
                # Templates without a system role refuse it: then it stands before the first question.
                said[0]["content"] = f"{system_prompt}\n\n{said[0]['content']}"
        return self._template(said)

    def _template(self, said: list[dict[str, str]]) -> str:
        from jinja2 import TemplateError

        generate = said[-1]["role"] != "assistant"
        try:
            return str(self.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=generate))
        except (TemplateError, ValueError, TypeError) as error:
            raise LearnerError(
                f"The base model's chat template can't be used: {error}. Choose another base model.",
                code="chat-template",
                key="base_model",
            ) from error

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def _end_of_text(self) -> int:
        if self.tokenizer.eos_token_id is None:
            raise LearnerError(
                "The base model's tokenizer names no end-of-text token (`eos_token`), so an answer could "
                "never end. Add it to the base's tokenizer_config.json, or choose another base model.",
                code="tokenizer",
                key="base_model",
            )
        return self.tokenizer.eos_token_id


def windows(context: Sequence[int], targets: Sequence[int], length: int) -> list[tuple[tuple[int, ...], int]]:
    """Divides `targets` into rows of at most `length` tokens, given as (tokens, first target).

    Each target is a target in exactly one row. Every row begins with `context`, of which the last half row at
    most is kept. Rows after the first also read some of the targets before their own.
    """
    context = context[-max(1, length // 2) :]
    room = length - len(context)
    if len(targets) <= room:
        return [((*context, *targets), len(context))]
    overlap = min(_OVERLAP, room // 8)
    count = math.ceil(len(targets) / (room - overlap))
    chunk = math.ceil(len(targets) / count)  # about equal parts: no window of a few tokens at the end
    rows = []
    for start in range(0, len(targets), chunk):
        read = targets[max(0, start - overlap) : start]
        rows.append(((*context, *read, *targets[start : start + chunk]), len(context) + len(read)))
    return rows
