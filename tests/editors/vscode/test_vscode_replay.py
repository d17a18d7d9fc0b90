"""Two hundred keystrokes: at no moment is anything shown that the server did not suggest for just that text, and the
document is what was typed and accepted."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from model.checkpoint.opening import EMBEDDED_FOLDER
from tests.editors.conftest import EMBEDDED_SERVER
from tests.editors.neovim import wait_for
from tests.editors.vscode.conftest import Session, Start
from tests.editors.vscode.transcript import Shown, suggestions
from tests.editors.vscode.workbench import Workbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(550)]

N_KEYS = 200
SOON_SECONDS = 1.0
PAUSES_MS = (0, 0, 20, 60, 150, 300)
ELSEWHERE = "nothing_known()"  # what the scripted model writes where it knows no text by heart
KNOWN = "from shapes import area\n" + "".join(
    f"\n\ndef scaled_{number}(width, height):\n    product_{number} = area(width, height) * {number}\n"
    f"    print('case {number}', product_{number})\n    return product_{number}\n"
    for number in range(40)
)
# The editor puts in nothing of its own, or only closers, which are typed over; so the document is known without asking.
PLAIN = {
    "editor.autoClosingBrackets": "never",
    "editor.autoClosingQuotes": "never",
    "editor.autoClosingDelete": "never",
    "editor.autoClosingOvertype": "always",
    "editor.autoIndent": "none",
    "editor.quickSuggestions": {"other": "off"},
    "editor.parameterHints.enabled": False,
    "editor.suggestOnTriggerCharacters": False,
}
# Each frame that the browser draws, what is in it: the line with ghost text, that line without, the lines below.
FRAMES = """(() => {
  window.frames_seen = [];
  const sample = () => {
    const line = document.querySelector('.view-line:has(.ghost-text-decoration)');
    if (line) {
      const leaves = [...line.querySelectorAll('span > span')];
      const typed = leaves.filter((leaf) => !leaf.classList.contains('ghost-text-decoration'));
      const below = [...document.querySelectorAll('.suggest-preview-text .view-line')];
      const frame = [line.textContent, typed.map((leaf) => leaf.textContent).join('')];
      frame.push(below.map((node) => node.textContent).join('\\n'));
      const text = JSON.stringify(frame).replaceAll('\\u00a0', ' ');
      if (window.frames_seen.at(-1) !== text) window.frames_seen.push(text);
    }
    requestAnimationFrame(sample);
  };
  sample();
})()"""
NEXT_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))"


@dataclass
class Typist:
    """Types a text with detours and takes what is suggested on the way. `text` is what the document should hold."""

    vscode: Workbench
    goal: str
    chance: random.Random
    text: str
    n_keys: int = 0
    n_taken: int = 0

    def act(self) -> None:
        choice = self.chance.random()
        if not self.goal.startswith(self.text):
            self._press(
                "Backspace" if choice < 0.6 else "x", self.text[:-1] if choice < 0.6 else self.text + "x"
            )
        elif choice < 0.62:
            character = self.goal[len(self.text)]
            self._press("Enter" if character == "\n" else character, self.text + character)
        elif choice < 0.70:
            self._press("x", self.text + "x")
        elif choice < 0.92:
            self._take(whole=choice < 0.78)
        elif choice < 0.96:
            self._press("Escape", self.text)
        else:
            self._press("ArrowLeft", self.text)
            self._press("ArrowRight", self.text)

    def _press(self, key: str, text: str) -> None:
        self.vscode.press("Space" if key == " " else key)
        self.text = text
        self.n_keys += 1

    def finish_line(self) -> None:
        """Then closers that the editor put in are typed over, and the document is known again."""
        while not self.goal.startswith(self.text):
            self._press("Backspace", self.text[:-1])
        for character in self.goal[len(self.text) :].partition("\n")[0]:
            self._press(character, self.text + character)

    def _take(self, *, whole: bool) -> None:
        """Accept what is on the screen, or comes up soon, by key; all of it or its first word."""
        end = time.monotonic() + SOON_SECONDS
        while not self.vscode.ghost() and time.monotonic() < end:
            self.vscode.evaluate(NEXT_FRAMES)
        self.vscode.evaluate(NEXT_FRAMES)
        ghost, line = self.vscode.ghost(), self.vscode.shown_line()
        if not ghost.strip() or ghost[:1].isspace():
            return  # Tab indents there
        wait_for(lambda: self.vscode.before_cursor() == self.text, repr(self.text), self.vscode.text)
        self._press("Tab" if whole else "Control+ArrowRight", self.text)
        wait_for(lambda: self.vscode.before_cursor() != self.text, "the acceptance", self.vscode.text)
        taken, n_above = self.vscode.before_cursor(), self.text.count("\n")
        assert taken.startswith(self.text), (taken[-200:], self.text[-200:])
        if whole:
            assert self.vscode.text().split("\n")[n_above:] == [line, *ghost.split("\n")[1:]]
        else:
            assert line.startswith(taken.split("\n")[n_above])
        self.text = taken
        self.n_taken += 1


def replay(session: Session, name: str, goal: str, start: str, kills_at: int | None = None) -> Typist:
    """Type `goal` from `start` on and hold what was seen against what the server has said; it is killed after so many
    keys."""
    file = session.folder / name
    session.vscode.edit(file, start)
    session.vscode.evaluate(FRAMES)
    typist = Typist(session.vscode, goal, random.Random(name), start)
    while typist.n_keys < N_KEYS:
        if kills_at is not None and typist.n_keys >= kills_at:
            os.kill(session.server_pids()[-1], signal.SIGKILL)
            kills_at = None
        typist.act()
        time.sleep(typist.chance.choice(PAUSES_MS) / 1e3)
    typist.finish_line()
    session.vscode.wait_for_text(typist.text)
    session.vscode.command("workbench.action.files.save")
    wait_for(lambda: file.read_text(encoding="utf-8") == typist.text, "the saved file")
    suggested = suggestions(session.messages(), file.as_uri())
    begun = {replace(shown, below=()) for shown in suggested}  # VS Code draws the lines below a frame later
    unknown = [(typed, shown) for typed, shown in frames(session) if shown not in suggested | begun]
    assert not unknown, "\n".join(map(str, unknown))
    return typist


def frames(session: Session) -> Iterator[tuple[str, Shown]]:
    """(the line as typed, what was shown) of each frame that differs from the one before."""
    for line, typed, below in session.vscode.evaluate("window.frames_seen.map((frame) => JSON.parse(frame))"):
        yield typed, Shown(line, tuple(below.split("\n")) if below else ())


@pytest.mark.parametrize(("closers", "kills_at"), [("never", None), ("always", None), ("never", N_KEYS // 2)])
def test_two_hundred_keystrokes_against_a_scripted_model(
    start_vscode: Start, closers: str, kills_at: int | None
) -> None:
    settings = PLAIN | {"editor.autoClosingBrackets": closers, "editor.autoClosingQuotes": closers}
    session = start_vscode(settings=settings, targets=[KNOWN], otherwise=ELSEWHERE)
    session.vscode.edit(session.folder / "first.py", "")
    session.vscode.wait_for_status("Ready")
    typist = replay(session, "scripted.py", KNOWN, "", kills_at)
    assert len(session.server_pids()) == (1 if kills_at is None else 2)
    assert typist.n_taken >= 10
    lines = KNOWN.split("\n")
    seen = list(frames(session))
    assert len(seen) >= 50
    wrong = [
        (typed, shown)
        for typed, shown in seen
        if shown.line not in lines and not (ELSEWHERE in shown.line and typed not in lines)
    ]
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.skipif(not EMBEDDED_FOLDER.is_dir(), reason="this checkout has no embedded model")
def test_two_hundred_keystrokes_against_the_embedded_model(start_vscode: Start) -> None:
    settings = PLAIN | {
        "hef-lsp.model.deadlineMs": 5000,
        "hef-lsp.completion.minConfidence": 0,
    }  # much to look at
    session = start_vscode(server=EMBEDDED_SERVER, settings=settings)
    session.vscode.edit(session.folder / "first.py", "")
    session.vscode.wait_for_status("Ready")
    replay(session, "embedded.py", KNOWN, KNOWN[:400])
    assert len(list(frames(session))) >= 10
