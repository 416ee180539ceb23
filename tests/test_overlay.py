import av
import numpy as np
import pytest

from stages.evaluation import overlay
from stages.evaluation.overlay import draw_overlay, overlay_frames, write_video

NAMES = ("LEFT", "SHOOT")
HUMAN, PRESSED = np.array([[1, 0], [1, 1], [0, 0], [0, 0]]), np.array([[0, 0], [0, 1], [0, 1], [0, 0]])


def frame(height=90, width=160):
    return np.full((height, width, 3), 40, np.uint8)


def drawn(human=(1, 0), probabilities=(0.2, 0.9), pressed=(0, 1), playhead=0, image=None):
    """An episode of four frames; the values are those of the frame at the playhead."""
    others = np.arange(4)[:, None] != playhead
    human = None if human is None else np.where(others, HUMAN, human)
    pressed = np.where(others, PRESSED, pressed) if len(pressed) == 2 else np.tile(pressed, (4, 1))
    image = frame() if image is None else image
    return draw_overlay(image, NAMES, human, np.tile(probabilities, (4, 1)), pressed, playhead)


def share_of(image, color):
    return (image == np.array(color, np.uint8)).all(axis=2).mean()


@pytest.mark.parametrize("size", [(90, 160), (101, 333), (720, 1280), (200, 50)])
def test_the_picture_is_even_sided_and_the_game_keeps_its_shape(size):
    image = drawn(image=frame(*size))
    assert image.dtype == np.uint8 and image.shape[0] % 2 == 0 and image.shape[1] % 2 == 0
    scale = min(640 / size[1], 360 / size[0])
    assert image.shape[1] == pytest.approx(size[1] * scale + overlay.PANEL_WIDTH, abs=2)
    assert (image[: int(size[0] * scale) - 2, : int(size[1] * scale) - 2] == 40).all()


def test_a_key_that_is_down_is_filled_and_one_that_is_up_is_not():
    panel = np.s_[:360, 640:]
    nothing = drawn(human=(0, 0), pressed=(0, 0), probabilities=(0, 0))[panel]
    human = drawn(human=(1, 0), pressed=(0, 0), probabilities=(0, 0))[panel]
    both = drawn(human=(1, 0), pressed=(1, 1), probabilities=(0, 0))[panel]
    assert share_of(human, overlay.HUMAN) > share_of(nothing, overlay.HUMAN)
    assert share_of(both, overlay.HUMAN) == share_of(human, overlay.HUMAN)
    assert share_of(both, overlay.MODEL) > share_of(human, overlay.MODEL)


def test_the_bar_is_as_long_as_the_probability():
    panel = np.s_[:360, 640:]
    empty, half, full = (
        share_of(drawn(probabilities=(p, p), pressed=(0, 0))[panel], overlay.MODEL) for p in (0.0, 0.5, 1.0)
    )
    assert half - empty == pytest.approx((full - empty) / 2, rel=0.05)


def test_the_playhead_moves_from_left_to_right():
    strips = [drawn(playhead=i)[362:] for i in range(4)]
    places = [int(np.argmax((strip[3:-6] == overlay.TEXT).all(axis=2).sum(axis=0))) for strip in strips]
    width = 640 + overlay.PANEL_WIDTH - overlay.LABEL_WIDTH - 14
    assert places == pytest.approx([overlay.LABEL_WIDTH + width * (2 * i + 1) / 8 for i in range(4)], abs=1)


def test_without_a_person_there_is_one_lane_and_no_blue():
    image = drawn(human=None)
    assert share_of(image, overlay.HUMAN) == 0
    assert image.shape[0] < drawn().shape[0]


def test_keys_of_another_shape_are_an_error():
    with pytest.raises(ValueError, match=r"pressed has shape \(4, 3\), expected \(4, 2\)"):
        drawn(pressed=(0, 1, 1))


def test_overlay_frames_draws_each_frame_with_its_keys():
    keys = HUMAN, np.full((4, 2), 0.5), PRESSED
    images = list(overlay_frames([frame()] * 4, NAMES, *keys))
    assert len(images) == 4
    again = draw_overlay(frame(), NAMES, *keys, 1)
    assert (images[1] == again).all()


def moving_frames(count=12, size=(64, 96)):
    rng = np.random.default_rng(0)
    return [np.roll(rng.integers(0, 255, (*size, 3), dtype=np.uint8) // 2, i, axis=1) for i in range(count)]


def test_browsers_can_play_the_video(tmp_path):
    path = tmp_path / "out" / "a.mp4"
    assert write_video(path, iter(moving_frames()), 35 / 3) == 12
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == pytest.approx(35 / 3)
        assert sum(1 for _ in container.decode(stream)) == 12
    content = path.read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")  # a browser starts before all is loaded
    assert list(path.parent.iterdir()) == [path]


def test_equal_pictures_give_equal_bytes(tmp_path):
    for name in "ab":
        write_video(tmp_path / f"{name}.mp4", moving_frames(), 10)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_bad_videos_are_errors_and_leave_nothing(tmp_path):
    path = tmp_path / "a.mp4"
    with pytest.raises(ValueError, match="no frame to write"):
        write_video(path, [], 10)
    with pytest.raises(ValueError, match="97x64 is no size.*must be even"):
        write_video(path, [np.zeros((64, 97, 3), np.uint8)], 10)
    with pytest.raises(ValueError, match=r"frame 1 is uint8 \[64, 64, 3\], expected uint8 \[64, 96, 3\]"):
        write_video(path, [np.zeros((64, 96, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)], 10)
    assert list(tmp_path.iterdir()) == []
