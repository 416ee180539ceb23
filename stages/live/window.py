"""The little window of the recorder, by tkinter: it stays on top, shows how the recording goes and takes orders.

tkinter must run in the main thread, so the recorder gets another one.
"""

import threading
from collections.abc import Callable

from stages.live.recorder import Recorder, Status, Switches
from stages.live.screen import require_display

TITLE = "understudy recorder"
REFRESH_MS = 200
NO_TK = (
    "this Python has no tkinter: install it (Debian and Ubuntu: apt install python3-tk, macOS with Homebrew: "
    "brew install python-tk), or record without a window: --no-window"
)


class ControlWindow:
    """Asks for the session's name, starts `work(name, switches, show)` in a thread and shows its status.

    No key is heard before "Record" is pressed: what is typed into the name is never logged.
    """

    def __init__(self, name: str, hot_keys: str, work: Callable[[str, Switches, Callable], Status]):
        require_display()
        try:
            import tkinter
        except ImportError:
            raise ValueError(NO_TK) from None
        self._work, self._switches = work, Switches()
        self._recorder: Recorder | None = None
        self._thread: threading.Thread | None = None
        self.status: Status | None = None
        self.error: Exception | None = None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise ValueError(f"no window can be opened here ({error}); record without one: --no-window") from None
        self._build(tkinter, name, hot_keys)

    def _build(self, tkinter, name: str, hot_keys: str) -> None:
        root = self._root
        root.title(TITLE)
        root.attributes("-topmost", True)
        root.protocol("WM_DELETE_WINDOW", self.stop)
        self._name = tkinter.StringVar(value=name)
        self._text = tkinter.StringVar(value="ready")
        self._entry = tkinter.Entry(root, textvariable=self._name, width=36)
        self._entry.pack(padx=8, pady=4)
        row = tkinter.Frame(root)
        row.pack(padx=8)
        self._start = tkinter.Button(row, text="Record", command=self._begin)
        buttons = [self._start]
        for text, switch in (("Episode start/end", "episode"), ("Pause", "pause")):
            buttons.append(tkinter.Button(row, text=text, command=lambda s=switch: self._switches.toggle(s)))
        buttons.append(tkinter.Button(row, text="Stop", command=self.stop))
        for button in buttons:
            button.pack(side="left", padx=2, pady=4)
        tkinter.Label(root, textvariable=self._text, justify="left", font="TkFixedFont").pack(padx=8, anchor="w")
        tkinter.Label(root, text=hot_keys, fg="#666666").pack(padx=8, pady=4)

    def run(self) -> Status | None:
        """Shows the window until the recording is over or the window is closed; None when nothing was recorded."""
        self._root.after(REFRESH_MS, self._refresh)
        self._root.mainloop()
        if self._thread:
            self._thread.join()
        if self.error:
            raise self.error
        return self.status

    def _begin(self) -> None:
        self._start.configure(state="disabled")
        self._entry.configure(state="disabled")
        self._thread = threading.Thread(target=self._record, args=(self._name.get().strip(),), name="recorder")
        self._thread.start()

    def _record(self, name: str) -> None:
        try:
            self.status = self._work(name, self._switches, self._show)
        except Exception as error:  # raised again in the main thread, by `run`
            self.error = error

    def _show(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def stop(self) -> None:
        """End the recording, or close the window when there is none."""
        self._switches.stop.set()
        if self._thread is None:
            self._root.destroy()

    def _refresh(self) -> None:
        if self._thread is not None and not self._thread.is_alive():
            self._root.destroy()
            return
        if self._recorder is not None:
            self._text.set(status_text(self._recorder.status))
        self._root.after(REFRESH_MS, self._refresh)


def status_text(status: Status) -> str:
    """The status in a few lines."""
    episodes = "1 episode" if status.episodes == 1 else f"{status.episodes} episodes"
    return (
        f"{status.state}\n"
        f"{int(status.elapsed_s) // 60:02d}:{int(status.elapsed_s) % 60:02d}   {status.frames} frames, "
        f"{status.repeats} repeats, {status.dropped} dropped\n"
        f"{episodes}, {status.keys} key events, {status.free_mb / 1000:.1f} GB free"
    )
