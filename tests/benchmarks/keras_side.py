"""The usual Keras/TensorFlow scripts for the same networks: what the project's speed is measured against.

Written as tutorials and papers' repositories write them: float32, channels last, Conv2D + ReLU + MaxPooling,
a mirrored decoder of UpSampling2D + Conv2D, sequences built in advance, `fit` and `predict` as they come.
"""

import sys
from collections import deque
from pathlib import Path

from tests.benchmarks.child import keep_to_one_core, now, serve

keep_to_one_core()

import cv2  # noqa: E402  (after the process is pinned: these libraries count the cores when they start)
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

from tests.benchmarks import sizes  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
cv2.setNumThreads(1)


def encoder() -> keras.Model:
    """Frames [B, 72, 128, 1] in 0..1 -> latents [B, 512]."""
    x = frames = keras.Input((sizes.HEIGHT, sizes.WIDTH, 1))
    for channels in sizes.CHANNELS:
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2)(x)
    return keras.Model(frames, layers.Dense(sizes.LATENT)(layers.Flatten()(x)))


def autoencoder() -> keras.Model:
    """Frames [B, 72, 128, 1] -> the same, through the encoder and its mirror image."""
    cell = 2 ** len(sizes.CHANNELS)
    shape = (sizes.HEIGHT // cell, sizes.WIDTH // cell, sizes.CHANNELS[-1])
    squeeze = encoder()
    x = layers.Dense(int(np.prod(shape)), activation="relu")(squeeze.output)
    x = layers.Reshape(shape)(x)
    for channels in sizes.CHANNELS[-2::-1]:
        x = layers.UpSampling2D(2)(x)
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    x = layers.UpSampling2D(2)(x)
    x = layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)
    model = keras.Model(squeeze.input, x)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    return model


def policy(latent: int) -> keras.Model:
    """Latents [B, 10, latent] -> probabilities [B, A]: two recurrent layers."""
    model = keras.Sequential([keras.Input((sizes.WINDOW, latent))])
    model.add(layers.GRU(sizes.HIDDEN[0], return_sequences=True))
    model.add(layers.Dropout(sizes.DROPOUT))
    model.add(layers.GRU(sizes.HIDDEN[1]))
    model.add(layers.Dropout(sizes.DROPOUT))
    model.add(layers.Dense(sizes.ACTIONS, activation="sigmoid"))
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=keras.losses.BinaryFocalCrossentropy())
    return model


class StepTimer(keras.callbacks.Callback):
    """Seconds from the end of the first step to the end of the last: `fit` itself starts and ends outside."""

    def on_train_begin(self, logs=None):
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(now())

    @property
    def seconds(self) -> float:
        return self.ends[-1] - self.ends[0]


def fit_seconds(model: keras.Model, inputs: np.ndarray, targets: np.ndarray, batch: int, steps: int) -> float:
    """Seconds of `steps` steps of `fit`, after a first one that is not counted."""
    timer, rows = StepTimer(), np.arange(batch * (steps + 1)) % len(inputs)
    model.fit(inputs[rows], targets[rows], batch_size=batch, epochs=1, verbose=0, callbacks=[timer])
    return timer.seconds


class WindowPlayer:
    """The usual live loop: keep the last 10 frames, predict over all of them for every new one."""

    def __init__(self):
        frames = keras.Input((sizes.WINDOW, sizes.HEIGHT, sizes.WIDTH, 1))
        self._model = keras.Model(frames, policy(sizes.LATENT)(layers.TimeDistributed(encoder())(frames)))
        self._frames = deque(maxlen=sizes.WINDOW)

    def probabilities(self, image_bgr: np.ndarray) -> np.ndarray:
        gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
        small = cv2.resize(gray, (sizes.WIDTH, sizes.HEIGHT), interpolation=cv2.INTER_AREA)
        self._frames.append(small[..., None].astype(np.float32) / 255)
        while len(self._frames) < sizes.WINDOW:
            self._frames.append(self._frames[-1])
        return self._model.predict(np.stack(self._frames)[None], verbose=0)[0]

    def seconds(self, image_bgr: np.ndarray, frames: int) -> float:
        self.probabilities(image_bgr)
        start = now()
        for _ in range(frames):
            self.probabilities(image_bgr)
        return now() - start


def main() -> None:
    material = np.load(Path(sys.argv[1]) / "material.npz")
    frames = material["frames"].transpose(0, 2, 3, 1).astype(np.float32) / 255
    sequences, actions = material["latents"][material["windows"]], material["actions"].astype(np.float32)
    reconstruct, act, player = autoencoder(), policy(sizes.POLICY_LATENT), WindowPlayer()
    serve({
        "autoencoder": lambda steps: fit_seconds(reconstruct, frames, frames, sizes.BATCH, steps),
        "policy": lambda windows: fit_seconds(act, sequences, actions, sizes.BATCH, windows // sizes.BATCH),
        "play": lambda amount: player.seconds(material["image"], amount),
    })  # fmt: skip


if __name__ == "__main__":
    main()
