"""The video of a session: written so that equal frames give equal bytes, read frame by frame.

Colours are BT.601, limited range, 4:2:0. Reading takes back what writing did: `bgr` is the one conversion of a decoded
frame, by the colour matrix and the range that the file names (BT.709 in many foreign recordings), without bias.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from stages.recordings.pictures import read_pictures

# The default conversion of swscale darkens a picture by a level or two, each way.
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT

# The weights of red and blue in Y (ITU-R BT.709 and BT.601) by the number that a video names its colour
# matrix with (ITU-T H.273); 2 is "not named", which decoders take for BT.601.
BT601 = (0.299, 0.114)
PRIMARY_WEIGHTS = {1: (0.2126, 0.0722), 2: BT601, 5: BT601, 6: BT601}

# x264's macroblock tree reads memory that nobody wrote (version 165): the same frames gave up to six different files.
X264 = {"preset": "veryfast", "x264-params": "mbtree=0:bframes=0"}


class VideoWriter:
    """H.264 in an mp4 at a constant frame rate. One encoder thread: their number changes bytes and pixels."""

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        fps: float,
        crf: int,
        encoder: Mapping[str, str] | None = None,
        container: Mapping[str, str] | None = None,
    ):
        """`fps` in frames a second, `crf` 0..51 (lower is better); ValueError for odd sizes (4:2:0).

        `encoder` and `container`: further options of x264, in place of X264's where both name one, and of the mp4.
        """
        if width % 2 or height % 2:
            raise ValueError(f"{path}: {width}x{height} is no size for H.264 video; width and height must be even")
        self._shape = (height, width, 3)
        self._path = Path(path)
        self._container = av.open(str(path), "w", format="mp4", container_options=dict(container or {}))
        rate = Fraction(fps).limit_denominator(1001)
        options = {"crf": str(crf), **X264, **(encoder or {})}
        self._stream = self._container.add_stream("libx264", rate=rate, options=options)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        context = self._stream.codec_context
        context.thread_count = 1
        context.color_range, context.colorspace = ColorRange.MPEG, 5  # 5, 5, 6: BT.601 in the terms of H.264
        context.color_primaries, context.color_trc = 5, 6
        self._reformatter = VideoReformatter()
        self._last: av.VideoFrame | None = None
        self.frames, self._closed = 0, False

    def write(self, image: np.ndarray) -> None:
        """Append one uint8 BGR image [H, W, 3]."""
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(
                f"{self._path}: frame {self.frames} is {image.dtype} {list(image.shape)}, "
                f"expected uint8 {list(self._shape)} (height, width, BGR)"
            )
        self._last = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24"),
            format="yuv420p",
            interpolation=EXACT,
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        self.repeat()

    def repeat(self) -> None:
        """Append the last image once more."""
        self._last.pts = self.frames
        self._container.mux(self._stream.encode(self._last))
        self.frames += 1

    def close(self) -> None:
        """Finish the file; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.frames:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


def read_frames(path: str | Path) -> Iterator[np.ndarray]:
    """Every frame of a video, or of a folder of numbered pictures, in order, uint8 BGR [H, W, 3].

    Raises ValueError with the number of readable frames when the file is no video, is damaged or ends too early.
    """
    if Path(path).is_dir():
        yield from read_pictures(Path(path))
        return
    for frame in decoded(path):
        yield bgr(frame)


def bgr(frame: av.VideoFrame) -> np.ndarray:
    """A decoded frame as a picture, uint8 BGR [H, W, 3]: the inverse of what VideoWriter does, within rounding."""
    if not named_420(frame):
        # One thread: swscale's own cost more than they bring.
        return frame.reformat(format="bgr24", interpolation=EXACT, threads=1).to_ndarray()
    if PRIMARY_WEIGHTS[frame.colorspace] == BT601 and not full_range(frame):  # the same in whole numbers, faster
        planes = [np.ascontiguousarray(plane(frame, index)).ravel() for index in range(3)]
        return cv2.cvtColor(np.concatenate(planes).reshape(-1, frame.width), cv2.COLOR_YUV2BGR_I420)
    size = (frame.width, frame.height)
    chroma = (cv2.resize(plane(frame, index), size, interpolation=cv2.INTER_NEAREST) for index in (1, 2))
    return cv2.transform(cv2.merge([plane(frame, 0), *chroma]), to_bgr(frame))


def named_420(frame: av.VideoFrame) -> bool:
    """Whether a frame holds colour at half its width and height, by one of the matrices above."""
    fits = frame.format.name in ("yuv420p", "yuvj420p") and frame.colorspace in PRIMARY_WEIGHTS
    return fits and frame.width % 2 == 0 and frame.height % 2 == 0


def full_range(frame: av.VideoFrame) -> bool:
    """Whether black is 0 and white 255, not 16 and 235."""
    return frame.color_range == ColorRange.JPEG or frame.format.name == "yuvj420p"


