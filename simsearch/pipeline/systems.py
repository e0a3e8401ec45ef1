"""The systems that a build trains: recipe, baseline and reference, and the features of each.

The baseline is plain softmax on the same backbone, data, seed and schedule; the reference the same with another seed,
or the frozen features where a pretrained backbone is fine-tuned. Each system is two artifacts, train and embed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from simsearch.artifacts import Artifact, digest_of
from simsearch.console import Progress
from simsearch.embedder.networks.family import Spec
from simsearch.embedder.networks.weights import offered_weights
from simsearch.engines.chosen import engine_of
from simsearch.errors import RecipeError
from simsearch.home import Home
from simsearch.pipeline.plan import NotBuiltError, Plan
from simsearch.recipe import Recipe
from simsearch.recipe.loss import SoftmaxLoss
from simsearch.recipe.tables import Embedder
from simsearch.stages.backbone import as_it_is, backbone, backbone_before
from simsearch.stages.common import Data, Frozen
from simsearch.stages.embed import embed, refuse_one_point
from simsearch.stages.starting import Starting
from simsearch.stages.step import Step
from simsearch.stages.train import VERSION_OF_HEADS, train

NOT_HERE = "not downloaded"
BEFORE_THE_SEED = 2  # the version of heads that were drawn after the network below them
TITLES = {"recipe": "Trained", "baseline": "Baseline", "reference": "Reference"}


def systems_of(recipe: Recipe, apart: int = 1) -> dict[str, Recipe | None]:
    """Return what each system of a resolved recipe trains, by its name; None: the backbone is used as it is.

    The reference has the seed plus `apart`: of several seeds in a row, so many that it is none of them.
    """
    trains = recipe.training.epochs != 0
    if not recipe.evaluation.baseline:
        return {"recipe": recipe if trains else None}
    softmax, seed = SoftmaxLoss(name="softmax"), recipe.training.seed
    other = recipe.training.model_copy(update={"seed": seed + apart})
    return {
        "recipe": recipe if trains else None,
        "baseline": recipe.model_copy(update={"loss": softmax}) if trains else None,
        "reference": recipe.model_copy(update={"loss": softmax, "training": other})
        if trains and not recipe.fine_tunes
        else None,
    }


def untrained_of(recipe: Recipe) -> str | None:
    """Return the system of a resolved recipe that learnt from no label that is searched; None where all may have."""
    if recipe.dataset.split == "disjoint":
        return "recipe"
    return next((system for system, trains in systems_of(recipe).items() if trains is None), None)


@dataclass(frozen=True)
class Rules:
    """How heads are made: which version of them, and whether the backbone is an artifact of its own."""

    heads: int = VERSION_OF_HEADS
    own_backbone: bool = True


PRESENT = Rules()


@dataclass(frozen=True)
class Systems:
    """The systems of a resolved recipe on one data set, and the `weights` that it starts from.

    `apart` is what the seed of the reference is beyond that of the recipe. `first` hears of the frozen features before
    the first head is trained on them.
    """

    plan: Plan
    recipe: Recipe
    weights: Starting
    data: Data
    apart: int = 1
    rules: Rules = PRESENT
    first: Callable[[Frozen], None] | None = None

    def embedded(self) -> dict[str, Artifact]:
        """Return the features of every system, made where they are missing.

        What older rules made stands, where all of it is there: a newer program is no reason to train again.
        """
        for rules in self._older_rules():
            old = replace(self.plan, may_run=False, stages=dict(self.plan.stages))
            with suppress(NotBuiltError):
                found = replace(self, plan=old, rules=rules)._each()
                for artifact in old.stages.values() if self.plan.may_run else ():
                    with suppress(OSError):
                        os.utime(artifact.path)  # its day of grace begins anew
                self.plan.stages.update(old.stages)
                return found
        return self._each()

    def _older_rules(self) -> list[Rules]:
        """The oldest first."""
        systems = systems_of(self.recipe, self.apart).values()
        heads = [one for one in systems if one and (one.embedder.train == "head" or one.training.head_first)]
        below = self.recipe.embedder.spec.brought is None and (heads or None in systems)
        return [
            *([Rules(BEFORE_THE_SEED, own_backbone=False)] if below else []),
            *([Rules(BEFORE_THE_SEED)] if heads else []),
        ]

    def _each(self) -> dict[str, Artifact]:
        systems = systems_of(self.recipe, self.apart).items()
        return {system: self._features(system, recipe) for system, recipe in systems}

    def _features(self, system: str, recipe: Recipe | None) -> Artifact:
        prefix, make = "" if system == "recipe" else f"{system}/", self.plan.make
        if recipe is None:
            found = self._frozen(prefix).embedded
            if system == "recipe":
                self._refuse_one_point(found, below_head=False, trained=False)
            return found
        frozen = self._frozen("frozen/") if recipe.embedder.train == "head" else None
        if frozen and system == "recipe":
            self._refuse_one_point(frozen.embedded, below_head=True, trained=False)
        start = None
        if recipe.training.head_first:  # from the artifact of a recipe with train = "head" and its defaults
            alone, below = recipe.with_head_only(), self._frozen("frozen/")
            heads = self.rules.heads
            step = train(self.data, alone, self.weights, frozen=below, start=None, title="Head", version_of_heads=heads)
            start = self._trained(step, f"{prefix}head/train", below)
        step = train(
            self.data,
            recipe,
            self.weights,
            frozen=frozen,
            start=start,
            title=TITLES[system],
            proved=system != "recipe",
            version_of_heads=self.rules.heads,
        )
        trained = self._trained(step, f"{prefix}train", frozen)
        found = make(
            self._embed(trained, frozen, checked=system == "recipe"),
            f"{prefix}embed",
        )
        if system == "recipe":
            self._refuse_one_point(found, below_head=False, trained=True)
        return found

    def _refuse_one_point(self, embedded: Artifact, *, below_head: bool, trained: bool) -> None:
        if self.plan.may_run:
            progress = self.plan.progress if self.plan.ran else Progress()  # said once, while it is made
            refuse_one_point(embedded, progress, below_head=below_head, trained=trained)

    def _trained(self, step: Step, name: str, frozen: Frozen | None) -> Artifact:
        first = self.plan.may_run and name in ("train", "head/train") and not self.plan.has(step)
        if first and self.first and frozen:
            self.first(frozen)
        return self.plan.make(step, name)

    def _frozen(self, prefix: str) -> Frozen:
        """The backbone alone, and its features of every row."""
        if not self.rules.own_backbone:
            below, step = None, backbone_before(self.data, self.recipe, self.weights)
        else:
            below = self.plan.make(backbone(self.data, self.recipe, self.weights))
            step = as_it_is(below)
        trained = self.plan.make(step, f"{prefix}train")
        return Frozen(
            below,
            trained,
            self.plan.make(self._embed(trained, None), f"{prefix}embed"),
        )

    def _embed(self, trained: Artifact, frozen: Frozen | None, *, checked: bool = True) -> Step:
        run = self.recipe.run
        device = "cpu" if run.embed == "ray" else run.device  # its workers run the ONNX file
        return embed(self.data, trained, frozen, engine_of(run.model_dump()), checked=checked, device=device)


def device_words(recipe: Recipe) -> str | None:
    """Return the device that [run] asks for, in words, None for the CPU and where it is left open.

    Raises EmbedderError for one that is not here. Loads torch for those that only torch can find.
    """
    if recipe.run.device in ("auto", "cpu"):
        return None
    from simsearch.embedder.training.precision import choose_device, named

    return named(choose_device(recipe.run.device))


def below_head(plan: Plan, recipe: Recipe) -> Artifact | None:
    """Return the frozen features that the head of a recipe was trained on; None where no head alone was trained.

    A build made before the backbone was an artifact of its own stands as it is, and is not measured anew.
    """
    if recipe.embedder.train != "head" or not recipe.training.epochs or "backbone" not in plan.stages:
        return None
    return plan.stages["frozen/embed"]


def starting_weights(embedder: Embedder, home: Home, say: Callable[[str], None] | None) -> Starting:
    """Return what a resolved [embedder] starts from; with `say` what is not here yet is downloaded for it."""
    digest = weights_digest(embedder, home, say)
    return Starting(digest, lambda: weights_digest(embedder, home, None), weights_shown(embedder))


def weights_shown(embedder: Embedder) -> str:
    """Return what the starting weights of a resolved [embedder] are called: their file, or the model that has them."""
    return embedder.spec.shown if embedder.weights in {None, "none", "default"} else str(embedder.weights)


def weights_digest(embedder: Embedder, home: Home, say: Callable[[str], None] | None) -> str:
    """Return what stands for weights in a digest: a file enters it by its bytes, not by its path.

    A file that is not here yet is downloaded for it, which `say` hears of first; nothing is without `say`.
    """
    spec, sha256 = embedder.spec, home.memory.sha256
    if spec.brought is not None:
        return digest_of([sha256(path) for path in spec.brought.files()])
    own = _of_weights(str(embedder.weights), spec, home, say)
    return own if spec.files is None else digest_of([own, *(sha256(path) for path in spec.files())])


def _of_weights(weights: str, spec: Spec, home: Home, say: Callable[[str], None] | None) -> str:
    if weights == "default" and (own := spec.pretrained) and own.by_bytes:
        offered = own.weights() if say is None else offered_weights(spec, say)
        assert offered.place is not None
        return home.memory.sha256(offered.place) if offered.here or say is not None else NOT_HERE
    if weights in {"none", "default"}:
        return weights
    path = Path(weights)
    if not path.is_file():
        raise RecipeError(
            f"[embedder] weights: no file {weights}", hint="give none, default, or a .safetensors, .pth or .pt file"
        )
    return home.memory.sha256(path)
