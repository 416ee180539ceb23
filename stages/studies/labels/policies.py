"""A policy from n labels, in the bundled game: data/labels/played/<count>-<policy>.json; null for own recordings.

The acting rule is chosen by playing validation seeds, then the test seeds are played once.
"""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from stages.episodes.store import EpisodeStore
from stages.evaluation.returns import chosen_elsewhere
from stages.games.catalog import TEST_SEEDS, VALIDATION_SEEDS, agent_can_play, game_seeds, options_of
from stages.games.rollout import AgentGames, GameSetting, Workers
from stages.latent_actions.few_label_policies import clone_pseudo_labels, decode_latent_policy, learn_codes
from stages.latent_actions.few_labels import absent_actions
from stages.latent_actions.pseudo_labels import Video, decoder_of
from stages.learning.checkpoints import write_json
from stages.learning.compute import Compute, prepare_compute
from stages.learning.training import FitSettings
from stages.models.acting import RULES, Acting
from stages.models.agent import About, Agent
from stages.models.autoencoder import load_autoencoder
from stages.models.policies.policy import Policy
from stages.models.policies.registry import load_policy, made_policy, section_of
from stages.params import Params
from stages.paths import ENCODER, EPISODES, LATENT_STORE
from stages.run import run_stage
from stages.studies.labels.inputs import (
    LATENT_POLICY,
    PLAYED,
    UNLEARNED,
    UNSHAPED,
    chosen_file,
    cloned_folder,
    inverse_folder,
    labels_of,
    latent_policy_maker,
    load_cloned,
    played_file,
    policy_windows,
    read,
    recurrent_settings,
    scratch_of,
    shaped_folder,
    study_params,
    video_of,
)


def main(count: int, name: str) -> None:
    params = study_params()
    PLAYED.mkdir(parents=True, exist_ok=True)
    if not agent_can_play(params):
        write_json(played_file(count, name), {"row": None})
        print(f"{params.recordings} was not recorded from a bundled game: nobody can play it here")
        return
    compute = prepare_compute(params.device, params.precision, params.threads, params.seed)
    videos = {split: video_of(params, split, UNSHAPED, unlearned=True) for split in ("train", "val")}
    samples, held = labels_of(videos["train"], count, params.labelling.choice, draw=0)
    policy, acting = getattr(Learning(params, compute, videos, samples, held), name)()
    row = {"labels": count, "policy": name, "absent": absent_actions(held, params.actions)}
    row |= play(params, policy.cpu(), acting, f"{name}, {count} labels")
    write_json(played_file(count, name), {"row": row})


