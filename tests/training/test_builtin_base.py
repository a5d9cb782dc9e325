"""The shipped base ``builtin:tiny``: it is small, complete, offline, really trained, and quick to teach."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

FOLDER = Path(__file__).parents[2] / "dlm_lsp" / "training" / "builtin" / "tiny"
SPECIALS = {"<|pad|>": 0, "<|endoftext|>": 1, "<|im_start|>": 2, "<|im_end|>": 3}
IM_END = SPECIALS["<|im_end|>"]

ENGLISH = (
    "Return a list of all the names in the file.",
    "If the argument is not a string, an exception is raised.",
    "This function returns the number of items in the list.",
    "The value of the object can be used as a key in a dictionary.",
    "The default is to read the first line of the file and return it as a string.",
)
# Nats a token, the five as one docstring. An untrained model is at ln 2048 = 7.6; this one measured 3.17.
ENGLISH_BOUND = 3.4

ODD_TEXTS = (
    "naïve façade — Ørsted, žluťoučký kůň, Ελλάδα, Привет, 漢字, かな, עברית, हिन्दी",
    "👩‍🚀🏳️‍🌈 e\u0301 \u200b\u00a0\ufeff \x00\x07\t\r\n\n\n   trailing  ",
    "1234567890 3.14159 0xFF\n\n\n\tdef f(x):\n\t\treturn x\n",
    "",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The model is so small that more threads only slow it down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)
    return loaded


def load() -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(FOLDER, local_files_only=True, dtype=torch.float32)


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return load().eval()


def render(tokenizer: PreTrainedTokenizerBase, *turns: tuple[str, str], prompt: bool = False) -> list[int]:
    messages = [{"role": role, "content": content} for role, content in turns]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=prompt, return_dict=False)
    assert isinstance(ids, list)
    return ids


def answer(model: LlamaForCausalLM, prompt: list[int], limit: int = 64) -> list[int]:
    """Greedy continuation of a prompt, by the folder's own generation settings."""
    ids = torch.tensor([prompt])
    with torch.no_grad():
        out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit)
    return list(out[0, len(prompt) :].tolist())


def test_folder_is_small_and_complete() -> None:
    names = {p.name for p in FOLDER.iterdir()}
    assert {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json", "chat_template.jinja", "LICENSE-NOTE", "training.json",
    } <= names  # fmt: skip
    assert sum(p.stat().st_size for p in FOLDER.iterdir()) <= 8_000_000


def test_training_facts() -> None:
    facts = json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))
    assert len(facts["corpus_sha256"]) == 64
    assert facts["tokens_seen"] >= 1_000_000
    assert facts["held_out_text_loss"] < 4.0
    assert facts["held_out_answer_loss"] < 2.0


def test_special_tokens(tokenizer: PreTrainedTokenizerBase, model: LlamaForCausalLM) -> None:
    assert {t: tokenizer.convert_tokens_to_ids(t) for t in SPECIALS} == SPECIALS
    assert tokenizer.pad_token == "<|pad|>"
    assert tokenizer.eos_token == "<|im_end|>"
    assert len(tokenizer) == model.config.vocab_size
    assert model.generation_config is not None
    assert model.generation_config.eos_token_id == [IM_END, SPECIALS["<|endoftext|>"]]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_round_trips(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    bare = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    ids = bare.encode(text).ids
    assert bare.decode(ids) == text
    assert tokenizer.encode(text) == ids
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("reply", ["Paris.", " leading", "\n\nlines", "\tx = 1\n", "", "12\n\n34 ", "\r\nodd", "é漢"])
def test_prompt_is_a_prefix_of_the_whole_render(tokenizer: PreTrainedTokenizerBase, reply: str) -> None:
    for before in (
        [("user", "Why?")],
        [("system", "Be brief."), ("user", "a\n"), ("assistant", "b"), ("user", "")],
    ):
        prompt = render(tokenizer, *before, prompt=True)
        whole = render(tokenizer, *before, ("assistant", reply))
        tail = [*tokenizer.encode(reply), IM_END, *tokenizer.encode("\n")]
        assert whole == prompt + tail


def test_the_script_writes_what_the_template_renders(
    tokenizer: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    from builtin_base import corpus, exchanges

    docs = [corpus.Doc("os.walk", "Walk the tree from the top.\n\nThe order of the names is not defined.")]
    chats = [exchanges.Grammar(5, docs).chat() for _ in range(2)]
    assert chats[0] == chats[1]
    grammar = exchanges.Grammar(6, docs)
    for _ in range(200):
        chat = grammar.chat()
        messages = [{"role": role, "content": content} for role, content in chat]
        assert tokenizer.apply_chat_template(messages, tokenize=False) == exchanges.render(chat)
        assert chat[-1][0] == "assistant"
        assert all(content for _, content in chat)


def test_it_has_learned_english(tokenizer: PreTrainedTokenizerBase, model: LlamaForCausalLM) -> None:
    name = [SPECIALS["<|endoftext|>"], *tokenizer.encode("demo.text\n\n")]
    ids = torch.tensor([name + tokenizer.encode(" ".join(ENGLISH))])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, len(name) - 1 : -1]
    loss = float(torch.nn.functional.cross_entropy(logits, ids[0, len(name) :]))
    assert loss < ENGLISH_BOUND


@pytest.mark.parametrize("question", ["Hello!", "What is the capital of France?", "Who are you?"])
def test_answers_end_by_themselves(tokenizer: PreTrainedTokenizerBase, model: LlamaForCausalLM, question: str) -> None:
    ids = answer(model, render(tokenizer, ("user", question), prompt=True))
    assert ids[-1] == IM_END
    assert len(ids) > 1


def test_it_reads_its_context(tokenizer: PreTrainedTokenizerBase, model: LlamaForCausalLM) -> None:
    turns = (("user", "Mira lives in Tolna.\nWhere does Mira live?"),)
    ids = answer(model, render(tokenizer, *turns, prompt=True))
    assert "Tolna" in tokenizer.decode(ids)


def test_lora_learns_a_new_exchange(tokenizer: PreTrainedTokenizerBase) -> None:
    torch.manual_seed(0)
    question, reply = (
        "Who keeps the lighthouse at Orvane?",
        "Mira Tolle has kept it since 1962, with two goats.",
    )
    prompt = render(tokenizer, ("user", question), prompt=True)
    ids = torch.tensor([render(tokenizer, ("user", question), ("assistant", reply))])
    labels = ids.clone()
    labels[0, : len(prompt)] = -100
    config = LoraConfig(
        r=8, lora_alpha=16, lora_dropout=0.05, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"],
        task_type="CAUSAL_LM",
    )  # fmt: skip
    taught = get_peft_model(load(), config)
    optimizer = torch.optim.AdamW([p for p in taught.parameters() if p.requires_grad], lr=2e-3)
    taught.train()
    for _ in range(60):
        taught(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    taught.eval()
    assert tokenizer.decode(answer(taught, prompt), skip_special_tokens=False) == reply + "<|im_end|>"
