"""The whole way on a real screen: a game is recorded, learned from by DVC, and played in the same window."""

import json
import subprocess
from pathlib import Path

from tests.live.conftest import PLAYED, close, finished, understudy
from tests.test_pipeline import clone, dvc

SESSIONS, SESSION_S, PLAY_S = 3, 40, 30
FPS = 11.6667
# More than the tiny params of the clone: enough to learn that keys are pressed at all, not enough to play well.
LEARNED = (
    "recordings=data/raw/screen", "keys.SHOOT=[Key.ctrl]", "latent_dim=32",
    "autoencoder.steps=130", "recurrent.steps=60", "recurrent.evaluate_every=10", "latent_action.steps=60",
    "latent_action.evaluate_every=60", "latent_action.quantize_after_steps=40",
)  # fmt: skip


def recorded(doom, into: Path) -> None:
    """Sessions of the bundled player at the real keyboard, as `understudy record` sees them."""
    for session in range(SESSIONS):
        game, _ = doom(SESSION_S + 8, 100 + session, script=True)
        finished(
            understudy(
                *("record", "--no-window", "--window", "VIZDOOM", "--out", into, "--name", f"session-{session}"),
                *("--fps", FPS, "--seconds", SESSION_S, *PLAYED),
            )
        )
        game.wait(timeout=60)  # the player lets go of its keys
        close(game)


def played(doom, agent: Path, *extra: str) -> tuple[list[float], str]:
    """The scores of the games in a window of its own, and what `understudy play` printed."""
    game, out = doom(PLAY_S + 15, 11)
    arguments = ("--window", "VIZDOOM", "--fps", FPS, "--countdown", 1, "--seconds", PLAY_S, *PLAYED, *extra)
    printed = finished(understudy("play", agent, *arguments))
    game.wait(timeout=60)
    scores = [row["score"] for row in json.loads(out.read_text())["scores"]]
    close(game)
    return scores, printed


def test_a_game_is_recorded_learned_and_played_in_the_same_window(desktop, doom, tmp_path):
    folder = clone(tmp_path / "repository")
    recorded(doom, folder / "data/raw/screen")
    verdicts = finished(understudy("doctor", folder / "data/raw/screen"))
    assert "do not train on this" not in verdicts, verdicts

    dvc(folder, "add", "-q", "data/raw/screen")
    for command in (["add", "-A"], ["commit", "-qm", "recordings of the screen"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    settings = [word for setting in LEARNED for word in ("-S", setting)]
    dvc(folder, "exp", "run", *settings)
    metrics = json.loads((folder / "reports/metrics.json").read_text(encoding="utf-8"))
    assert metrics["val_frame_f1"] is not None and metrics["val_return_fraction"] is None  # nobody plays it unseen
    print({name: metrics[name] for name in ("val_frame_f1", "val_onset_f1", "val_ap", "lam_gain_db")})

    scores = {}
    for name, extra in {"agent": (), "random": ("--random",)}.items():
        scores[name], printed = played(doom, folder / "data/agent", *extra)
        print(f"{name}: {scores[name]}\n{printed}")
        assert "picture to keys: p50" in printed
    # With so little to learn from no score is promised; both stand in the log, side by side.
    assert all(scores.values())
