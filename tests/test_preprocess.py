import av
import cv2
import numpy as np
import pytest

from stages.episodes.decode import read_small_frames
from stages.episodes.preprocess import contrast_kept, picture_size, preprocess, shrink_for, shrunk, shrunk_to
from stages.params import ConvertParams
from stages.recordings.video import VideoWriter, read_frames


def test_gray_is_the_mean_of_the_pixels_of_a_cell():
    image = np.zeros((4, 6, 3), np.uint8)
    image[:2, :2] = [[[0] * 3, [100] * 3], [[200] * 3, [60] * 3]]
    small = preprocess(image, width=3, height=2, color="gray")
    assert small.dtype == np.uint8
    assert small.tolist() == [[[90, 0, 0], [0, 0, 0]]]


def test_rgb_turns_the_channels_of_bgr_around():
    image = np.zeros((4, 6, 3), np.uint8)
    image[:] = (10, 20, 30)
    small = preprocess(image, width=3, height=2, color="rgb")
    assert small.shape == (3, 2, 3)
    assert small[:, 0, 0].tolist() == [30, 20, 10]
    assert small.flags.c_contiguous


def test_gray_weighs_colours_as_bt601_does():
    for channel, luma in enumerate((29, 150, 76)):  # .114, .587 and .299 of 255
        image = np.zeros((2, 2, 3), np.uint8)
        image[..., channel] = 255
        assert preprocess(image, width=1, height=1, color="gray").item() == luma


def test_a_picture_of_the_right_size_stays_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (72, 128, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        preprocess(image, width=128, height=72, color="rgb"), image[..., ::-1].transpose(2, 0, 1)
    )


@pytest.mark.parametrize("image", [np.zeros((4, 6), np.uint8), np.zeros((4, 6, 4), np.uint8), np.zeros((4, 6, 3))])
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match="must be uint8 .* in BGR, found"):
        preprocess(image, width=3, height=2, color="gray")


def test_an_unknown_colour_is_refused():
    with pytest.raises(ValueError, match=r"color is 'grey', expected one of \['gray', 'rgb'\]"):
        preprocess(np.zeros((4, 6, 3), np.uint8), width=3, height=2, color="grey")


