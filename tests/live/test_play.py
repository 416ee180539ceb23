"""`understudy play` on a real screen: real keys, and every way in which they must go up again."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from stages.live.deciding import Decider
from stages.live.hands import Hands
from stages.live.keyboard import Fingers
from stages.live.playing import Run
from stages.live.playing import play as playing_of
from stages.live.screen import Region
from stages.recordings.session import read_session
from tests.agents import acting_of, write_small_agent
from tests.live.conftest import PLAYED, ROOT, close, finished, say_so, understudy, wait_until
from tests.live.windows import PlainWindow

ACTIONS = ("LEFT", "RIGHT", "SHOOT", "DASH")
KEYS = [pair.partition("=")[2] for pair in PLAYED[1:]]
HERE = ["--region", "100,100,320x240", "--fps", 20, "--countdown", 1, *PLAYED]
ALWAYS = acting_of([0.0] * len(ACTIONS))


@pytest.fixture(scope="module")
def agent(tmp_path_factory) -> Path:
    """An agent that wants every key at every moment."""
    return write_small_agent(tmp_path_factory.mktemp("agents") / "willing", acting=ALWAYS)


@pytest.fixture
def target(desktop):
    """The window that is played in: below the region, in front."""
    with PlainWindow(80, 80, 400, 300, "target") as window:
        window.take_focus()
        yield window


def down(desktop) -> set[str]:
    return {key for key, is_down in desktop.key_states(KEYS).items() if is_down}


def play(agent, *arguments):
    return understudy("play", agent, *HERE, *arguments)


def test_it_presses_the_keys_of_the_map_after_the_countdown_and_no_other(desktop, target, agent):
    start = time.monotonic()
    process = play(agent, "--seconds", 2)
    wait_until(lambda: down(desktop) == set(KEYS))
    assert time.monotonic() - start > 1  # the countdown
    printed = finished(process)
    assert "picture to keys: p50" in printed and "slots missed" in printed
    assert not down(desktop)
    assert target.key_presses() >= len(KEYS)


def test_a_dry_run_presses_nothing_and_says_what_it_would(desktop, target, agent):
    printed = finished(play(agent, "--seconds", 1, "--dry-run"))
    assert all(f"would press   {key}" in printed for key in KEYS)
    assert target.key_presses() == 0


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_key_is_down_after_any_end(desktop, target, agent, end):
    process = play(agent)
    wait_until(lambda: down(desktop) == set(KEYS))
    process.send_signal(end)
    finished(process, timeout=20, code=None)
    wait_until(lambda: not down(desktop), timeout=5)


def test_a_stopped_agent_holds_no_key_and_goes_on_when_it_is_woken(desktop, target, agent, tmp_path):
    process = play(agent, "--record", tmp_path / "raw/run")
    wait_until(lambda: down(desktop) == set(KEYS))
    process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    wait_until(lambda: not down(desktop), timeout=3)
    assert 0.5 < time.monotonic() - stopped < 2
    with PlainWindow(700, 400, 200, 200, "another") as other:
        other.take_focus()
        process.send_signal(signal.SIGCONT)
        time.sleep(1)
        assert not down(desktop) and other.key_presses() == 0
        target.take_focus()
        wait_until(lambda: down(desktop) == set(KEYS), timeout=4)
    process.send_signal(signal.SIGSTOP)
    wait_until(lambda: not down(desktop), timeout=3)
    process.send_signal(signal.SIGCONT)  # still in front: no countdown
    wait_until(lambda: down(desktop) == set(KEYS), timeout=0.9)
    process.terminate()
    assert finished(process).count("its keys were released") == 2
    assert not down(desktop)
    session = read_session(tmp_path / "raw", "run", on_bad_line="error", picture_fps=10)
    holes = [(e.t, s.t) for e, s in zip(session.markers[1::2], session.markers[2::2], strict=False)]
    assert len(holes) == 2 and all(end - start > 1 for start, end in holes)
    assert sorted(e.key for e in session.key_events if e.event == "keyup") == sorted(KEYS * 3)


class Stuck:
    """A decision that takes longer than a sign of life may."""

    def __init__(self, seconds):
        self.slow, self.seconds = threading.Event(), seconds

    def reset(self, lane):
        """It has no past."""

    def logits(self, images):
        if self.slow.is_set():
            self.slow.clear()
            time.sleep(self.seconds)
        return {lane: np.full(len(ACTIONS), 1000.0) for lane in images}


def test_a_hung_agent_holds_no_key(desktop, target):
    """Its other threads go on, so that only the decisions can tell."""
    brain, stop, said = Stuck(2.5), threading.Event(), []
    decide = Decider(ALWAYS, ACTIONS, dict(zip(ACTIONS, KEYS, strict=True)), np.random.default_rng(0))
    run = Run(Region(100, 100, 320, 240), None, 20, "Key.esc", 0, None, False, None, None, {}, 20)
    playing = threading.Thread(target=playing_of, args=(run, brain, decide, stop, said.append))
    playing.start()
    wait_until(lambda: down(desktop) == set(KEYS))
    brain.slow.set()
    wait_until(lambda: not down(desktop), timeout=2)
    wait_until(lambda: down(desktop) == set(KEYS), timeout=3)
    stop.set()
    playing.join(10)
    assert not playing.is_alive() and not down(desktop)
    assert sum("its keys were released" in line for line in said) == 1


@pytest.mark.parametrize(("end", "words"), [(signal.SIGKILL, "has died"), (signal.SIGSTOP, "does not answer")])
def test_when_the_guardian_is_gone_the_agent_stops_and_lets_go(desktop, target, agent, end, words):
    process = play(agent, "--rule", "sampled")  # keys go up and down all the time
    wait_until(lambda: down(desktop))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), end)
    assert children and f"{words}; the agent stops" in finished(process, timeout=20, code=1)
    assert not down(desktop)
    assert not any(Path(f"/proc/{child}/cmdline").exists() for child in children)


def test_the_panic_key_ends_it(desktop, target, agent):
    process = play(agent)
    wait_until(lambda: down(desktop) == set(KEYS))
    fingers = Fingers()
    fingers.press("Key.esc")
    fingers.release("Key.esc")
    finished(process, timeout=10)
    assert not down(desktop)


def test_it_never_types_into_another_window(desktop, target, agent):
    process = play(agent)
    wait_until(lambda: down(desktop) == set(KEYS))
    with PlainWindow(700, 400, 200, 200, "another") as other:
        for turn in range(10):
            other.take_focus()
            wait_until(lambda: not down(desktop), timeout=2)
            other.key_presses()  # what was on its way when the focus changed
            time.sleep(0.1)
            assert other.key_presses() == 0 and not down(desktop)
            target.take_focus()
            if turn == 0:
                wait_until(lambda: down(desktop) == set(KEYS), timeout=5)  # plays on, after a countdown
    process.terminate()
    finished(process, timeout=10)


def test_a_window_that_comes_to_the_front_between_two_presses_gets_no_key(desktop, target):
    """No guard beside it: what protects is the look before each press."""
    with PlainWindow(700, 400, 200, 200, "another") as other:
        window = desktop.window_titled("target")

        def told(event, key):
            if (event, key) == ("pressing", KEYS[1]):
                other.take_focus()

        hands = Hands(Fingers(), KEYS, told)
        hands.allow()
        assert not hands.hold(KEYS, lambda: desktop.front() == window)
        assert target.key_presses() == 1 and other.key_presses() == 0
        assert not down(desktop) and not hands.may_press


def test_nothing_is_pressed_while_another_window_is_in_front_from_the_start(desktop, target, agent):
    with PlainWindow(700, 400, 200, 200, "another") as other:
        other.take_focus()
        process = play(agent)
        say_so(process, "waiting until the game's window is in front")
        time.sleep(2)
        assert process.poll() is None and not down(desktop)
        assert other.key_presses() == 0 and target.key_presses() == 0
    process.terminate()
    finished(process, timeout=10)


def test_it_ends_when_the_window_is_closed(desktop, agent):
    with PlainWindow(80, 80, 400, 300, "target") as window:
        window.take_focus()
        process = play(agent, "--wait-for-window", 1)
        wait_until(lambda: down(desktop) == set(KEYS))
    assert "closed or hidden" in finished(process, timeout=20)
    assert not down(desktop)


def test_it_goes_on_in_the_window_that_the_game_makes_anew(desktop, agent):
    with PlainWindow(80, 80, 400, 300, "target") as window:
        window.take_focus()
        process = play(agent)
        wait_until(lambda: down(desktop) == set(KEYS))
    say_so(process, "'target' was closed; waiting for another window of that title")
    assert not down(desktop)
    with PlainWindow(0, 0, 400, 300, "target") as window:
        window.take_focus()
        wait_until(lambda: down(desktop) == set(KEYS), timeout=30)
        process.terminate()
        finished(process, timeout=20)
    assert not down(desktop)


def test_a_run_is_recorded_as_a_session_of_the_agent(desktop, target, agent, tmp_path):
    finished(play(agent, "--seconds", 3, "--record", tmp_path / "raw/run", "--log", tmp_path / "log.csv"))
    session = read_session(tmp_path / "raw", "run", on_bad_line="error", picture_fps=10)
    assert session.closed is True and session.metadata["player"] == "agent"
    assert [m.type for m in session.markers] == ["fight_start", "fight_end"]
    downs = [e.key for e in session.key_events if e.event == "keydown"]
    ups = [e.key for e in session.key_events if e.event == "keyup"]
    assert sorted(downs) == sorted(ups) == sorted(KEYS)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0] == "t,LEFT,RIGHT,SHOOT,DASH,keys"
    assert len(rows) - 1 + session.repeats.sum() == len(session.times)


def test_keys_that_the_agent_needs_and_foreign_ones_are_named(display, agent):
    lacking = understudy("play", agent, "--region", "0,0,64x64", "--fps", 10, "--keys", "LEFT=Key.left")
    assert "have no key" in finished(lacking, code=1)
    nowhere = understudy("play", agent, "--region", "0,0,64x64", "--fps", 10, *PLAYED[:-1], "DASH=Key.f20")
    assert "this keyboard's layout has no such key" in finished(nowhere, code=1)
    twice = understudy("play", agent, *HERE, "--panic-key", "Key.left")
    assert "choose another hot key" in finished(twice, code=1)


@pytest.mark.skipif(not (ROOT / "data/agent").is_dir(), reason="no trained agent here: dvc repro makes one")
def test_the_trained_agent_plays_better_than_chance(desktop, doom):
    rates = {}
    for name, extra in {"agent": (), "random": ("--random",)}.items():
        game, out = doom(50, 11)
        arguments = ("--window", "VIZDOOM", "--fps", 11.6667, "--countdown", 1, "--seconds", 35, *PLAYED, *extra)
        printed = finished(understudy("play", ROOT / "data/agent", *arguments))
        game.wait(timeout=60)
        scores = json.loads(out.read_text())["scores"]
        rates[name] = sum(row["score"] for row in scores)
        print(f"{name}: {[row['score'] for row in scores]}\n{printed}")
        close(game)
    assert rates["agent"] >= rates["random"] + 4, rates
