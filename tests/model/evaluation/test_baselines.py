"""What each baseline reads, and that none of them reads the answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.completer import Completer
from model.evaluation.baselines import bm25, copy_match, copy_window, definitions, jaccard, repocoder
from model.evaluation.run import request_for
from model.evaluation.sources import Sources
from model.loaded import LoadedModel
from model.request import Request
from tests.model.evaluation.holes import a_task

SECRET = "zebra_quagga_okapi"
TWIN = "def total(items):\n    return twin(items)\n\n\ndef other():\n    pass\n"


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    task = a_task(target=f"    return {SECRET}(items)")
    texts = {
        "shop/cart.py": task.text,
        "shop/twin.py": TWIN,
        "shop/price.py": "def price(item):\n    return item.sum\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "shop/latin.py").write_bytes(b"# \xe9\n")
    return Sources(tmp_path)


@pytest.fixture
def request_here() -> Request:
    return request_for(a_task(target=f"    return {SECRET}(items)"))


@pytest.mark.parametrize("rank", [jaccard, bm25, definitions])
def test_the_answer_is_not_among_what_is_read(rank, sources: Sources, request_here: Request) -> None:
    assert SECRET in sources.texts["shop/cart.py"]
    assert not any(SECRET in snippet.text for snippet in rank(sources, request_here))


@pytest.mark.parametrize("copy", [copy_window, copy_match])
def test_what_follows_the_most_similar_text_is_copied(copy, sources: Sources, request_here: Request) -> None:
    assert copy(sources, request_here).lstrip().startswith("return twin(items)" if copy is copy_match else "")
    assert SECRET not in copy(sources, request_here)


def test_windows_are_shown_a_step_further_down(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("\n".join(f"name_{n}" for n in range(60)))
    query = Request("here.py", "\n".join(f"name_{n}" for n in range(20, 40)), "")
    best = jaccard(Sources(tmp_path), query)[0]
    assert (best.first_line, best.last_line) == (31, 50)
    assert best.text.split("\n")[-1] == "name_49"


def test_what_the_prompt_does_not_show_of_this_file_is_read(tmp_path: Path) -> None:
    far = "\n".join(f"far_{n} = {n}" for n in range(20))
    near = "\n".join(f"# {n}" for n in range(1000))
    request = Request("here.py", f"{far}\n{near}\nfar_3 = far_4\n", "")
    assert any("far_15" in snippet.text for snippet in jaccard(Sources(tmp_path), request))


def test_the_second_round_of_repocoder_looks_for_what_the_first_wrote(
    tiny_model: LoadedModel, sources: Sources, request_here: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    found = sources.windows.jaccard
    monkeypatch.setattr(
        sources.windows, "jaccard", lambda text, *rest: asked.append(text) or found(text, *rest)
    )
    completion = repocoder(Completer(tiny_model), request_here, sources)
    first, second = asked
    assert first == request_here.prefix
    assert second.startswith(request_here.prefix)
    assert len(second) > len(first)
    assert completion.timings_ms["total"] >= completion.timings_ms["prefill"] > 0
