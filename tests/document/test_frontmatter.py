"""The frontmatter: every problem at its key or value, migrations, and what a key means."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dlm_lsp.document import Document, Frontmatter, Position, Problem, Range, describe_key, keys_at, parse
from dlm_lsp.document.schema import SCHEMA_VERSION

ID = "01HZ4X7TGZM3J1A2B3C4D5E6F7"


def document(*lines: str) -> Document:
    """A document whose third and later frontmatter lines (number 3 on, from 0) are `lines`."""
    return parse("\n".join(["---", f"dlm_id: {ID}", "base_model: m", *lines, "---", "x"]))


def span(line: int, start: int, end: int) -> Range:
    return Range(Position(line, start), Position(line, end))


def told(found: Document) -> list[tuple[str, Range]]:
    return [(problem.code, problem.range) for problem in found.problems]


def only(found: Document) -> Problem:
    (problem,) = found.problems
    return problem


def test_all_problems_are_told_each_at_its_place() -> None:
    found = document(
        "training:", "  lora_rank: 4", "  lora_r: 300", "  seed: x", "export: {default_quant: q4}", "foo: 1"
    )
    assert told(found) == [
        ("unknown-key", span(4, 2, 11)),
        ("bad-value", span(5, 10, 13)),
        ("bad-value", span(6, 8, 9)),
        ("bad-value", span(7, 24, 26)),
        ("unknown-key", span(8, 0, 3)),
    ]
    assert found.frontmatter is None
    assert not found.trainable


def test_messages_say_what_is_expected_and_what_was_probably_meant() -> None:
    assert only(document("training: {lora_r: 300}")).message == (
        "`training.lora_r` can't be `300`: expected an integer from 1 to 256."
    )
    assert "Did you mean `lora_dropout`?" in only(document("training: {lora_dropuot: 0.1}")).message
    assert "Did you mean `dora`?" in only(document("training: {adapter: dorra}")).message
    assert "belongs to the top level" in only(document("training: {system_prompt: x}")).message
    assert "left empty" in only(document("training:")).message


def test_a_value_that_holds_itself_is_refused_at_its_place() -> None:
    problem = only(document("training:", "  target_modules: &all [q_proj, *all]"))
    assert (problem.code, problem.range.start) == ("frontmatter-too-large", Position(4, 32))
    assert "refers to the value that it stands in" in problem.message


def floats(path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every key of the schema that takes a number with a fraction."""
    for key in keys_at(path):
        here = (*path, key)
        info = describe_key(here)
        if info is not None and "number" in info.type:
            yield here
        for below in (here, (*here, "one"), (*here, 0)):
            yield from floats(below)


def test_the_walk_over_the_schema_finds_the_numbers() -> None:
    found = {".".join(map(str, path)) for path in floats()}
    assert {"training.learning_rate", "training.gate.lr", "training.adapters.one.learning_rate"} <= found
    assert {"export.default_top_p", "training.preference.hyperparams.beta"} <= found


@pytest.mark.parametrize("path", tuple(floats()), ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "nan", "inf", "-Infinity", '"NaN"', "1e999", "1.0e+999"])
def test_a_number_that_is_not_finite_is_told_at_its_value(path: tuple[str, ...], value: str) -> None:
    *above, key = path
    lines = [f"{'  ' * depth}{name}:" for depth, name in enumerate(above)]
    indent = "  " * len(above)
    found = document(*lines, f"{indent}{key}: {value}")
    problem = only(found)
    start = len(f"{indent}{key}: ")
    assert (problem.code, problem.range) == ("bad-value", span(3 + len(above), start, start + len(value)))
    assert f"`{'.'.join(path)}` can't be `{value}`: expected a" in problem.message
    assert "finite" in problem.message or " to " in problem.message or "at most" in problem.message
    assert found.frontmatter is None
    assert not found.trainable


def test_missing_keys_are_told_at_the_opening_delimiter() -> None:
    found = parse("---\n---\n")
    assert told(found) == [("missing-key", span(0, 0, 3)), ("missing-key", span(0, 0, 3))]
    assert told(document("training: {sources: [{include: [a]}]}")) == [("missing-key", span(3, 21, 35))]


