"""understudy predict: what the agent would press, on a recording it has never seen."""

import argparse
import csv
from pathlib import Path

import numpy as np

from stages.commands.agent import acting_of, add_agent, add_rule, load_agent
from stages.commands.options import add_keys, keys_of, session_of
from stages.evaluation.metrics import f1
from stages.evaluation.overlay import overlay_frames, write_video
from stages.live.deciding import Brain
from stages.recordings.actions import ActionVocabulary
from stages.recordings.examination import Examined, Reading, examined_session
from stages.recordings.verdict import require_sound
from stages.recordings.video import read_frames

ABOUT = """Shows a recording to the trained agent, frame by frame as in play, and writes what it would press:
<out>/<session>.csv with the probability of every action in every frame, and <out>/<session>.mp4 with the keys, and
the player's own where they were recorded, beside the picture."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_agent(parser)
    parser.add_argument("session", help="a session: its name with its folder, or any of its files")
    add_rule(parser)
    add_keys(parser)
    parser.add_argument("--out", type=Path, default=Path("reports/predict"), help="folder to write to (%(default)s)")
    parser.add_argument("--no-video", action="store_true", help="the table only")


def run(options: argparse.Namespace) -> None:
    agent = load_agent(options.agent, told_state=True)
    about, (folder, stem) = agent.about, session_of(options.session)
    actions, acting = about.actions, acting_of(options, about)
    vocabulary = ActionVocabulary.from_params(actions, keys_of(options, about.keys))
    reading = Reading(**about.labels, on_bad_line="error", picture_fps=about.fps, agents=True)
    found = examined_session(folder, stem, vocabulary, reading)
    require_sound(stem, found.verdict)
    _require_state(about.state_columns, found)
    logits = logits_of(agent, found)
    probabilities = acting.probabilities(logits)
    pressed = acting.keys(logits, np.random.default_rng(options.seed)).astype(np.uint8)
    human = found.timeline.actions if found.session.keys_logged else None
    options.out.mkdir(parents=True, exist_ok=True)
    table = options.out / f"{stem}.csv"
    write_table(table, found, actions, probabilities, pressed)
    print(f"written: {table} ({len(logits)} frames)")
    if human is not None:
        scores = f1((human & pressed).sum(axis=0), pressed.sum(axis=0), human.sum(axis=0))
        for name, score in zip(actions, scores, strict=True):
            print(f"{name}: F1 against the player's own keys {score:.2f}")
    if not options.no_video:
        frames = overlay_frames(read_frames(found.session.video), actions, human, probabilities, pressed)
        write_video(table.with_suffix(".mp4"), frames, found.session.fps)
        print(f"written: {table.with_suffix('.mp4')}")


def _require_state(columns: tuple[str, ...], found: Examined) -> None:
    """ValueError where the agent reads a state that was not recorded."""
    known = () if found.session.state is None else found.session.state.columns
    if missing := [name for name in columns if name not in known]:
        raise ValueError(
            f"the agent reads what the game itself knows, the recording has no {missing}: record it with --state-from"
        )


def logits_of(brain: Brain, found: Examined) -> np.ndarray:
    """float64 [T, A]; the agent starts anew with every episode."""
    rows, before, state = [], None, found.session.state
    for i, image in enumerate(read_frames(found.session.video)):
        if i == len(found.timeline.episode):
            break
        if found.timeline.episode[i] != before:
            brain.reset(0)
        before = found.timeline.episode[i]
        states = None if state is None else {0: dict(zip(state.columns, state.values[i].tolist(), strict=True))}
        rows.append(brain.logits({0: image}, states)[0])
    return np.array(rows, np.float64)


def write_table(path: Path, found: Examined, actions: tuple[str, ...], probabilities, pressed) -> None:
    """frame, t, episode, then for each action its probability and whether it would be pressed."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        names = [name for action in actions for name in (f"p_{action}", f"press_{action}")]
        table.writerow(["frame", "t", "episode", *names])
        for i, t in enumerate(found.session.times.tolist()):
            cells = [c for p, on in zip(probabilities[i], pressed[i], strict=True) for c in (f"{p:.4f}", int(on))]
            table.writerow([i, f"{t:.6f}", int(found.timeline.episode[i]), *cells])