@dataclass(frozen=True)
class Learning:
    """A method for each of POLICIES: a policy from the labels of the first draw, and how it acts."""

    params: Params
    compute: Compute
    videos: dict[str, Video]  # train and val
    samples: np.ndarray
    held: np.ndarray

    def pseudo_labels(self) -> tuple[nn.Module, Acting]:
        return self._cloned("vectors", self._decoder_scores("vectors"), UNSHAPED)

    def unlearned(self) -> tuple[nn.Module, Acting]:
        return self._cloned("unlearned", self._decoder_scores("unlearned"), UNLEARNED)

    def inverse(self) -> tuple[nn.Module, Acting]:
        folder = inverse_folder(len(self.samples), draw=0)
        return self._cloned("inverse", {split: read(folder, split) for split in self.videos}, folder)

    def _decoder_scores(self, features: str) -> dict[str, np.ndarray]:
        decoder = decoder_of(self.videos["train"], features, self.samples, self.held)
        return {split: decoder.scores(video.features(features)) for split, video in self.videos.items()}

    def _cloned(self, who: str, scores: dict[str, np.ndarray], *inputs: Path) -> tuple[nn.Module, Acting]:
        windows = {split: policy_windows(self.params, split) for split in self.videos}
        settings = FitSettings.from_sections(section_of(self.params), self.params.training)
        train = windows["train"]
        current = {split: video.actions.current for split, video in self.videos.items()}
        return clone_pseudo_labels(
            partial(made_policy, self.params, train.shapes, train.fps), windows, current, scores, settings,
            self.compute, scratch=self._scratch(who, *inputs), name=f"cloning what {who} name of all video",
        )  # fmt: skip

    def cloning(self) -> tuple[nn.Module, Acting]:
        return load_cloned(cloned_folder(len(self.samples), draw=0), self.params.actions)

    def decoded(self) -> tuple[nn.Module, Acting]:
        latent_policy = load_policy(LATENT_POLICY).to(self.compute.device)
        return self._decoded(latent_policy, self.videos)

    def shaped(self) -> tuple[nn.Module, Acting]:
        folder = shaped_folder(len(self.samples), draw=0)
        after = videos_in(self.params, folder)
        latent_policy = learn_codes(
            latent_policy_maker(self.params, after["train"]), *after.values(), self.params.labelling.ahead,
            recurrent_settings(self.params), self.compute, scratch=self._scratch("latent_policy", folder),
        )  # fmt: skip
        return self._decoded(latent_policy, self.videos, after)

    def _decoded(self, latent_policy: Policy, *kinds: dict[str, Video]) -> tuple[nn.Module, Acting]:
        train, val = ([videos[split] for videos in kinds] for split in ("train", "val"))
        return decode_latent_policy(latent_policy, train, val, self.samples, self.held, self.compute)

    def _scratch(self, name: str, *further: Path) -> Path:
        count = len(self.samples)
        inputs = [LATENT_STORE, chosen_file(count, self.params.labelling.choice), *further]
        return scratch_of(self.params, f"{name}_{count}", inputs)


def videos_in(params: Params, folder: Path) -> dict[str, Video]:
    """The splits that are learned from and chosen by, with the latent actions in a folder."""
    return {split: video_of(params, split, folder) for split in ("train", "val")}


def play(params: Params, policy: nn.Module, acting: Acting, title: str) -> dict:
    """The acting rule, the mean score of each on the validation seeds, and the returns of the test seeds in order."""
    own, collect = params.play, params.collect
    setting = GameSetting(
        params.game, collect.width, collect.height, params.actions, own.max_episode_s, options_of(params)
    )
    store = EpisodeStore(EPISODES)
    about = About.of(params, store, acting, state_columns=store.state_columns, learned_from="a few labels")
    make_agent = partial(agent_of, about, policy, params.device, params.precision)
    games, rules = AgentGames(setting, make_agent, own.lanes), {rule: acting.by(rule).keys for rule in RULES}
    val_seeds, test_seeds = (
        game_seeds(base, own.seed, count)
        for base, count in ((VALIDATION_SEEDS, own.val_episodes), (TEST_SEEDS, own.test_episodes))
    )
    with Workers(params.workers) as workers:
        tried = games.by_rule(workers, rules, val_seeds, title=f"{title}, val")
        scores = {rule: np.array([game.score for game in played]) for rule, played in tried.items()}
        means = {rule: float(found.mean()) for rule, found in scores.items()}
        rule = max(RULES, key=means.__getitem__)
        played = games.by_rule(workers, {rule: rules[rule]}, test_seeds, title=f"{title}, test")[rule]
    val_return = float(chosen_elsewhere(list(scores.values())).mean())
    return {
        "acting_rule": rule,
        "mean_score_by_rule": means,
        "val_return": val_return,
        "returns": [game.score for game in played],
    }


def agent_of(about: About, policy: nn.Module, device: str, precision: str, lanes: int) -> Agent:
    """For so many games at a time, on one thread."""
    encoder = load_autoencoder(ENCODER) if "latents" in policy.reads else None
    return Agent(about, policy, encoder, prepare_compute(device, precision, threads=1, seed=0), batch=lanes)


if __name__ == "__main__":
    run_stage(lambda: main(int(sys.argv[1]), sys.argv[2]))
