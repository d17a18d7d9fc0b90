"""A terminal without a window: a program runs in it as it would in anyone's, and what it shows can be read or drawn."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib
import pyte
from PIL import Image, ImageDraw, ImageFont

SIZE = (96, 26)  # columns, rows
ASKS_FOR_FRAMES = b"\x1b[?2026$p"  # whether the terminal knows where a redraw begins and ends
HAS_FRAMES = b"\x1b[?2026;2$y"
# What pyte stumbles over: questions about the terminal, and kinds of underline.
UNKNOWN = re.compile(rb"\x1bP.*?\x1b\\|\x1b\[\?\d*[nu]|\x1b\[[\d;]*:[\d;:]*m", re.DOTALL)
FRAME_END = b"\x1b[?2026l"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONT = {
    False: ImageFont.truetype(str(FONTS / "DejaVuSansMono.ttf"), 16),
    True: ImageFont.truetype(str(FONTS / "DejaVuSansMono-Bold.ttf"), 16),
}
STAND_INS = {"✅": "✔", "❌": "✘"}  # for what the font lacks
CELL = (10, 20)  # pixels
PAPER, INK = "14161b", "e0e2ea"  # Neovim's own dark colors
NAMED = {
    "black": "07080d", "red": "ffc0b9", "green": "b3f6c0", "brown": "fce094", "blue": "a6dbff", "magenta": "ffcaff",
    "cyan": "8cf8f7", "white": "eef1f8", "brightblack": "4f5258",
}  # fmt: skip


class Terminal:
    """One program in one terminal. A thread of its own reads what the program writes, so that it never has to wait."""

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        folder: Path,
        size: tuple[int, int] = SIZE,
        on_frame: Callable[[pyte.Screen], None] = lambda screen: None,
    ) -> None:
        """`on_frame` gets the screen after each redraw, on the thread that reads."""
        self._columns, self._rows = size
        self._screen = pyte.Screen(*size)
        self._on_frame = on_frame
        self._lock = threading.Lock()
        self._master, slave = pty.openpty()
        # Neovim asks what the terminal can do; it is told as far as pyte knows.
        self._screen.write_process_input = lambda answer: os.write(self._master, answer.encode())
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", self._rows, self._columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            env={**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def lines(self) -> list[str]:
        """What stands on the screen."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    def picture(self, file: Path) -> None:
        """Draw the screen into a PNG file."""
        width, height = CELL
        image = Image.new("RGB", (self._columns * width, self._rows * height), f"#{PAPER}")
        draw = ImageDraw.Draw(image)
        with self._lock:
            for row in range(self._rows):
                for column in range(self._columns):
                    self._draw(draw, row, column)
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._master)

    def _read(self) -> None:
        stream = pyte.ByteStream(self._screen)
        while True:
            try:
                written = os.read(self._master, 65536)
            except OSError:  # the program has ended
                return
            if ASKS_FOR_FRAMES in written:
                os.write(self._master, HAS_FRAMES)
            with self._lock:
                *frames, rest = UNKNOWN.sub(b"", written).split(FRAME_END)
                for frame in frames:
                    stream.feed(frame)
                    self._on_frame(self._screen)
                stream.feed(rest)

    def _draw(self, draw: ImageDraw.ImageDraw, row: int, column: int) -> None:
        cell = self._screen.buffer[row][column]
        front, back = _rgb(cell.fg, INK), _rgb(cell.bg, PAPER)
        is_cursor = (self._screen.cursor.y, self._screen.cursor.x) == (
            row,
            column,
        ) and not self._screen.cursor.hidden
        if cell.reverse:
            front, back = back, front
        if is_cursor:
            front, back = f"#{PAPER}", f"#{INK}"
        left, top = column * CELL[0], row * CELL[1]
        draw.rectangle((left, top, left + CELL[0] - 1, top + CELL[1] - 1), fill=back)
        if cell.data.strip():
            draw.text((left, top + 1), STAND_INS.get(cell.data, cell.data), fill=front, font=FONT[cell.bold])


def _rgb(color: str, default: str) -> str:
    return "#" + (default if color == "default" else NAMED.get(color, color))
