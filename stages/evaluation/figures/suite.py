"""The suite of games: how far agents come on the way from blind to the player, game by game."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from stages.evaluation.figures.style import MUTED, action_color, grid, new_figure, title


def suite_figure(rows: Sequence[Mapping]) -> Figure:
    """A line a game: a dot a training with its 95 % interval, a colour a policy; 0 is blind and 1 the player.

    What is undefined (None) is left out.
    """
    games, policies = (list(dict.fromkeys(row[name] for row in rows)) for name in ("game", "policy"))
    figure, axes = new_figure(9, 1.2 + 0.5 * len(games))
    axis = axes[0, 0]
    for number, policy in enumerate(policies):
        mine = [row for row in rows if row["policy"] == policy and row["return_fraction"] is not None]
        places = [games.index(row["game"]) + 0.5 * (number + 0.5) / len(policies) - 0.25 for row in mine]
        for place, row in zip(places, mine, strict=True):
            ends = [row["return_fraction_low"], row["return_fraction_high"]]
            axis.plot(ends, [place] * 2, color=action_color(number), alpha=0.4)
        shares = [row["return_fraction"] for row in mine]
        axis.plot(shares, places, "o", color=action_color(number), markersize=5, label=policy)
    for share in (0, 1):
        axis.axvline(share, color=MUTED, linewidth=1, linestyle="--")
    axis.set_yticks(range(len(games)), [game.replace("_", " ") for game in games])
    axis.set_ylim(len(games) - 0.5, -0.5)
    axis.legend()
    title(axis, "Share of the way from the best who never looks (0) to the player (1), test games")
    grid(axis)
    return figure
