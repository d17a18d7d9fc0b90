"""A real VS Code (the workbench and extension host of code-server) in a real Chromium: keys in, what is seen out.

The browser's door takes keys and gives what a person would see; the extension host's, `api`, runs JavaScript with the
whole `vscode` API at hand (probe/probe.js).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.editors.neovim import WAIT_SECONDS, wait_for

ROOT = Path(__file__).absolute().parents[3]
HERE = Path(__file__).absolute().parent
EXTENSION = ROOT / "editors" / "vscode"
SCREENSHOTS = ROOT / "tests" / "editors" / "screenshots"
CURSOR = "‸"
REST_SECONDS = 0.4  # what moves on the screen has come to rest by then

# What no test is about: suggestions by others, the network, and what would move in a screenshot.
QUIET = {
    "chat.disableAIFeatures": True,
    "editor.cursorBlinking": "solid",
    "editor.minimap.enabled": False,
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": "off",
    "telemetry.telemetryLevel": "off",
    "window.commandCenter": False,
    "workbench.enableExperiments": False,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
}

# Only for people: nothing but the editor and the status bar, in letters that a smaller picture leaves readable.
LOOKS = {
    "breadcrumbs.enabled": False,
    "editor.fontSize": 18,
    "editor.renderLineHighlight": "none",
    "editor.stickyScroll.enabled": False,
    "remote.autoForwardPorts": False,
    "workbench.activityBar.location": "hidden",
    "workbench.colorTheme": "Default Dark Modern",
}

# The ghost text: in the cursor's line, and in lines of its own below. The editor draws spaces as no-break spaces.
GHOST = """(() => {
  const inline = [...document.querySelectorAll('.view-line .ghost-text-decoration')].map((node) => node.textContent);
  const below = [...document.querySelectorAll('.suggest-preview-text .view-line')].map((line) => line.textContent);
  return [inline.join(''), ...below].join('\\n').replaceAll('\\u00a0', ' ');
})()"""

# What is written on the screen that the document does not hold.
ATTACHED = """[...document.querySelectorAll('.view-line span')]
  .map((span) => getComputedStyle(span, '::after').content)
  .filter((content) => content.startsWith('"') && content !== '""')
  .map((content) => content.slice(1, -1).replaceAll('\\u00a0', ' '))"""


def find_installation() -> Path | None:
    """Where tests/editors/install_vscode.sh has put things: HEF_VSCODE, else .editors/vscode; None when nowhere."""
    prefix = Path(os.environ.get("HEF_VSCODE") or ROOT / ".editors/vscode")
    return prefix if (prefix / "installed").is_file() and shutil.which("chromium") else None


def build_extension(folder: Path) -> Path:
    """The extension as users get it."""
    package = folder / "hef-lsp.vsix"
    command = ["npm", "run", "package", "--", "--out", str(package)]
    done = subprocess.run(command, cwd=EXTENSION, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return package


class Workbench:
    """One VS Code of its own, with our extension installed from its package and nothing of the user's."""

    def __init__(
        self,
        prefix: Path,
        home: Path,
        package: Path,
        *,
        settings: Mapping[str, Any],
        environment: Mapping[str, str],
        trust: bool = True,
    ) -> None:
        """Without `trust` the workspace is one that the user has not said to trust."""
        self._home = home
        self._package = package
        self._trust = trust
        self._packages = prefix / "node"
        self._node = str(self._packages / "node_modules" / "node" / "bin" / "node")
        self._server_main = prefix / "code-server/node_modules/code-server/lib/vscode/out/server-main.js"
        self._environment = {**os.environ, **environment, "HOME": str(home), "HEF_PROBE": str(home / "probe")}
        self._port = free_port()
        self._processes = ExitStack()
        for kind in ("User", "Machine"):  # a setting that names a program counts only where the program is
            file = home / "data" / "data" / kind / "settings.json"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps({**QUIET, **settings}), encoding="utf-8")

    def start(self, place: Path, extensions: Sequence[Path] = ()) -> None:
        """Show a folder or a .code-workspace file; `extensions` are run from their folders as well."""
        self._code_server("--install-extension", str(self._package)).wait(120)
        options = ["--host", "127.0.0.1", "--port", str(self._port), "--without-connection-token"]
        options += ["--disable-workspace-trust"] if self._trust else []
        server = self._code_server(*options, "--enable-smoke-test-driver")
        self._processes.callback(ended, server)
        wait_for(lambda: is_open(self._port), "VS Code's server", self._log)
        command = [self._node, str(HERE / "driver.mjs"), str(self._packages), str(shutil.which("chromium"))]
        self._browser = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._processes.callback(ended, self._browser)
        self._open(place, [HERE / "probe", *extensions])
        self._door = self._knock()

    def quit(self) -> None:
        self._processes.close()

    def api(self, code: str, **values: Any) -> Any:
        """What the body of an asynchronous JavaScript function returns, in the extension host."""
        self._door.write(json.dumps({"code": code, "values": values}) + "\n")
        self._door.flush()
        return value_of(self._door.readline(), code)

    def edit(self, file: Path, text: str) -> None:
        """Write a file, open it alone with the cursor at `CURSOR`, which is not written, else at its end."""
        before, _, after = text.partition(CURSOR)
        file.write_bytes((before + after).encode("utf-8"))
        self.api(
            """await vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor');
            const document = await vscode.workspace.openTextDocument(path);
            const cursor = document.positionAt(offset);
            await vscode.window.showTextDocument(document, { selection: new vscode.Range(cursor, cursor) })""",
            path=str(file),
            offset=len(before.encode("utf-16-le")) // 2,
        )
        self.settle()

    def settle(self) -> None:
        """Give a new editor the time a person would: for keys that come sooner VS Code asks nobody."""
        wait_for(lambda: self.evaluate("!!document.querySelector('.monaco-editor.focused')"), "the editor")
        time.sleep(REST_SECONDS)

    def command(self, name: str, *arguments: Any) -> Any:
        return self.api(
            "return await vscode.commands.executeCommand(name, ...given)", name=name, given=arguments
        )

    def configure(self, **settings: Any) -> None:
        """Change the user's settings; a double underscore stands for the dot, None for the default."""
        for name, value in settings.items():
            self.api(
                "await vscode.workspace.getConfiguration().update(name, value ?? undefined, true)",
                name=name.replace("__", "."),
                value=value,
            )

    def text(self) -> str:
        """Of the document that is edited, with its own line ends."""
        text: str = self.api("return vscode.window.activeTextEditor.document.getText()")
        return text

    def before_cursor(self) -> str:
        text: str = self.api(
            """const { document, selection } = vscode.window.activeTextEditor;
            return document.getText(new vscode.Range(new vscode.Position(0, 0), selection.active))"""
        )
        return text

    def press(self, *keys: str) -> None:
        """Playwright's names: "Tab", "Control+ArrowRight"."""
        self._browse("press", *keys)

    def type(self, text: str, delay_ms: float = 0) -> None:
        self._browse("type", text, delay_ms)

    def click(self, selector: str) -> None:
        self._browse("click", selector)

    def hover(self, selector: str) -> None:
        self._browse("hover", selector)

    def evaluate(self, javascript: str) -> Any:
        """In the page."""
        return self._browse("evaluate", javascript)

    def ghost(self) -> str:
        """The ghost text on the screen."""
        text: str = self.evaluate(GHOST)
        return text

    def attached(self) -> list[str]:
        """What is written on the screen behind text of the document, e.g. what a next edit would make of it."""
        texts: list[str] = self.evaluate(ATTACHED)
        return texts

    def shown_line(self) -> str:
        """The line with ghost text in it, as it is on the screen; empty when there is none."""
        line: str = self.evaluate(
            "(document.querySelector('.view-line:has(.ghost-text-decoration)')?.textContent ?? '')"
            ".replaceAll('\\u00a0', ' ')"
        )
        return line

    def notifications(self) -> list[str]:
        """The messages in the notification center, newest first; a workbench under test shows them only there, and
        they take the keys until they are cleared."""
        self.command("notifications.showList")
        texts: list[str] = self.evaluate(
            "[...document.querySelectorAll('.notification-list-item-message')].map((item) => item.textContent)"
        )
        return texts

    def wait_for_notification(self, part: str) -> str:
        """The newest message, once it has `part`."""
        wait_for(
            lambda: part in "".join(self.notifications()[:1]), repr(part), lambda: str(self.notifications())
        )
        return self.notifications()[0]

    def clear_notifications(self) -> None:
        for command in ("notifications.clearAll", "workbench.action.focusActiveEditorGroup"):
            self.command(command)

    def language_status(self) -> str:
        """What the status bar says beside the language's name."""
        label: str = self.evaluate(
            "document.querySelector('[id=\"status.languageStatus\"]')?.getAttribute('aria-label') ?? ''"
        )
        return label

    def resize(self, width: int, height: int) -> None:
        """Make the window so many pixels large."""
        self._browse("resize", width, height)

    def screenshot(self, name: str) -> None:
        """Left in SCREENSHOTS."""
        time.sleep(REST_SECONDS)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self._browse("screenshot", str(SCREENSHOTS / f"vscode-{name}.png"))

    def wait_for_ghost(self, text: str) -> None:
        wait_for(
            lambda: self.ghost() == text,
            f"the ghost text {text!r}",
            lambda: f"{self.ghost()!r}; {self.text()!r}",
        )

    def wait_for_text(self, text: str) -> None:
        wait_for(lambda: self.text() == text, f"the text {text!r}", lambda: repr(self.text()))

    def wait_for_status(self, part: str) -> None:
        wait_for(lambda: part in self.language_status(), f"the status {part!r}", self.language_status)

    def _code_server(self, *options: str) -> subprocess.Popen[bytes]:
        folders = [
            "--server-data-dir",
            str(self._home / "data"),
            "--extensions-dir",
            str(self._home / "extensions"),
        ]
        command = [
            self._node,
            str(self._server_main),
            "--accept-server-license-terms",
            "--telemetry-level",
            "off",
        ]
        with (self._home / "server.log").open("a") as log:
            return subprocess.Popen(
                [*command, *folders, *options], env=self._environment, stdout=log, stderr=log
            )

    def _open(self, place: Path, extensions: Sequence[Path]) -> None:
        remote = f"vscode-remote://127.0.0.1:{self._port}"
        payload = [["extensionDevelopmentPath", f"{remote}{folder}"] for folder in extensions]
        payload += [["extensionTestsPath", f"{remote}{HERE / 'probe' / 'probe.js'}"], ["skipWelcome", "true"]]
        kind = "folder" if place.is_dir() else "workspace"
        query = f"{kind}={quote(str(place))}&payload={quote(json.dumps(payload))}"
        self._browse("open", f"http://127.0.0.1:{self._port}/?{query}")

    def _knock(self) -> Any:
        door = self._home / "probe"
        client = self._processes.enter_context(socket.socket(socket.AF_UNIX))
        wait_for(lambda: client.connect_ex(str(door)) == 0, "the extension host", self._log)
        client.settimeout(WAIT_SECONDS)
        return self._processes.enter_context(client.makefile("rw", encoding="utf-8"))

    def _browse(self, method: str, *arguments: Any) -> Any:
        assert self._browser.stdin is not None
        assert self._browser.stdout is not None
        self._browser.stdin.write(json.dumps({"method": method, "args": arguments}) + "\n")
        self._browser.stdin.flush()
        return value_of(self._browser.stdout.readline(), method)

    def _log(self) -> str:
        return (self._home / "server.log").read_text(encoding="utf-8")[-2000:]


def ended(process: subprocess.Popen[Any]) -> None:
    """Ask a process to end, by closing its input where it has one, and wait for it."""
    if process.stdin is not None:
        process.stdin.close()
    else:
        process.terminate()
    process.wait(30)
    if process.stdout is not None:
        process.stdout.close()


def value_of(answer: str, question: str) -> Any:
    """Raises AssertionError with the other side's error."""
    assert answer, f"no answer to {question}"
    given = json.loads(answer)
    assert "error" not in given, f"{question}: {given['error']}"
    return given["value"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
