"""Fills the corner of the screen with noise that no encoder can make small."""

import tkinter

import numpy as np

SIDE = 320


def main() -> None:
    root, generator = tkinter.Tk(), np.random.default_rng(0)
    root.geometry(f"{SIDE}x{SIDE}+0+0")
    label = tkinter.Label(root, borderwidth=0)
    label.pack()

    def draw() -> None:
        pixels = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8).tobytes()
        picture = tkinter.PhotoImage(data=b"P6 %d %d 255\n" % (SIDE, SIDE) + pixels, format="PPM")
        label.configure(image=picture)
        label.image = picture  # tkinter does not keep it
        root.after(30, draw)

    draw()
    root.after(200, root.focus_force)  # nothing is recorded of a window that is not in front
    root.mainloop()


if __name__ == "__main__":
    main()