@pytest.mark.parametrize(
    ("yaml", "advice"),
    [
        ("training:\n\tlora_r: 8", "Indent with blanks; YAML takes no tabs"),
        ("training:\n  lora_r:\t8", "Indent with blanks; YAML takes no tabs"),
        ("system_prompt: @me", "Put the value into quotes"),
        ("system_prompt: *be brief*", "Put the value into quotes"),
        ("system_prompt: 'be brief", "Close the quote"),
        ("training: {lora_r: 8", "Close the bracket, and put commas between its values"),
        ("system_prompt: You: be brief", "Put a value that holds a colon into quotes"),
        ("training:\n  lora_r: 8\n    lora_alpha: 3", "indent the keys of one level alike"),
        ("training\nx: 1", "Write `key: value`"),
        ("system_prompt: - a\n  - b", "Begin the list on the line below its key"),
        ("- a", "Indent what belongs together alike"),
    ],
)
def test_what_yaml_refuses_is_told_with_what_to_do(yaml: str, advice: str) -> None:
    (problem,) = document(yaml).problems
    assert problem.code == "frontmatter-yaml"
    assert problem.message.startswith("This frontmatter is not valid YAML: ")
    assert advice in problem.message and problem.message.endswith(".")


def test_yaml_errors_have_their_exact_place() -> None:
    assert told(document("training: {lora_r: 8")) == [("frontmatter-yaml", span(3, 20, 20))]
    assert told(document("\tx: 1")) == [("frontmatter-yaml", span(3, 0, 1))]
    assert told(document("x: a\u2028b: \x07")) == [("frontmatter-yaml", span(3, 8, 9))]
    assert told(document("x: !!python/object:os.system ls")) == [("frontmatter-yaml", span(3, 3, 4))]
    assert told(document("x: 2026-13-45")) == [("frontmatter-yaml", span(3, 3, 4))]


def test_a_duplicate_key_is_a_warning_with_both_places() -> None:
    found = document("training: {seed: 1}", "training: {lora_r: 2}")
    problem = only(found)
    assert (problem.code, problem.range) == ("duplicate-key", span(4, 0, 8))
    assert problem.related[0].range == span(3, 0, 8)
    assert found.frontmatter is not None
    assert found.frontmatter.training.model_fields_set == {"lora_r"}
    assert ("training", "seed") not in found.keys


def test_merged_keys_are_no_duplicates() -> None:
    found = document("training: {adapters: {a: &a {lora_r: 4}, b: {<<: *a, lora_r: 5}}}")
    assert not found.problems
    assert found.frontmatter is not None
    adapters = found.frontmatter.training.adapters or {}
    assert [adapters[name].lora_r for name in "ab"] == [4, 5]


def test_a_key_that_yaml_does_not_read_as_text_is_told() -> None:
    assert "true or false" in only(document("yes: 2")).message
    assert only(document("training: {adapters: {1: {}, ab: {}}}")).range == span(3, 22, 23)


def test_limits_are_told() -> None:
    assert only(document("x: " + "[" * 65)).code == "frontmatter-too-large"
    assert only(document("x: &a [*a]")).range == span(3, 7, 8)
    assert only(document("# " + "x" * 300_000)).range == span(0, 0, 3)


def test_keys_have_places() -> None:
    found = document("training:", "  sources:", "    - path: a/b", "system_prompt: |", "  Be kind.", "", "  Be short.")
    assert found.keys["training",].value == Range(Position(4, 2), Position(5, 15))
    assert found.keys["training", "sources", 0, "path"].value == span(5, 12, 15)
    assert found.keys["system_prompt",].value == Range(Position(6, 15), Position(9, 11))
    assert found.frontmatter is not None
    assert found.frontmatter.system_prompt == "Be kind.\n\nBe short."
    assert found.frontmatter_range == Range(Position(0, 0), Position(10, 3))


@pytest.mark.parametrize("version", ["", "dlm_version: 1"])
def test_version_1_had_dpo_where_preference_is_now(version: str) -> None:
    dpo = "training: {dpo: {enabled: true, beta: 0.3, num_epochs: 2, reference: pre_dpo_adapter, old: 1}}"
    found = document(dpo, *([version] if version else []))
    assert found.frontmatter is not None
    assert found.frontmatter.dlm_version == SCHEMA_VERSION
    preference = found.frontmatter.training.preference
    assert (preference.enabled, preference.method, preference.reference) == (True, "dpo", "pre_adapter")
    assert (preference.hyperparams.beta, preference.hyperparams.num_epochs) == (0.3, 2)
    assert told(found) == [("ignored-key", span(3, dpo.index("old"), dpo.index("old") + 3))]
    assert found.trainable


