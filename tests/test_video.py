"""Pictures come out of a video as they went in: one conversion, no bias, and live pictures are the decoded ones."""

from itertools import pairwise

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from stages.episodes.decode import read_small_frames
from stages.episodes.preprocess import preprocess
from stages.games.rollout import GameSetting, play_script, replayed_frames
from stages.params import read_params
from stages.recordings.video import EXACT, VideoWriter, bgr, named_420, read_frames

SEED = 1_000_000


def patches() -> np.ndarray:
    """Even patches of 16 x 16 px in 96 colours, uint8 BGR [128, 192, 3]."""
    colours = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return colours.repeat(16, axis=0).repeat(16, axis=1)


def coded(image: np.ndarray, kind: str, matrix: Colorspace, levels: ColorRange) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(image, format="bgr24")
    return frame.reformat(format=kind, dst_colorspace=matrix, dst_color_range=levels, interpolation=EXACT, threads=1)


@pytest.mark.parametrize("levels", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709])
@pytest.mark.parametrize("kind", ["yuv420p", "yuv444p", "nv12"])
def test_a_picture_comes_back_by_the_matrix_and_range_that_the_frame_names(kind, matrix, levels):
    image = patches()
    frame = coded(image, kind, matrix, levels)
    assert named_420(frame) == (kind == "yuv420p")
    found = bgr(frame)
    inside = (found.astype(int) - image).reshape(8, 16, 12, 16, 3)[:, 4:12, :, 4:12]  # chroma rings at the edges
    assert np.abs(inside).max() <= 3
    assert abs(inside.mean()) < (0.1 if levels == ColorRange.MPEG else 0.5)  # swscale writes full range a bit darker


def test_both_ways_of_conversion_are_the_exact_one():
    """Where the decoder's format is known, cv2 converts; it must do what swscale does when it is told to be exact."""
    for matrix, levels in ((Colorspace.ITU601, ColorRange.MPEG), (Colorspace.ITU709, ColorRange.MPEG)):
        smooth = np.add.outer(np.arange(64), np.arange(96))[..., None] + np.array([0, 40, 90])
        frame = coded(smooth.astype(np.uint8), "yuv420p", matrix, levels)
        exact = frame.reformat(format="bgr24", interpolation=EXACT, threads=1).to_ndarray()
        difference = bgr(frame)[4:-4, 4:-4].astype(int) - exact[4:-4, 4:-4]
        assert abs(difference.mean()) < 0.15
        assert np.abs(difference).max() <= 2


@pytest.fixture(scope="module", params=[(320, 180), (1280, 720)], ids=["320x180", "1280x720"])
def replayed(request, tmp_path_factory):
    """An episode of doom_center as it is on the screen and its recording: (pictures, video)."""
    width, height = request.param
    params = read_params()
    setting = GameSetting("doom_center", width, height, params.actions, 4)
    live = list(replayed_frames(setting, play_script(setting, params.collect.script, [SEED])[0]))
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    writer = VideoWriter(path, width=width, height=height, fps=35 / 3, crf=params.collect.crf)
    for image in live:
        writer.write(image)
    writer.close()
    return live, path


@pytest.mark.parametrize("color", ["gray", "rgb"])
def test_live_pictures_are_the_decoded_ones(replayed, color):
    """What H.264 loses at crf 20 is left: no bias, a mean of less than a level in grey."""
    live, path = replayed
    size = {"width": 128, "height": 72, "color": color}
    stored = np.stack(list(read_small_frames(path, **size, wanted=np.ones(len(live), bool)))).astype(int)
    seen = np.stack([preprocess(image, **size) for image in live])
    read = np.stack([preprocess(image, **size) for image in read_frames(path)])
    assert any((a != b).any() for a, b in pairwise(seen))
    assert abs((stored - seen).mean()) < (0.08 if color == "gray" else 0.15)
    assert np.abs(stored - seen).mean() < (0.9 if color == "gray" else 1.3)
    assert np.abs(stored - read).max() <= 1
    assert abs((stored - read).mean()) < 0.06
