"""The bundled Doom games, by ViZDoom with the free textures of its wheel.

doom_center: the player stands in the middle of a round arena and turns; demons come from all sides; each
kill is 1, death is -1; 26 rounds. doom_line: the player strafes before a wall of demons that throw fireballs.
Three tics of 1/35 s are a frame. Angles are degrees, positive to the left; positions are Doom's map units.
"""

import contextlib
import math
import tempfile
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import vizdoom

from stages.games.game import Game, Held, Script, State
from stages.params import Section

# At 16:9 the engine shows 106 degrees: the focal length is 120 px of a picture 320 px wide.
# Fitted to the engine's own labels of 1,000 objects, which it meets within half a pixel.
FOCAL_SHARE = 120 / 320
HALF_VIEW_DEG = math.degrees(math.atan(0.5 / FOCAL_SHARE))
EYE_HEIGHT = 41  # of Doom's player above the floor, map units
MONSTER_MIDDLE = 28  # half the height of a demon or imp

MONSTERS = ("Demon", "MarineChainsawVzd", "DoomImp")
PROJECTILES = ("DoomImpBall",)
NO_OPTIONS = Section()
SMALLEST = vizdoom.ScreenResolution.RES_256X144  # of the engine's 16:9 pictures
NEAREST = 3
THING_COLUMNS = ("id", "x", "y", "bearing_deg", "distance")
VIEW_COLUMNS = ("in_view", "x_px", "y_px", "distance")
PLAYER_COLUMNS = ("player_x", "player_y", "player_angle_deg", "player_health", "player_ammo", "player_kills")


def thing_columns(kind: str, count: int = NEAREST) -> tuple[str, ...]:
    """The state columns of one kind of thing: the nearest in view, then the `count` nearest one by one."""
    each = (f"{kind}{n}_{name}" for n in range(1, count + 1) for name in THING_COLUMNS)
    return (*(f"{kind}_{name}" for name in VIEW_COLUMNS), *each)


def _visible(state: State, kind: str) -> list[dict[str, float]]:
    """The things of a kind that are on the screen, the nearest first."""
    things = ({name: state[f"{kind}{n}_{name}"] for name in THING_COLUMNS} for n in range(1, NEAREST + 1))
    return [thing for thing in things if abs(thing["bearing_deg"]) < HALF_VIEW_DEG]  # NaN compares false


class CenterScript(Script):
    """doom_center: look round until a demon is near, turn to it and shoot it.

    Demons further away than `engage` are left alone: the pistol seldom hits them, and whoever waits for them is
    bitten from behind. The numbers are those of some twenty tried that scored best with a person's delay.
    """

    turn_deg = 10.5  # a frame, once the turn is under way
    dash_deg = 21.1
    engage = 380.0  # map units
    body = 18.0  # half the width of a demon that a shot must meet, map units

    def __init__(self):
        self._side = "LEFT"
        self._target: float | None = None

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        near = [thing for thing in _visible(state, "enemy") if thing["distance"] < self.engage]
        if not near:
            self._target = None
            return frozenset({self._side})
        target = self._chosen(near)
        bearing = target["bearing_deg"] - sum(self._turned(wish) for wish in pending)
        wide = math.degrees(math.atan2(self.body, target["distance"]))
        held = set()
        if abs(bearing) > max(wide, 0.35 * self.turn_deg):
            self._side = "LEFT" if bearing > 0 else "RIGHT"
            held.add(self._side)
            if abs(bearing) > self.dash_deg:
                held.add("DASH")
        if abs(bearing) < max(1.2 * wide, 3.0):
            held.add("SHOOT")
        return frozenset(held)

    def _chosen(self, seen: list[dict[str, float]]) -> dict[str, float]:
        """The demon it is busy with, unless another one has come much nearer."""
        nearest = seen[0]
        kept = next((thing for thing in seen if thing["id"] == self._target), None)
        if kept is None or nearest["distance"] < 0.6 * kept["distance"]:
            kept = nearest
        self._target = kept["id"]
        return kept

    def _turned(self, wish: frozenset[str]) -> float:
        """Degrees to the left that a wish turns the player in one frame."""
        side = ("LEFT" in wish) - ("RIGHT" in wish)
        return side * (self.dash_deg if "DASH" in wish else self.turn_deg)