def test_problems_of_a_migrated_key_are_told_where_it_is_written() -> None:
    assert told(document("training: {dpo: {beta: 2}}")) == [("bad-value", span(3, 23, 24))]


def test_versions_from_2_on_only_added_keys() -> None:
    assert only(document("dlm_version: 2", "training: {dpo: {}}")).code == "unknown-key"
    for version in range(2, SCHEMA_VERSION + 1):
        found = document(f"dlm_version: {version}", "training: {audio: {auto_resample: yes}}")
        assert found.frontmatter is not None
        assert found.frontmatter.dlm_version == SCHEMA_VERSION


def test_adapter_settings_do_not_mix() -> None:
    found = document("training: {gate: {enabled: yes}, adapters: {a: {}}, lora_r: 4, seed: 3, learning_rate: 1}")
    assert [(problem.code, problem.range.start.column) for problem in found.problems] == [
        ("conflicting-keys", 18),
        ("conflicting-keys", 52),
        ("conflicting-keys", 72),
    ]
    names = document("training: {adapters: {A: {}, b-c: {}}}")
    assert told(names) == [("bad-value", span(3, 22, 23)), ("bad-value", span(3, 29, 32))]


def test_delimiters_must_fill_their_lines() -> None:
    first = parse("--- \ndlm_id: x\n---\n\nhello")
    assert first.problems[0].code == "frontmatter-missing"
    assert [section.content for section in first.sections] == ["hello"]
    last = parse(f"---\ndlm_id: {ID}\nbase_model: m\n--- \nhello")
    assert told(last) == [("frontmatter-not-closed", span(0, 0, 3))]
    assert only(last).related[0].range == span(3, 0, 4)
    assert [section.content for section in last.sections] == ["hello"]
    assert not last.trainable
    assert told(parse("\ufeffhello")) == [("frontmatter-missing", span(0, 1, 6))]


def test_blank_lines_above_the_first_delimiter_are_removed_by_a_fix() -> None:
    problem = parse(f"\n \n---\ndlm_id: {ID}\nbase_model: m\n---\nhello").problems[0]
    (fix,) = problem.fixes
    assert (problem.code, fix.range.start, fix.range.end, fix.text) == (
        "frontmatter-missing",
        Position(0, 0),
        Position(2, 0),
        "",
    )


@pytest.mark.parametrize(
    ("text", "advice"),
    [("My notes", "dlm-lsp init --from"), ("dlm_id: x\n---\n", "three hyphens"), ("\n---\n", "above it")],
)
def test_a_text_without_frontmatter_is_told_how_to_get_one(text: str, advice: str) -> None:
    assert advice in parse(text).problems[0].message


def test_bytes_must_be_utf8() -> None:
    found = parse(b"---\nab\xffc")
    assert (only(found).code, only(found).range) == ("not-utf8", span(1, 2, 3))
    assert "byte 6" in only(found).message
    assert only(parse(f"---\ndlm_id: {ID}\nbase_model: m\n---\n\ud83d")).range == span(4, 0, 1)


def test_every_key_explains_itself() -> None:
    def walk(path: tuple[str | int, ...]) -> int:
        count = 0
        for name in keys_at(path):
            info = describe_key((*path, name))
            assert info is not None
            assert info.meaning.endswith(".")
            assert info.type
            assert info.expected
            assert info.required or info.default or "mapping" in info.type
            below = {"adapters": "any", "sources": 0}.get(name)
            count += 1 + walk((*path, name) if below is None else (*path, name, below))
        return count

    assert walk(()) == 64
    rank = describe_key(("training", "adapters", "any", "lora_r"))
    assert rank is not None
    assert (rank.type, rank.default, rank.bounds) == ("integer", "8", "1 to 256")
    batch = describe_key(("training", "micro_batch_size"))
    assert batch is not None
    assert (batch.allowed, batch.expected) == (("auto",), "`auto` or an integer of at least 1")
    assert describe_key(("training", "lora_rank")) is None
    assert describe_key(()) is None


def test_the_frontmatter_is_a_frozen_value() -> None:
    frontmatter = Frontmatter(dlm_id=ID, base_model="m")
    assert frontmatter == Frontmatter(dlm_id=ID, base_model="m")
    with pytest.raises(ValueError, match="frozen"):
        frontmatter.base_model = "n"  # type: ignore[misc]
