"""Stage convert: sessions and timelines -> data/episodes.zarr, one group an episode."""

from pathlib import Path

from tqdm import tqdm

from stages.episodes.conversion import (
    SessionJob,
    chosen_size,
    convert_sessions,
    describe,
    plan_episodes,
    union_of_state_columns,
)
from stages.episodes.mirror import declared_mirror
from stages.episodes.splits import split_of
from stages.episodes.store import StoreWriter
from stages.episodes.timelines import episode_spans, frame_rate, read_timelines
from stages.params import read_params
from stages.paths import EPISODES, TIMELINES
from stages.run import run_stage


def main() -> None:
    params = read_params()
    recordings = Path(params.recordings)
    timelines = read_timelines(TIMELINES)
    spans = {session: episode_spans(timeline.episode) for session, timeline in timelines.items()}
    episodes = [(session, episode) for session, members in spans.items() for episode, _, _ in members]
    plan = plan_episodes(spans, split_of(episodes, **params.split.model_dump()))
    print(describe(timelines, plan))

    (height, width), kept = chosen_size(recordings, plan, params.convert)
    if kept is not None:
        print(f"pictures of {width} x {height} px keep {kept:.0%} of the contrast of what moves")
    picture = {"width": width, "height": height, "color": params.convert.color}
    attrs = {
        "action_names": list(next(iter(timelines.values())).action_names),
        "state_columns": union_of_state_columns(recordings, list(timelines)),
        "fps": frame_rate(timelines),
        "recordings": params.recordings,
        "mirror": declared_mirror(recordings, list(timelines)),
        **picture,
    }
    with StoreWriter(EPISODES, attrs=attrs) as store:
        jobs = [
            SessionJob(
                recordings=recordings,
                timeline=TIMELINES / f"{session}.csv",
                session=session,
                spans=members,
                root=store.partial,
                state_columns=tuple(attrs["state_columns"]),
                on_bad_line=params.align.on_bad_line,
                intended=params.labels.intended,
                picture_fps=params.align.picture_fps,
                **picture,
            )
            for session, members in plan.items()
        ]
        frames = sum(span.info.length for members in plan.values() for span in members)
        with tqdm(total=frames, unit=" frames", desc="convert") as bar:
            convert_sessions(jobs, params.workers, bar.update)
    print(f"wrote {EPISODES}: {len(episodes)} episodes, {frames} frames of {width} x {height} px")


if __name__ == "__main__":
    run_stage(main)