class LineScript(Script):
    """doom_line: strafe in front of the nearest demon in view and shoot; dash out of a fireball's way."""

    stride = 24.0  # map units that a frame of strafing moves, once it is under way
    aligned = 18.0  # map units off a demon's line that still hit it
    near_s = 0.9  # a fireball that is this near in time is dodged
    ball_speed = 350.0  # map units a second
    ball_width = 44.0  # map units beside its line that are safe

    def __init__(self):
        self._side = "LEFT"
        self._target: float | None = None
        self._dodging = 0

    def wish(self, state: State, pending: list[frozenset[str]]) -> frozenset[str]:
        moved = sum((("LEFT" in w) - ("RIGHT" in w)) * self.stride * (2 if "DASH" in w else 1) for w in pending)
        danger = self._danger(state, moved)
        if danger is not None:
            if not self._dodging:
                self._side = "RIGHT" if danger > 0 else "LEFT"
                self._dodging = 3
            return frozenset({self._side, "DASH", "SHOOT"})
        self._dodging = max(self._dodging - 1, 0)
        seen = _visible(state, "enemy")
        if not seen:
            return frozenset()
        target = next((thing for thing in seen if thing["id"] == self._target), seen[0])
        self._target = target["id"]
        offset = self._offset(target) - moved
        held = {"SHOOT"} if abs(offset) < 2 * self.aligned else set()
        if abs(offset) > self.aligned:
            self._side = "LEFT" if offset > 0 else "RIGHT"
            held.add(self._side)
        return frozenset(held)

    def _danger(self, state: State, moved: float) -> float | None:
        """How far to the left, map units, the nearest fireball will pass; None when none comes near."""
        for ball in _visible(state, "projectile"):
            passing = self._offset(ball) - moved
            if ball["distance"] < self.near_s * self.ball_speed and abs(passing) < self.ball_width:
                return passing
        return None

    @staticmethod
    def _offset(thing: dict[str, float]) -> float:
        """How far to the left of the line of fire a thing is, map units."""
        return thing["distance"] * math.sin(math.radians(thing["bearing_deg"]))


