"""Study probe, stage summarise: reports/probe.json, the curves over the lead, and how often the network is right.

"right" counts at the threshold that is right most often on val; in the literature .55 against far moments is a weak
signal and .65 a signal.
"""

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from stages.episodes.store import EpisodeStore
from stages.evaluation.figures import style
from stages.evaluation.figures.foresight import answers_figure, lead_time_figure
from stages.evaluation.figures.policy_figures import action_confusions
from stages.evaluation.foresight import FAR, MATCHED, NEAR, PRESS
from stages.evaluation.onset_probe import LATENTS, POLICY_SAYS, WINDOW, in_words
from stages.learning.checkpoints import read_json, write_json
from stages.pages.page import markdown
from stages.paths import EPISODES, REPORTS
from stages.run import run_stage
from stages.studies.probe.inputs import ANSWERS, ASKED, RECORDED, ROWS, study_params

SURELY_LESS = "{action}: {lost} tell less ({auc:.2f}) than the frames ({low:.2f} at least)"


def main() -> None:
    own, chosen = study_params()
    asked = [ASKED / f"lead{lead}" for lead in own.leads]
    rows = {split: [row for folder in asked for row in read_json(folder / ROWS)[split]] for split in ("val", "test")}
    fps = EpisodeStore(RECORDED / EPISODES.name).fps
    first = ASKED / f"lead{min(own.leads)}"
    val, test = (read_json(first / ANSWERS)[split] for split in ("val", "test"))
    least = chosen.evaluate.min_onsets
    judged = {action: classified(val[action], test[action], least) for action in chosen.actions}
    words = in_words(rows["test"], chosen.actions, fps) + lost_in_words(rows["test"], chosen.actions)
    out = REPORTS / "probe"
    out.mkdir(parents=True, exist_ok=True)
    content = {"game": own.game, "fps": fps, "words": words, "classified": judged, "rows": rows["test"]}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (REPORTS / "probe.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    against = [kind for kind in (FAR, NEAR, MATCHED) if any(row["against"] == kind for row in rows["test"])]
    style.save(lead_time_figure(rows["test"], chosen.actions, fps, against), out / "leads.png")
    style.save(answers_figure(test, [PRESS, *against]), out / "answers.png")
    confusions = np.array([judged[action]["confusion"] for action in chosen.actions])
    title = "A press follows or not, against near moments, test"
    style.save(action_confusions(confusions, chosen.actions, title=title), out / "confusion.png")
    write_json(out / "val.json", shown_on_val(rows["val"]))
    print(table(rows["test"], chosen.actions), *words, sep="\n")
    print(f"wrote {REPORTS / 'probe.json'} and {out}")


def classified(val: Mapping[str, Sequence[float]], test: Mapping[str, Sequence[float]], least: int) -> dict:
    """Against near moments, at the threshold that is right most often on val: confusion [2, 2], precision, recall, F1.

    `accuracy_far`: the share that is right against far moments, the measure of the literature; None with fewer than
    `least` of them.
    """
    threshold = best_threshold(val[PRESS], val[NEAR])
    enough = len(test[FAR]) >= least
    found = {"threshold": threshold, "accuracy_far": accuracy(test[PRESS], test[FAR], threshold) if enough else None}
    truth = np.r_[np.ones(len(test[PRESS]), int), np.zeros(len(test[NEAR]), int)]
    said = (np.r_[test[PRESS], test[NEAR]] >= threshold).astype(int)
    scores = precision_recall_fscore_support(truth, said, average="binary", zero_division=0.0)
    found |= dict(zip(("precision", "recall", "f1"), map(float, scores[:3]), strict=True))
    confusion = np.zeros((2, 2), int)
    np.add.at(confusion, (truth, said), 1)
    return found | {"accuracy_near": accuracy(test[PRESS], test[NEAR], threshold), "confusion": confusion.tolist()}


def best_threshold(press: Sequence[float], others: Sequence[float]) -> float:
    """The probability from which on a press is said, for the most right answers; 0.5 without any."""
    cuts = np.unique(np.r_[press, others])
    right = [(np.asarray(press) >= cut).sum() + (np.asarray(others) < cut).sum() for cut in cuts]
    return float(cuts[int(np.argmax(right))]) if len(cuts) else 0.5


def accuracy(press: Sequence[float], others: Sequence[float], threshold: float) -> float | None:
    """The share of right answers, presses and others counted alike; None where one of them is missing."""
    if not len(press) or not len(others):
        return None
    return float(((np.asarray(press) >= threshold).mean() + (np.asarray(others) < threshold).mean()) / 2)


def lost_in_words(rows: Sequence[Mapping], actions: Sequence[str]) -> list[str]:
    """For each action that the frames tell of: do latents and policy tell as much?"""
    lines = []
    for action in actions:
        own = {row["from"]: row for row in rows if (row["action"], row["lead"], row["against"]) == (action, 0, NEAR)}
        frames = own.get(WINDOW)
        if frames is None or frames["auc_low"] is None or frames["auc_low"] < 0.55:
            continue
        for source, lost in ((LATENTS, "the latents"), (POLICY_SAYS, "the policy's answers")):
            found = own.get(source, {}).get("auc")
            if found is not None and found < frames["auc_low"]:
                lines.append(SURELY_LESS.format(action=action, lost=lost, auc=found, low=frames["auc_low"]))
    return lines


def shown_on_val(rows: Sequence[Mapping]) -> dict[str, float | None]:
    """The AUC of the window against near moments at each lead, for `dvc exp show`."""
    curve = [row for row in rows if (row["from"], row["against"]) == (WINDOW, NEAR)]
    return {f"probe_{row['action']}_lead{row['lead']}_val_auc": row["auc"] for row in curve}


def table(rows: Sequence[Mapping], actions: Sequence[str]) -> str:
    """AUC against near moments as Markdown: a line a source and lead, a column an action."""
    near = [row for row in rows if row["against"] == NEAR]
    sources = list(dict.fromkeys((row["from"], row["lead"]) for row in near))
    cells = []
    for source, lead in sources:
        own = {row["action"]: row for row in near if (row["from"], row["lead"]) == (source, lead)}
        cells.append([source.replace("_", " "), str(lead), *(interval(own.get(action)) for action in actions)])
    return markdown(["AUC, near moments, test", "lead", *actions], *cells)


def interval(row: Mapping | None) -> str:
    if row is None or row["auc"] is None or math.isnan(row["auc"]):
        return "-"
    ends = "" if row["auc_low"] is None else f" ({row['auc_low']:.2f}-{row['auc_high']:.2f})"
    return f"{row['auc']:.2f}{ends}"


if __name__ == "__main__":
    run_stage(main)
