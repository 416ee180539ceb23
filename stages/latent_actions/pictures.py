"""What the evaluation of latent actions writes of a split beside its numbers: pictures, videos, tables of effects.

In the videos codes drive the forward model as keys do a game: each prediction is fed back as the next frame. A picture
of such a video is a grid of captioned tiles, uint8 [H, W, 3] in OpenCV's channel order, with even sides.
Conventions: frames uint8 [C, H, W].
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stages.evaluation.figures.codes import codes_figure, effects_figure, tsne_figure
from stages.evaluation.figures.latent_action import every_code_figure, predictions_figure
from stages.evaluation.figures.style import save
from stages.evaluation.intervals import sums_interval
from stages.evaluation.overlay import write_video
from stages.latent_actions.effects import (
    Case,
    EventRules,
    codes_of_classes,
    consistency,
    effect_moments,
    effect_rows,
    event_rows,
    events_of,
)
from stages.latent_actions.measures import sums_by_episode
from stages.latent_actions.rollouts import continued, longest_rollout, rollout_starts
from stages.latent_actions.transitions import PredictNext, batches, spread_samples
from stages.learning.checkpoints import write_json
from stages.models.latent_action import LatentActionModel

PICTURED = 6  # transitions in the picture of predictions
CODES_SHOWN = 47  # in the picture of what each code does, and held in the video: those that occur most
NEIGHBOURS = 800  # transitions in the picture of vectors
WIDTH, COLUMNS = 960, 4  # px, about, and tiles in a row; twice as many, half as wide, where there are more than FEW
FEW = 8
CAPTION = 18  # px high
TEXT, BACKGROUND = (235, 232, 228), (30, 27, 24)
VIDEO_STEPS, HELD_STEPS = 45, 15  # of roll-outs; steps that the code of each key is held


@dataclass(frozen=True)
class Shown:
    """A split and its classes int64 [N] with their names, the last one of which is "neither"; None without keys."""

    case: Case
    classes: np.ndarray | None
    names: tuple[str, ...]


def write_effects(
    directory: Path, case: Case, count: int, name: str, rules: EventRules, chosen: Mapping[str, int | None], *,
    resamples: int, seed: int,
) -> dict[str, float | None]:  # fmt: skip
    """What each code does, and how events go with the codes `chosen` for them, as JSON and picture; returns the
    metrics."""
    rows = {
        "effect": name,
        "codes": effect_rows(case.codes, case.effect, count),
        "events": event_rows(case.codes, events_in(case, rules), chosen),
    }
    save(effects_figure(case.codes, case.effect, count, name), directory / "effects.png")
    write_json(directory / "effects.json", rows)
    moments = sums_by_episode(effect_moments(case.codes, case.effect, count), case.transitions.episode)
    return sums_interval(consistency, moments, resamples=resamples, seed=seed).as_metrics("lam_effect_consistency")


def events_in(case: Case, rules: EventRules) -> dict[str, np.ndarray]:
    """What happened in each transition of a split, bool [N] by name; nothing where no state was recorded."""
    return {} if case.states is None else events_of(rules, *case.states)


def write_figures(
    directory: Path, shown: Shown, model: LatentActionModel, predict: PredictNext, vectors_of, seed: int
) -> None:
    """Pictures of predictions, of what each code does to one frame, of how often each occurs and where it lies.

    A single one of many codes does little to a picture, and all together are too many to show: with several codes a
    transition there are no pictures of single ones.
    """
    found, codes = shown.case.transitions, shown.case.codes
    chosen = spread_samples(len(found), 2 * PICTURED + 1)[min(1, len(found) - 1) :: 2]
    frames = found.take(chosen)
    predicted = predict(frames[:, :-1], codes[chosen])
    save(predictions_figure(frames[:, -2], frames[:, -1], predicted), directory / "predictions.png")
    classes = shown.classes if model.tokens == 1 else None
    save(codes_figure(codes.ravel(), model.codes, classes, shown.names), directory / "codes.png")
    if model.tokens > 1:
        return
    often, counts = _commonest(codes, model.codes)
    middle = frames[len(frames) // 2 : len(frames) // 2 + 1, :-1]
    following = predict(np.repeat(middle, len(often), axis=0), often)
    save(every_code_figure(middle[0, -1], following, often, counts[often] / len(codes)), directory / "every_code.png")
    near = spread_samples(len(found), NEIGHBOURS)
    vectors = np.concatenate([vectors_of(found.take(part)).cpu().numpy()[:, 0] for part in batches(near)])
    own_classes = None if classes is None else classes[near]
    save(tsne_figure(vectors, codes[near], own_classes, shown.names, seed), directory / "tsne.png")


def _commonest(codes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The CODES_SHOWN codes that occur most, in their own order, and how often each of all `count` occurs."""
    counts = np.bincount(codes, minlength=count)
    return np.sort(np.argsort(-counts, kind="stable")[:CODES_SHOWN]), counts


def write_videos(
    directory: Path, shown: Shown, model: LatentActionModel, predict: PredictNext, *, fps: float, gap: int
) -> None:
    """Roll-outs beside the truth, and a picture that a sequence of codes drives."""
    found, codes = shown.case.transitions, shown.case.codes
    steps = min(VIDEO_STEPS, longest_rollout(found, gap))
    now = rollout_starts(found, steps=steps, gap=gap, most=2)[-1] + np.arange(steps) * gap
    context = found.take(now[:1])[:, :-1]

    def driven(by: np.ndarray) -> np.ndarray:
        """A film for each row of codes [F, S]: uint8 [F, S, C, H, W]."""
        return continued(np.repeat(context, len(by), axis=0), by, predict)

    films = {"true": found.take(now)[:, -1], "inferred codes": driven(codes[now][None])[0]}
    if model.tokens == 1:
        often, _ = _commonest(codes, model.codes)
        held = driven(np.repeat(often[:, None], steps, axis=1))
        films |= {f"code {code}": film for code, film in zip(often, held, strict=True)}
    write_video(directory / "rollouts.mp4", tiled(films), fps)
    if shown.classes is None or model.tokens > 1:
        return
    typical = codes_of_classes(codes, shown.classes, model.codes, len(shown.names))
    order = np.repeat(np.arange(len(shown.names)), HELD_STEPS)
    film = zip(order, driven(typical[order][None])[0], strict=True)
    tiles = (_tile(frame, f"{shown.names[kind]}: code {typical[kind]}", WIDTH // COLUMNS) for kind, frame in film)
    write_video(directory / "driven.mp4", tiles, fps)


def tiled(films: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Films [S, C, H, W] of the same length by caption -> one picture a step."""
    columns = min(COLUMNS, len(films)) if len(films) <= FEW else 2 * COLUMNS
    for step in range(min(len(film) for film in films.values())):
        tiles = [_tile(film[step], caption, WIDTH // columns) for caption, film in films.items()]
        tiles += [np.full_like(tiles[0], 0) + np.uint8(BACKGROUND)] * (-len(tiles) % columns)
        rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
        yield np.concatenate(rows)


def _tile(frame: np.ndarray, caption: str, width: int) -> np.ndarray:
    image = np.ascontiguousarray(frame.transpose(1, 2, 0)[..., ::-1])
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.shape[2] == 1 else image
    times = max(1, round(width / image.shape[1]))
    image = cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_NEAREST)
    image = cv2.copyMakeBorder(
        image, CAPTION, image.shape[0] % 2, 0, image.shape[1] % 2, cv2.BORDER_CONSTANT, value=BACKGROUND
    )
    cv2.putText(image, caption, (4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, TEXT, 1, cv2.LINE_AA)
    return image