class Doom(Game):
    """A ViZDoom scenario whose buttons follow the actions LEFT, RIGHT, SHOOT, DASH."""

    tic_rate_hz = 35
    tics_per_frame = 3
    keys = {"LEFT": "Key.left", "RIGHT": "Key.right", "SHOOT": "Key.space", "DASH": "Key.shift"}
    mirror = {"LEFT": "RIGHT"}
    state_columns = (*PLAYER_COLUMNS, *thing_columns("enemy"), *thing_columns("projectile"))
    events = {
        "shot fired": ("player_ammo", "falls"),
        "kill": ("player_kills", "rises"),
        "hit taken": ("player_health", "falls"),
    }
    scenario: str
    buttons: dict[str, vizdoom.Button]
    episode_tics = 2100  # the game's own cap
    nearest: Mapping[str, int] = {"enemy": NEAREST, "projectile": NEAREST}  # things of a kind that a state row tells

    def __init__(self, *, width: int, height: int, options: Section = NO_OPTIONS, sighted: bool = True):
        """`width` x `height` is one of the engine's 16:9 sizes; ValueError otherwise.

        A game that is not `sighted` draws as little as the engine can, which is twice as fast; its frames are of
        no use, its states are. (The engine can draw nothing at all, but then it does not count the score.)
        """
        size = getattr(vizdoom.ScreenResolution, f"RES_{width}X{height}", None)
        if size is None or width * 9 != height * 16:
            raise ValueError(
                f"collect.width x collect.height is {width}x{height}; Doom has 256x144, 320x180, 640x360, ..."
            )
        self._width, self._height = width, height
        self._game = vizdoom.DoomGame()
        self._game.load_config(str(Path(vizdoom.scenarios_path) / f"{self.scenario}.cfg"))
        self._game.set_window_visible(False)
        self._game.set_screen_format(vizdoom.ScreenFormat.BGR24)
        self._game.set_render_hud(False)
        self._game.set_objects_info_enabled(True)
        self._game.set_available_buttons(list(self.buttons.values()))
        variables = ("POSITION_X", "POSITION_Y", "ANGLE", "HEALTH", "AMMO2", "KILLCOUNT")
        self._game.set_available_game_variables([getattr(vizdoom.GameVariable, name) for name in variables])
        self._game.set_episode_timeout(self.episode_tics)
        if not sighted:
            self._draw_little()
        self._game.set_screen_resolution(size if sighted else SMALLEST)
        # The engine leaves files in the folder it starts in, and two that start in the same one collide.
        self._folder = tempfile.TemporaryDirectory(prefix="understudy-doom-", ignore_cleanup_errors=True)
        with contextlib.chdir(self._folder.name):
            self._game.init()

    def _draw_little(self) -> None:
        self._game.set_screen_format(vizdoom.ScreenFormat.GRAY8)
        self._game.set_render_weapon(False)
        self._game.set_render_crosshair(False)
        self._game.set_render_decals(False)
        self._game.set_render_particles(False)
        self._game.set_render_effects_sprites(False)

    def reset(self, seed: int) -> None:
        self._game.set_seed(seed)  # must precede new_episode, or the episode is another one
        self._game.new_episode()

    def step(self, held: Sequence[Held]) -> None:
        for actions, tics in groupby(held):  # fewer calls: each of them waits for the engine
            self._game.set_action([float(name in actions) for name in self.buttons])
            self._game.advance_action(len(list(tics)))
            if self.done:
                return

    def frame(self) -> np.ndarray:
        return self._game.get_state().screen_buffer

    def state(self) -> dict[str, float]:
        found = self._game.get_state()
        row = dict(zip(PLAYER_COLUMNS, map(float, found.game_variables), strict=True))
        enemies = [thing for thing in found.objects if thing.name in MONSTERS]
        # A fireball that has hit something stays in the list with no velocity.
        balls = [t for t in found.objects if t.name in PROJECTILES and (t.velocity_x or t.velocity_y)]
        return row | self._things("enemy", enemies, row) | self._things("projectile", balls, row)

    def _things(self, kind: str, things: list, player: dict[str, float]) -> dict[str, float]:
        row = dict.fromkeys(thing_columns(kind, self.nearest[kind]), math.nan)
        placed = sorted((self._placed(thing, player) for thing in things), key=lambda place: place["distance"])
        seen = [place for place in placed if abs(place["bearing_deg"]) < HALF_VIEW_DEG]
        row[f"{kind}_in_view"] = float(bool(seen))
        if seen:
            row |= {f"{kind}_{name}": value for name, value in self._on_screen(seen[0]).items()}
        for n, place in enumerate(placed[: self.nearest[kind]], start=1):
            row |= {f"{kind}{n}_{name}": value for name, value in place.items()}
        return row

    def _placed(self, thing, player: dict[str, float]) -> dict[str, float]:
        dx, dy = thing.position_x - player["player_x"], thing.position_y - player["player_y"]
        bearing = math.degrees(math.atan2(dy, dx)) - player["player_angle_deg"]
        place = (thing.id, thing.position_x, thing.position_y, (bearing + 180) % 360 - 180, math.hypot(dx, dy))
        return dict(zip(THING_COLUMNS, place, strict=True))

    def _on_screen(self, place: dict[str, float]) -> dict[str, float]:
        focal_px = self._width * FOCAL_SHARE
        angle = math.radians(place["bearing_deg"])
        depth = max(place["distance"] * math.cos(angle), 1.0)
        return {
            "x_px": self._width / 2 - focal_px * math.tan(angle),
            "y_px": self._height / 2 + focal_px * (EYE_HEIGHT - MONSTER_MIDDLE) / depth,
            "distance": place["distance"],
        }

    @property
    def score(self) -> float:
        return self._game.get_total_reward()

    @property
    def done(self) -> bool:
        return self._game.is_episode_finished()

    @property
    def outcome(self) -> str:
        return "died" if self._game.is_player_dead() else "time ran out"

    def close(self) -> None:
        self._game.close()
        self._folder.cleanup()


class DoomCenter(Doom):
    script = CenterScript
    scenario = "defend_the_center"
    buttons = {
        "LEFT": vizdoom.Button.TURN_LEFT,
        "RIGHT": vizdoom.Button.TURN_RIGHT,
        "SHOOT": vizdoom.Button.ATTACK,
        "DASH": vizdoom.Button.SPEED,  # turns twice as fast
    }


class DoomLine(Doom):
    script = LineScript
    scenario = "defend_the_line"
    buttons = {
        "LEFT": vizdoom.Button.MOVE_LEFT,
        "RIGHT": vizdoom.Button.MOVE_RIGHT,
        "SHOOT": vizdoom.Button.ATTACK,
        "DASH": vizdoom.Button.SPEED,  # strafes twice as fast
    }
