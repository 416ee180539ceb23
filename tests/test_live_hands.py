"""The agent's hands and the guards that make them let go; no key here is a real one."""

import io
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from stages.live.clock import SteadyClock
from stages.live.deciding import DecisionLoop
from stages.live.desktop import require_made
from stages.live.game_window import FollowedWindow
from stages.live.guardian import HERE, LET_GO, READY, SILENT_S, hear
from stages.live.guardian import main as release_left_down
from stages.live.hands import DryKeyboard, FrontGuard, Hands
from stages.live.playing import GameWindow
from stages.live.screen import even_region


class Pressed:
    def __init__(self):
        self.down, self.log = set(), []

    def press(self, key):
        self.down.add(key)
        self.log.append(f"+{key}")

    def release(self, key):
        self.down.discard(key)
        self.log.append(f"-{key}")


def test_hands_hold_exactly_what_is_wanted():
    keyboard, told = Pressed(), []
    hands = Hands(keyboard, ["x", "y", "Key.left"], lambda *row: told.append(row))
    assert not hands.hold(["x"]) and keyboard.log == []  # not allowed yet
    hands.allow()
    assert hands.hold(["x", "Key.left"]) and keyboard.down == {"x", "Key.left"}
    assert hands.hold(["x", "y"]) and keyboard.down == {"x", "y"}
    assert keyboard.log == ["+x", "+Key.left", "-Key.left", "+y"]
    assert told[:2] == [("pressing", "x"), ("pressing", "Key.left")] and told[2] == ("released", "Key.left")
    hands.let_go()
    assert not keyboard.down and not hands.hold(["x"]) and not keyboard.down


def test_hands_look_before_every_press_and_let_go_when_another_window_is_in_front():
    keyboard, looks = Pressed(), iter([True, False])
    hands = Hands(keyboard, ["x", "y", "z"])
    hands.allow()
    assert not hands.hold(["x", "y", "z"], lambda: next(looks))
    assert "+x" in keyboard.log and not {"+y", "+z"} & set(keyboard.log)
    assert not keyboard.down and not hands.may_press


def test_a_panic_between_two_presses_is_the_last_of_them():
    keyboard = Pressed()
    hands = Hands(keyboard, ["x", "y"], lambda event, key: key == "y" and hands.let_go())
    hands.allow()
    assert not hands.hold(["x", "y"]) and "+y" not in keyboard.log and not keyboard.down


def test_hands_press_nothing_outside_of_the_key_map():
    keyboard = Pressed()
    hands = Hands(keyboard, ["x"])
    hands.allow()
    with pytest.raises(ValueError, match="not among the keys of the game"):
        hands.hold(["x", "Key.cmd"])
    assert keyboard.log == []


def test_a_dry_run_only_talks():
    said = []
    hands = Hands(DryKeyboard(said.append), ["x"])
    hands.allow()
    hands.hold(["x"])
    hands.hold([])
    assert said == ["would press   x", "would release x"]


def test_the_guardian_knows_what_was_left_down():
    down = {}
    for line in ("+x\n", "+Key.left\n", "-x\n", ".\n", "+y\n"):
        hear(line, down)
    assert list(down) == ["Key.left", "y"]


def test_the_guardian_releases_the_keys_of_an_agent_that_is_silent(monkeypatch):
    keyboard, answers = Pressed(), io.StringIO()
    keyboard.down = {"x"}
    monkeypatch.setattr("stages.live.keyboard.Fingers", lambda: keyboard)
    found = []

    def agent():
        yield "+x\n"
        for _ in range(3):  # signs of life for longer than a silence may be
            time.sleep(SILENT_S / 2)
            found.append(set(keyboard.down))
            yield ".\n"
        time.sleep(SILENT_S + 0.3)
        found.append(set(keyboard.down))
        keyboard.press("x")  # it pressed on before it knew
        time.sleep(SILENT_S + 0.3)
        found.append(set(keyboard.down))

    release_left_down(agent(), answers)
    assert found == [{"x"}] * 3 + [set(), {"x"}]  # told once a silence
    assert answers.getvalue() == READY + 3 * HERE + LET_GO
    assert not keyboard.down  # at the end whatever it ever was told of and nobody took back


def test_the_guardian_goes_on_when_a_key_cannot_be_released(monkeypatch):
    class Stuck(Pressed):
        def release(self, key):
            if key == "x":
                raise RuntimeError("no such key")
            super().release(key)

    keyboard = Stuck()
    monkeypatch.setattr("stages.live.keyboard.Fingers", lambda: keyboard)
    with pytest.raises(SystemExit, match="x could not be released: no such key"):
        release_left_down(["+x\n", "+y\n"])
    assert keyboard.log == ["-y"]


class Elsewhere:
    """A desktop with another window in front."""

    def front(self):
        return 8

    def close(self):
        pass


def test_a_guard_that_cannot_let_go_says_so(monkeypatch):
    monkeypatch.setattr("stages.live.hands.open_desktop", Elsewhere)

    def let_go():
        raise RuntimeError("the keyboard is gone")

    with FrontGuard(7, let_go) as guard:
        guard._thread.join(5)
        assert not guard._thread.is_alive() and "the keyboard is gone" in str(guard.error)
        followed = FollowedWindow(7, "game", None, 0.0)
        window = GameWindow(followed, Placed(), None, guard, SteadyClock(), threading.Event(), print)
        with pytest.raises(ValueError, match="the agent stops: the keyboard is gone"):
            window()


class Placed(Elsewhere):
    def region_of(self, window):
        return even_region(0, 0, 64, 48)

    def title_of(self, window):
        return "game"

    def lacking(self, keys):
        return [key for key in keys if key == "Key.f20"]


def test_a_key_that_the_keyboard_does_not_have_is_told_before_it_is_pressed():
    require_made(Placed(), ["x", "Key.left"])
    with pytest.raises(ValueError, match="Key.f20.*cannot be pressed"):
        require_made(Placed(), ["x", "Key.f20"])


def test_a_player_whose_keys_were_released_ends_the_episode_where_it_stood_still():
    """The sign of life after the first decision hears that the keys have been released."""
    clock, stop, marks = SteadyClock(), threading.Event(), []
    keyboard = Pressed()
    hands = Hands(keyboard, ["x"])
    brain = SimpleNamespace(reset=lambda lane: marks.append("reset"), logits=lambda images: {0: np.ones(1)})
    witness = SimpleNamespace(
        begin=lambda t: marks.append("begin"), end=lambda t: marks.append("end"), missed=lambda t: None,
        seen=lambda image, t, keys, probabilities: marks.append("".join(sorted(keyboard.down))),
    )  # fmt: skip
    camera = SimpleNamespace(picture=lambda: (np.zeros((2, 2, 3), np.uint8), clock.now()))

    def alive():
        if marks.count("x") == 3:
            stop.set()
        return marks[-1:] != ["x"] or marks.count("x") > 1

    player = DecisionLoop(brain, lambda logits: (["x"], logits), hands, clock, fps=50, stop=stop, alive=alive)
    player.run(camera, witness, in_front=lambda: True, count_down_again=lambda: False, seconds=None)
    assert marks[:8] == ["end", "reset", "begin", "x", "end", "reset", "begin", "x"]
    assert keyboard.log[:3] == ["+x", "-x", "+x"] and not keyboard.down
