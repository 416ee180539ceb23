"""The window of `understudy doctor --calibrate`: presses its key, and shows how often that went down or up as cells.

python -m stages.live.calibration_window LOG PRESSES: appends {"what": "pressed" | "released", "t": UTC s} before it
does so and {"what": "drawn", "number": n, "t": UTC s} when the number n is on the screen.
"""

import json
import random
import sys
import threading
import time
import tkinter
from pathlib import Path

from stages.live.calibration import BITS, CELL_PX, HEIGHT, KEY, TITLE, WIDTH
from stages.live.clock import SteadyClock
from stages.live.keyboard import Fingers

BEFORE_S, AFTER_S = 3.0, 0.5
HELD_S, APART_S = (0.05, 0.2), (0.1, 0.3)  # a keyboard begins to repeat after more


class Window:
    def __init__(self, log: Path, presses: int):
        self._presses = presses
        self._clock, self._number, self._down = SteadyClock(), 0, False
        self._log = log.open("w", encoding="utf-8", buffering=1)
        self._root = tkinter.Tk()
        self._root.title(TITLE)
        self._root.geometry(f"{WIDTH}x{HEIGHT}+40+40")
        self._root.attributes("-topmost", True)
        self._canvas = tkinter.Canvas(self._root, width=WIDTH, height=HEIGHT, highlightthickness=0, bg="black")
        self._canvas.pack()
        self._cells = [
            self._canvas.create_rectangle(i * CELL_PX, 0, (i + 1) * CELL_PX, HEIGHT, width=0) for i in range(BITS)
        ]
        key = KEY.removeprefix("Key.").upper()
        self._root.bind(f"<KeyPress-{key}>", lambda _: self._key_is(down=True))
        self._root.bind(f"<KeyRelease-{key}>", lambda _: self._key_is(down=False))
        self._root.focus_force()
        self._root.after(200, self._draw)
        self._ended = False
        self._root.after(500, self._close_when_ended)

    def run(self) -> None:
        threading.Thread(target=self._press_all, name="presser", daemon=True).start()
        self._root.mainloop()

    def _press_all(self) -> None:
        fingers, generator = Fingers(), random.Random(0)
        time.sleep(BEFORE_S)
        for _ in range(self._presses):
            self._say("pressed")
            fingers.press(KEY)
            time.sleep(generator.uniform(*HELD_S))
            self._say("released")
            fingers.release(KEY)
            time.sleep(generator.uniform(*APART_S))
        time.sleep(AFTER_S)
        self._ended = True

    def _close_when_ended(self) -> None:
        if self._ended:
            self._root.destroy()
        else:
            self._root.after(100, self._close_when_ended)

    def _key_is(self, *, down: bool) -> None:
        if self._down != down:  # the keyboard repeats
            self._down = down
            self._number += 1
            self._draw()

    def _draw(self) -> None:
        for i, cell in enumerate(self._cells):
            on = self._number >> (BITS - 1 - i) & 1
            self._canvas.itemconfigure(cell, fill="white" if on else "black")
        self._root.update_idletasks()
        self._root.winfo_pointerx()  # a question that the X server answers after it has drawn
        self._say("drawn", number=self._number)

    def _say(self, what: str, **more: int) -> None:
        self._log.write(json.dumps({"what": what, **more, "t": self._clock.now()}) + "\n")


if __name__ == "__main__":
    Window(Path(sys.argv[1]), int(sys.argv[2])).run()
