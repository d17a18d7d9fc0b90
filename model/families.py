"""How families of coders were taught to fill a hole, and to name what they read: their control tokens, as data.

A family is known by its tokenizer's control tokens. Sources: Qwen2.5-Coder's report (arXiv 2409.12186, figures 3 and 4)
and Qwen3-Coder #343, where a maintainer confirms how a hole stands among files, as llama.cpp #9874 and Continue #10612
write it; StarCoder2 (arXiv 2402.19173, section 5.1; starcoder2 #10); DeepSeek-Coder's README, "Repository Level Code
Completion"; CodeLlama (arXiv 2308.12950); Codestral as Continue's template of several files writes it; Granite Code
(arXiv 2405.04324), whose tokens are StarCoder's (arXiv 2305.06161).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

FimOrder = Literal["spm", "psm", "ltr"]


@dataclass(frozen=True)
class FimTokens:
    """Ids of the control tokens. Optional ones are None where the checkpoint has none.

    A checkpoint that was never taught to fill a hole has `end` for the first three: it marks where one text ends and
    another begins.
    """

    prefix: int
    suffix: int
    middle: int
    end: int  # end of text: what the model writes when the middle is complete
    file_sep: int | None = None
    repo_name: int | None = None
    pad: int | None = None
    begin: int | None = None  # of every text

    @property
    def stops(self) -> frozenset[int]:
        """Tokens that end a middle. Base models run on into the next file or pad behind the hole (papers 2.6)."""
        return frozenset(i for i in (self.end, self.file_sep, self.repo_name, self.pad) if i is not None)

    @property
    def fills(self) -> bool:
        """Whether the checkpoint knows how to fill a hole."""
        return self.prefix != self.end


@dataclass(frozen=True)
class Family:
    """Names of the control tokens, "" for one that the family has not, and where names of files stand.

    `title`: of a document, with its path, behind `file_sep` where there is one. `repository`: with its name, behind
    `repo_name`. `hole`: where the title of the file with the hole stands: nowhere, since nothing published says where;
    before the hole's first token; behind it (the prefix begins with it); or with all other documents in the prefix.
    """

    prefix: str
    suffix: str
    middle: str
    end: str
    file_sep: str = ""
    repo_name: str = ""
    pad: str = ""
    begin: str = ""
    order: FimOrder = "psm"
    title: str = "# {}\n"
    repository: str = "{}\n"
    hole: Literal["untitled", "behind title", "before title", "last document"] = "untitled"

    @property
    def needed(self) -> tuple[str, ...]:
        return self.prefix, self.suffix, self.middle, self.end

    @property
    def named(self) -> tuple[str, ...]:
        """All of its tokens, in the order of `FimTokens`."""
        return (*self.needed, self.file_sep, self.repo_name, self.pad, self.begin)


QWEN = Family(  # and our own, which reads another order and was taught no titles
    prefix="<|fim_prefix|>",
    suffix="<|fim_suffix|>",
    middle="<|fim_middle|>",
    end="<|endoftext|>",
    file_sep="<|file_sep|>",
    repo_name="<|repo_name|>",
    pad="<|fim_pad|>",
    title="{}\n",
    hole="behind title",
)
STARCODER2 = Family(
    prefix="<fim_prefix>",
    suffix="<fim_suffix>",
    middle="<fim_middle>",
    end="<|endoftext|>",
    file_sep="<file_sep>",
    repo_name="<repo_name>",
    pad="<fim_pad>",
    title="{}\n",
    repository="{}",
    hole="before title",
)
GRANITE = replace(STARCODER2, file_sep="<filename>", repo_name="<reponame>", hole="untitled")
DEEPSEEK = Family(
    prefix="<｜fim▁begin｜>",  # noqa: RUF001  # its own vertical bars
    suffix="<｜fim▁hole｜>",  # noqa: RUF001
    middle="<｜fim▁end｜>",  # noqa: RUF001
    end="<｜end▁of▁sentence｜>",  # noqa: RUF001
    begin="<｜begin▁of▁sentence｜>",  # noqa: RUF001
    title="#{}\n",
    hole="behind title",
)
CODELLAMA = Family(prefix="▁<PRE>", suffix="▁<SUF>", middle="▁<MID>", end="▁<EOT>", begin="<s>")
CODESTRAL = Family(
    prefix="[PREFIX]",
    suffix="[SUFFIX]",
    middle="[PREFIX]",  # the prefix stands last, and the answer goes on from it
    end="</s>",
    begin="<s>",
    order="spm",
    title="+++++ {}\n",
    hole="last document",
)
_KNOWN = (QWEN, STARCODER2, GRANITE, DEEPSEEK, CODELLAMA, CODESTRAL)
_END = "<|endoftext|>"
_ONE_WAY = Family(prefix=_END, suffix=_END, middle=_END, end=_END, order="ltr")  # never taught to fill a hole


def family_of(tokens: Mapping[str, int]) -> tuple[Family, FimTokens] | None:
    """The family that has these control tokens, with their ids: all of its tokens, or at least those that it needs.
    None: not even an end of text."""
    whole = (family for family in _KNOWN if tokens.keys() >= set(filter(None, family.named)))
    able = (family for family in (*_KNOWN, _ONE_WAY) if tokens.keys() >= set(family.needed))
    family = next(chain(whole, able), None)
    if family is None:
        return None
    ids = [tokens.get(name) for name in family.named]
    return family, FimTokens(*ids)  # type: ignore[arg-type]  # the needed ones are there
