"""Stage probe_onsets: can a small network tell, from the frames before it, that a press is about to come?

For each action and each lead: AUC against moments without a press (far, near, matched), on val to compare by and on
test to report. Beside it the last frame alone, the state alone, and the player's own keys so far.
"""

import json
from pathlib import Path

from stages.episodes.store import EpisodeStore
from stages.evaluation.figures import style
from stages.evaluation.figures.foresight import lead_time_figure
from stages.evaluation.foresight import FAR, MATCHED, NEAR
from stages.evaluation.onset_probe import (
    KEYS,
    LAST_FRAME,
    SPLITS,
    STATE,
    WINDOW,
    frames_network,
    in_words,
    keys_before,
    moments_of_split,
    network_scores,
    read_split,
    rows_of,
    table_scores,
)
from stages.evaluation.press_probe import Looking
from stages.learning.compute import prepare_compute
from stages.params import Params, read_params
from stages.paths import EPISODES, REPORTS, TEST_REPORTS
from stages.run import run_stage


def main() -> None:
    params = read_params()
    own = params.probe_onsets
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    store = EpisodeStore(EPISODES, pixels=params.probe_onsets.pixels)
    splits = {name: read_split(store, name, params.actions, params.training.frames_in_ram_gb) for name in SPLITS}
    tables: dict[str, list[dict]] = {"val": [], "test": []}
    for lead in own.leads:
        moments = {name: moments_of_split(each, lead, own, store.fps, params.seed) for name, each in splits.items()}
        windows = {WINDOW: own.frames} | ({LAST_FRAME: 1} if lead == min(own.leads) else {})
        found = {}
        for source, window in windows.items():
            looking = {name: Looking(each.bank, window) for name, each in splits.items()}
            model = frames_network(splits, window, own, len(params.actions))
            found[source] = network_scores(
                model, looking, splits, moments, params, compute, f"{source.replace('_', ' ')}, {lead} ahead"
            )
        histories = {name: keys_before(each, own.frames) for name, each in splits.items()}
        found[KEYS] = table_scores(splits, moments, histories, params.seed)
        if all(each.state is not None for each in splits.values()):
            states = {name: each.state for name, each in splits.items()}
            found[STATE] = table_scores(splits, moments, states, params.seed)
        for source, scores in found.items():
            for split, row in rows_of(splits, moments, scores, params, lead, source):
                tables[split].append(row)
    for split, folder in (("val", REPORTS), ("test", TEST_REPORTS)):
        write_report(folder / "probe_onsets", tables[split], params, store.fps)
    for line in in_words(tables["val"], params.actions, store.fps):
        print(line)


def write_report(out: Path, rows: list[dict], params: Params, fps: float) -> None:
    """rows.json, words.json and the curve."""
    out.mkdir(parents=True, exist_ok=True)
    for name, content in (("rows", rows), ("words", in_words(rows, params.actions, fps))):
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (out / f"{name}.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    against = [kind for kind in (FAR, NEAR, MATCHED) if any(row["against"] == kind for row in rows)]
    if against:
        style.save(lead_time_figure(rows, params.actions, fps, against), out / "leads.png")


if __name__ == "__main__":
    run_stage(main)
