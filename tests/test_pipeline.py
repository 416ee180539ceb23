"""The whole pipeline on tiny params, in a clone: it runs, repeats itself, is then up to date."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TINY = {
    "latent_dim": 16,
    "threads": 1,
    "workers": 1,
    "precision": "no",
    "collect.sessions": 6,
    "collect.episodes_per_session": 2,
    "collect.max_episode_s": 6,
    "split.val": 0.2,
    "split.test": 0.2,
    "convert.width": 64,
    "convert.height": 36,
    "autoencoder.channels": [4, 8],
    "autoencoder.steps": 12,
    "autoencoder.evaluate_every": 6,
    "two_stream.hidden": [16, 8],
    "two_stream.channels": [4, 4, 4, 4],
    "two_stream.steps": 12,
    "two_stream.evaluate_every": 6,
    "evaluate.bootstrap": 50,
    "probe_onsets.steps": 4,
    "probe_onsets.evaluate_every": 2,
    "probe_onsets.channels": [4, 8],
    "play.val_episodes": 2,
    "play.test_episodes": 3,
    "play.lanes": 2,
    "play.max_episode_s": 5,
    "play.blind_shares": [0.0, 1.0],
    "play.blind_periods": [8],
    "play.blind_taps": [8],
    "latent_action.codes": 4,
    "latent_action.channels": [4, 8],
    "latent_action.steps": 12,
    "latent_action.evaluate_every": 6,
    "latent_action.probe_steps": 4,
    "latent_action.quantize_after_steps": 5,
}
HEADLINE = (
    *("val_return_fraction", "val_onset_f1", "val_onset_skill", "val_composite_f1", "val_frame_f1", "val_ap"),
    *("val_exact_match", "ae_psnr_db", "ae_moving_psnr_db", "ae_object_ap"),
    *("lam_gain_db", "lam_shuffle_drop_db", "lam_information_gained", "lam_change_accuracy", "lam_perplexity"),
)


def clone(into: Path) -> Path:
    """What git tracks, in a repository of its own with tiny params."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if name != "dvc.lock" and (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)
    tree = yaml.safe_load((into / "params.yaml").read_text(encoding="utf-8"))
    for key, value in TINY.items():
        node, *_, last = tree, *key.split(".")
        for part in key.split(".")[:-1]:
            node = node[part]
        assert last in node, f"{key} is no param"
        node[last] = value
    (into / "params.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "tiny"]):
        subprocess.run(["git", *command], cwd=into, check=True)
    return into


def dvc(folder: Path, *arguments: str) -> str:
    """What DVC printed, in the environment that the tests run in."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder,
        env={**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"},
        capture_output=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_pipeline_runs_repeats_itself_and_is_then_up_to_date(tmp_path):
    folder = clone(tmp_path)
    dvc(folder, "repro")
    metrics = json.loads((folder / "reports/metrics.json").read_text(encoding="utf-8"))
    assert tuple(metrics)[: len(HEADLINE)] == HEADLINE
    test = json.loads((folder / "reports/test/metrics.json").read_text(encoding="utf-8"))
    for name in ("return", "return_script", "return_blind", "return_random"):
        assert isinstance(test[name], float), name
    assert "return_fraction" in test and test["episode_s"] > 0 and 0 <= test["survived_share"] <= 1
    assert (folder / "reports/index.html").stat().st_size > 10_000

    first = (folder / "dvc.lock").read_bytes()
    dvc(folder, "repro", "--force", "--single-item", "collect", "train_policy")
    assert (folder / "dvc.lock").read_bytes() == first  # the hashes of all that they wrote
    assert "Data and pipelines are up to date." in dvc(folder, "repro")
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=folder, check=True, capture_output=True, text=True)
    assert set(changed.stdout.split()) <= {"??", "A", "M", "dvc.lock", "reports/metrics.json"}, changed.stdout