def moving_picture(number, width, height):
    """A soft coloured pattern that moves, with a block of text-like stripes in it: uint8 BGR."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(x / 37 + number / 5), np.cos(y / 23 - number / 7), np.sin((x + y) / 61)]
    image = np.stack([127 + 90 * waves[i] * waves[(i + 1) % 3] for i in range(3)], axis=-1)
    image[height // 3 : height // 2, width // 4 : width // 2] = np.where((x // 4 + number) % 2, 230, 20)[
        height // 3 : height // 2, width // 4 : width // 2, None
    ]
    return image.astype(np.uint8)


@pytest.fixture(scope="module", params=["bt601", "bt709"])
def video(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    images = [moving_picture(number, 640, 320) for number in range(12)]
    if request.param == "bt601":
        writer = VideoWriter(path, width=640, height=320, fps=30, crf=20)
        for image in images:
            writer.write(image)
        writer.close()
        return path
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 640, 320, "yuv420p"
        stream.codec_context.colorspace = 1
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("color", ["gray", "rgb"])
@pytest.mark.parametrize(("width", "height"), [(64, 32), (80, 40), (100, 50), (640, 320)])
def test_a_video_is_read_as_preprocess_sees_its_frames(video, width, height, color):
    expected = [preprocess(image, width=width, height=height, color=color) for image in read_frames(video)]
    found = list(read_small_frames(video, width=width, height=height, color=color, wanted=np.ones(12, bool)))
    assert len(found) == 12
    difference = np.stack(found).astype(int) - np.stack(expected)
    assert np.abs(difference).max() <= 1
    assert abs(difference.mean()) < 0.1


def test_opencv_reads_the_same_a_level_darker(video):
    capture = cv2.VideoCapture(str(video))
    found = read_small_frames(video, width=64, height=32, color="gray", wanted=np.ones(12, bool))
    for small in found:
        readable, image = capture.read()
        assert readable
        gray = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (64, 32), interpolation=cv2.INTER_AREA)
        difference = small[0].astype(int) - gray
        assert np.abs(difference).max() <= 3
        assert 0.5 < difference.mean() < 1.5


def test_only_wanted_frames_are_given(video):
    every = list(read_small_frames(video, width=64, height=32, color="gray", wanted=np.ones(12, bool)))
    wanted = np.zeros(12, bool)
    wanted[[2, 3, 9]] = True
    some = list(read_small_frames(video, width=64, height=32, color="gray", wanted=wanted))
    np.testing.assert_array_equal(np.stack(some), np.stack([every[2], every[3], every[9]]))
    assert list(read_small_frames(video, width=64, height=32, color="gray", wanted=wanted[:2])) == []


def test_too_short_a_video_says_how_many_frames_it_has(video):
    with pytest.raises(ValueError, match=r"v.mp4 has 12 frames, at least 13 are expected"):
        list(read_small_frames(video, width=64, height=32, color="gray", wanted=np.ones(13, bool)))


@pytest.mark.parametrize(
    ("source", "asked", "pixels", "size"),
    [
        ((720, 1280), {}, 36864, (144, 256)),
        ((720, 1280), {}, 9216, (72, 128)),
        ((210, 160), {}, 36864, (210, 160)),  # small enough as it is
        ((210, 160), {}, 9216, (105, 80)),  # cells of whole pixels
        ((1050, 1680), {}, 36864, (150, 240)),
        ((1080, 1920), {}, 100_000, (234, 416)),
        ((720, 1280), {"width": 100}, 9216, (56, 100)),
        ((720, 1280), {"height": 36}, 9216, (36, 64)),
        ((720, 1280), {"width": 128, "height": 128}, 9216, (128, 128)),
        ((3, 4000), {}, 100, (1, 360)),
    ],
)
def test_pictures_keep_the_aspect_of_the_recording(source, asked, pixels, size):
    params = ConvertParams(**{"width": "auto", "height": "auto", "pixels": (pixels,), "color": "gray"} | asked)
    assert picture_size(params, source, pixels) == size


def test_what_one_pixel_shows_is_lost_in_a_smaller_picture_and_a_large_thing_is_not():
    thin, broad = (np.zeros((40, 60), np.uint8) for _ in range(2))
    thin[10:20, 31], broad[10:30, 20:40] = 200, 200
    nothing = np.zeros((40, 60), np.uint8)
    assert contrast_kept([nothing], [thin], (40, 60)) == 1.0
    assert contrast_kept([nothing], [thin], (20, 30)) < 0.5 < 0.9 < contrast_kept([nothing], [broad], (20, 30))
    assert contrast_kept([nothing], [nothing], (20, 30)) == 1.0


def test_pictures_shrink_until_they_are_small_enough():
    assert [shrink_for((144, 256), pixels) for pixels in (40_000, 36_864, 9216, 9215, 1)] == [1, 1, 2, 3, 129]


def test_shrunk_pictures_are_the_means_of_whole_cells_for_every_frame_and_colour():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 6, 8), dtype=np.uint8)
    cells = frames.reshape(2, 3, 3, 2, 4, 2).mean(axis=(3, 5))
    assert np.abs(shrunk(frames, 2) - cells).max() <= 0.5
    assert shrunk(frames, 1) is frames
    assert shrunk(frames[..., :5, :7], 2).shape == (2, 3, 2, 3) and shrunk(frames, 20).shape == (2, 3, 1, 1)


def test_a_model_made_for_other_pictures_is_refused():
    frames = np.zeros((1, 1, 144, 256), np.uint8)
    assert shrunk_to(frames, (72, 128)).shape == (1, 1, 72, 128) and shrunk_to(frames, (144, 256)) is frames
    for size in ((72, 96), (300, 500)):
        with pytest.raises(ValueError, match="pictures of 256 x 144 px do not shrink to"):
            shrunk_to(frames, size)