def plane(frame: av.VideoFrame, index: int) -> np.ndarray:
    """Plane Y (0), Cb (1) or Cr (2) of a frame, uint8 [h, w]; it lives as long as the frame."""
    found = frame.planes[index]
    return np.frombuffer(found, np.uint8).reshape(-1, found.line_size)[: found.height, : found.width]


def to_bgr(frame: av.VideoFrame) -> np.ndarray:
    """The matrix float32 [3, 4] that leads from (Y, Cb, Cr, 1) of a frame to (B, G, R)."""
    return _to_bgr(*PRIMARY_WEIGHTS[frame.colorspace], full_range(frame))


@cache
def _to_bgr(red: float, blue: float, full: bool) -> np.ndarray:
    """ITU-R BT.601, 2.5: `red` and `blue` are the weights in Y."""
    green = 1 - red - blue
    y, chroma, black = (1.0, 2.0, 0) if full else (255 / 219, 2 * 255 / 224, 16)
    from_blue, from_red = chroma * (1 - blue), chroma * (1 - red)
    matrix = np.array(
        [[y, from_blue, 0], [y, -from_blue * blue / green, -from_red * red / green], [y, 0, from_red]], np.float32
    )
    return np.column_stack([matrix, -matrix @ np.array([black, 128, 128], np.float32)])


def count_frames(path: str | Path) -> int:
    """The number of frames, by decoding them all; ValueError as `read_frames`."""
    return sum(1 for _ in _frames(path))


def readable_frames(path: str | Path) -> tuple[int, str | None]:
    """How many frames can be decoded up to the first damage, and what that is (None: a sound file)."""
    count = 0
    try:
        for _ in _frames(path):
            count += 1
    except ValueError as error:
        return count, str(error)
    return count, None


def _frames(path: str | Path) -> Iterator:
    """Every frame, in whatever form costs least."""
    return read_pictures(Path(path)) if Path(path).is_dir() else decoded(path)


def decoded(path: str | Path) -> Iterator[av.VideoFrame]:
    """Every frame as the decoder gives it, not converted; ValueError as `read_frames`."""
    path, count = Path(path), 0
    try:
        with av.open(str(path)) as container:
            stream = _pictures_of(container, path)
            stream.thread_type = "AUTO"
            size = None
            for frame in container.decode(stream):
                if frame.is_corrupt:  # the decoder makes something up, which the frames after it build on
                    raise ValueError(_damaged(path, count, "the next one is corrupt"))
                size = size or _upright(frame, path)
                if (frame.width, frame.height) != size:
                    raise ValueError(
                        f"{path}: frame {count} is {frame.width}x{frame.height} px, those before {size[0]}x{size[1]}; "
                        f"the window changed its size: cut the recording there"
                    )
                count += 1
                yield frame
            hidden = stream.frames - count
    except av.error.FileNotFoundError:
        raise ValueError(f"{path} is missing; restore this video or take its session out") from None
    except (av.error.FFmpegError, UnicodeDecodeError) as error:  # the latter from words in a damaged header
        raise ValueError(_damaged(path, count, getattr(error, "strerror", None) or str(error))) from None
    missing = _bytes_missing(path)
    if missing:
        raise ValueError(_damaged(path, count, f"{missing} bytes are missing at its end"))
    if hidden > 0:
        raise ValueError(
            f"{path} holds {hidden + count} frames, of which its edit list hides {hidden} (a cut without encoding "
            f"anew): nobody can tell which lines of the frame log they are; take the uncut video"
        )


def _pictures_of(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    """The one video track, beside cover pictures."""
    cover = av.stream.Disposition.attached_pic
    tracks = [stream for stream in container.streams.video if not stream.disposition & cover]
    if len(tracks) != 1:
        what = "no video track" if not tracks else f"{len(tracks)} video tracks, and nobody says which is the game"
        raise ValueError(f"{path} holds {what}; a session's video has one")
    return tracks[0]


def _upright(frame: av.VideoFrame, path: Path) -> tuple[int, int]:
    """Width and height of the first frame."""
    if frame.rotation:
        raise ValueError(
            f"{path} says that players turn its pictures by {frame.rotation} degrees, but the game is seen as it is "
            f"stored; write it anew turned: ffmpeg -i {path.name} turned.mp4"
        )
    return frame.width, frame.height


def _damaged(path: Path, count: int, what: str) -> str:
    return (
        f"{path} is damaged or cut short after {count} readable frames ({what}); "
        f"copy it again, or take this session out of the recordings"
    )


def _bytes_missing(path: Path) -> int:
    """By how many bytes the last box of an mp4 reaches beyond the end of the file (ISO/IEC 14496-12, 4.2).

    A decoder says nothing when whole frames are cut off at the end.
    """
    size, start = path.stat().st_size, 0
    with path.open("rb") as file:
        if file.read(12)[4:8] != b"ftyp":
            return 0
        while start + 8 <= size:
            file.seek(start)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # 0: the box reaches to the end of the file
                return 0
            start += length
    return max(start - size, 0)
