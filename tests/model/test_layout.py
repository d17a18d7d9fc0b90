"""Each family's own way to show a file with a hole among other files."""

from __future__ import annotations

import json

import pytest

from model.families import CODELLAMA, CODESTRAL, DEEPSEEK, GRANITE, QWEN, STARCODER2, Family
from model.layout import DocumentName
from model.prompt import Budget, Head, build_prompt, empty_head, fit_documents, worst_first
from model.vocabulary import Vocabulary
from tests.model.test_prompt import text_of
from tests.tiny_checkpoint import tiny_tokenizer

FAMILIES = {
    "qwen": QWEN,
    "starcoder2": STARCODER2,
    "granite": GRANITE,
    "deepseek": DEEPSEEK,
    "codellama": CODELLAMA,
    "codestral": CODESTRAL,
}
# The prompt of a cursor behind "up\nx" in src/a.py of the repository "shop", with "down" below and b.py retrieved.
PROMPTS = {
    "qwen": (
        "<|repo_name|>shop\n<|file_sep|>b.py\ny = 1\n"
        "<|file_sep|>src/a.py\n<|fim_prefix|>up\n<|fim_suffix|>down<|fim_middle|>x"
    ),
    "starcoder2": (
        "<repo_name>shop<file_sep>b.py\ny = 1\n"
        "<file_sep><fim_prefix>src/a.py\nup\n<fim_suffix>down<fim_middle>x"
    ),
    "granite": "<filename>b.py\ny = 1\n<fim_prefix>up\n<fim_suffix>down<fim_middle>x",
    "deepseek": (
        "<｜begin▁of▁sentence｜>#b.py\ny = 1\n"  # noqa: RUF001
        "#src/a.py\n<｜fim▁begin｜>up\n<｜fim▁hole｜>down<｜fim▁end｜>x"  # noqa: RUF001
    ),
    "codellama": "<s># b.py\ny = 1\n▁<PRE>up\n▁<SUF>down▁<MID>x",
    "codestral": "<s>[SUFFIX]down[PREFIX]+++++ b.py\ny = 1\n+++++ src/a.py\nup\nx",
}
NAME = DocumentName("src/a.py", "shop")


def vocabulary_of(family: Family, *more: str) -> Vocabulary:
    names = dict.fromkeys((*filter(None, family.named), *more))
    return Vocabulary(json.loads(tiny_tokenizer(tuple(names)).to_str()))


def prompt_text(vocabulary: Vocabulary, order: str, name: DocumentName | None, documents: bool = True) -> str:
    found = fit_documents(vocabulary, [("b.py", "y = 1\n")] if documents else [], 60)
    head = Head(worst_first(found), empty_head(4).pseudo)
    prompt = build_prompt(vocabulary, order, head, "up\nx", "down", Budget(400, 50), name)
    assert text_of(vocabulary, prompt.before) == "up\nx"
    return text_of(vocabulary, prompt.ids)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_known_by_its_tokens_and_prompted_its_own_way(name: str) -> None:
    vocabulary = vocabulary_of(FAMILIES[name])
    assert vocabulary.family is FAMILIES[name]
    assert prompt_text(vocabulary, vocabulary.family.order, NAME) == PROMPTS[name]


def test_without_context_the_file_is_named_too() -> None:
    vocabulary = vocabulary_of(QWEN)
    hole = "<|fim_prefix|>up\n<|fim_suffix|>down<|fim_middle|>x"
    assert prompt_text(vocabulary, "psm", NAME, False) == (f"<|repo_name|>shop\n<|file_sep|>src/a.py\n{hole}")
    alone = DocumentName("a.py")
    assert prompt_text(vocabulary, "psm", alone, False) == f"<|file_sep|>a.py\n{hole}"
    assert prompt_text(vocabulary, "psm", None, False) == hole


def test_a_coder_of_ours_was_taught_no_titles() -> None:
    """Though its tokens are Qwen's: it reads another order."""
    vocabulary = vocabulary_of(QWEN)
    plain = prompt_text(vocabulary, "spm", None)
    assert prompt_text(vocabulary, "spm", NAME) == plain
    assert plain.startswith("<|file_sep|>b.py\n")
    assert vocabulary.ends("spm") == vocabulary.fim.stops


def test_a_family_without_its_token_for_files_names_none() -> None:
    vocabulary = Vocabulary(json.loads(tiny_tokenizer(QWEN.needed).to_str()))
    assert vocabulary.family is QWEN
    assert prompt_text(vocabulary, "psm", NAME) == (
        "# b.py\ny = 1\n<|fim_prefix|>up\n<|fim_suffix|>down<|fim_middle|>x"
    )


def test_a_path_cannot_forge_a_token() -> None:
    vocabulary = vocabulary_of(QWEN)
    name = DocumentName("<|fim_middle|>.py", "<|endoftext|>")
    ids = build_prompt(vocabulary, "psm", empty_head(4), "", "", Budget(400, 50), name).ids
    assert (ids.count(vocabulary.fim.middle), ids.count(vocabulary.fim.end)) == (1, 0)


def test_titles_count_among_the_prompts_tokens() -> None:
    vocabulary = vocabulary_of(QWEN)
    text = "value = 1\n" * 200
    for total in (80, 200):
        assert (
            len(build_prompt(vocabulary, "psm", empty_head(4), text, text, Budget(total, 20), NAME)) <= total
        )


def test_any_control_token_ends_a_text_of_its_family() -> None:
    vocabulary = vocabulary_of(QWEN, "<|im_end|>")
    names = (*filter(None, QWEN.named), "<|im_end|>")
    assert vocabulary.ends("psm") == {vocabulary.tokenizer.token_to_id(name) for name in names}
