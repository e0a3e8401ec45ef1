"""The systems that a build trains: recipe, baseline and reference, and what each of them is made with.

The baseline is plain softmax on the same backbone, data, seed and schedule; the reference the same with another seed,
or the frozen features where a pretrained backbone is fine-tuned. Each system is two artifacts, train and embed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simsearch.artifacts import Artifact, Workspace
from simsearch.console import Progress
from simsearch.errors import RecipeError
from simsearch.home import Home
from simsearch.pipeline.plan import Plan, References
from simsearch.recipe import Recipe
from simsearch.stages.common import Data, Frozen

TITLES = {"recipe": "Trained", "baseline": "Baseline", "reference": "Reference"}


@dataclass(frozen=True)
class Systems:
    """The systems of a resolved recipe on one data set; `weights` is the digest of its starting weights."""

    plan: Plan
    recipe: Recipe
    weights: str
    data: Data

    def ensure(self) -> dict[str, tuple[Artifact, Artifact]]:
        """The train and embed artifacts of every system, made where they are missing."""
        wanted = ["recipe", "baseline", "reference"] if self.recipe.evaluation.baseline else ["recipe"]
        return {system: self._system(system) for system in wanted}

    def _loss_and_seed(self, system: str) -> tuple[dict[str, Any], int] | None:
        """Loss and seed of a system; None when it is the frozen backbone."""
        training = self.recipe.training
        if training.epochs == 0 or (system == "reference" and self.recipe.fine_tunes):
            return None
        if system == "recipe":
            return self.recipe.loss.model_dump(), training.seed
        return {"name": "softmax"}, training.seed + (system == "reference")

    def _system(self, system: str) -> tuple[Artifact, Artifact]:
        chosen = self._loss_and_seed(system)
        if chosen is None:
            return self._frozen(system)
        prefix = "" if system == "recipe" else f"{system}/"
        frozen = Frozen(*self._frozen("frozen")) if self.recipe.embedder.train == "head" else None
        start = self._head(f"{prefix}head", *chosen) if self.recipe.training.head_first else None
        trained = self._train(f"{prefix}train", TITLES[system], self.recipe, *chosen, frozen=frozen, start=start)
        return trained, self._embed(prefix, trained, frozen)

    def _head(self, name: str, loss: dict[str, Any], seed: int) -> Artifact:
        """The head that fine-tuning starts from: the artifact of a recipe with train = "head" and its defaults."""
        recipe = self.recipe.with_head_only()
        frozen = Frozen(*self._frozen("frozen"))
        return self._train(f"{name}/train", "Head", recipe, loss, seed, frozen=frozen, start=None)

    def _train(
        self,
        name: str,
        title: str,
        recipe: Recipe,
        loss: dict[str, Any],
        seed: int,
        *,
        frozen: Frozen | None,
        start: Artifact | None,
    ) -> Artifact:
        settings = {
            "images": recipe.images.model_dump(),
            "embedder": {**recipe.embedder.model_dump(), "weights": self.weights},
            "loss": loss,
            "augmentation": recipe.augmentation.model_dump(),
            "training": {**recipe.training.model_dump(), "seed": seed},
        }
        inputs: References = {"dataset": self.data.view("train")}
        if frozen:
            inputs["features"] = frozen.embedded.reference
        if start:
            inputs["start"] = start.reference

        def work(space: Workspace, progress: Progress) -> tuple[dict[str, Any], str]:
            from simsearch.stages.train import train

            weights = str(recipe.embedder.weights)
            facts = train(space, self.data, settings, weights, frozen=frozen, start=start, progress=progress)
            what = f"{loss['name']} head on frozen features" if frozen else loss["name"]
            return facts, f"{what}, {facts['dim']}-d, {_epochs(facts)}, {facts['threads']} threads"

        return self.plan.ensure(name, title, settings, inputs, work)

    def _frozen(self, system: str) -> tuple[Artifact, Artifact]:
        """The backbone alone, and its features of every row."""
        images, embedder, seed = self.recipe.images, self.recipe.embedder, self.recipe.training.seed
        settings = {
            "images": images.model_dump(),
            "embedder": {"backbone": embedder.backbone, "weights": self.weights},
            "seed": seed if embedder.weights == "none" else 0,
        }
        # Without a head nothing depends on the data, unless mean and std must be measured on them.
        measured = images.mean is None or images.std is None
        inputs = {"dataset": self.data.view("measured")} if measured else {}

        def work(space: Workspace, progress: Progress) -> tuple[dict[str, Any], str]:
            from simsearch.stages.train import freeze

            facts = freeze(space, self.data, settings, str(embedder.weights))
            return facts, f"{embedder.backbone} as it is, {facts['dim']}-d"

        prefix = "" if system == "recipe" else f"{system}/"
        trained = self.plan.ensure(f"{prefix}train", "Backbone", settings, inputs, work)
        return trained, self._embed(prefix, trained, None)

    def _embed(self, prefix: str, trained: Artifact, frozen: Frozen | None) -> Artifact:
        inputs = {"dataset": self.data.view("rows"), "train": trained.reference}
        if frozen:
            inputs["features"] = frozen.embedded.reference

        def work(space: Workspace, progress: Progress) -> tuple[dict[str, Any], str]:
            from simsearch.stages.embed import embed

            facts = embed(space, self.data, trained, frozen, progress)
            through = "" if facts["through"] == "onnxruntime" else f", {facts['through']}"
            return facts, f"{facts['rows']:,} images{through}"

        return self.plan.ensure(f"{prefix}embed", "Embedded", {}, inputs, work)


def _epochs(facts: dict[str, Any]) -> str:
    count = "1 epoch" if facts["epochs"] == 1 else f"{facts['epochs']} epochs"
    return count if facts["kept"] == facts["epochs"] else f"{count}, the best {facts['kept']}"


def weights_digest(weights: str, home: Home) -> str:
    """A weights file enters digests by its bytes, not by its path."""
    if weights in {"none", "default"}:
        return weights
    path = Path(weights)
    if not path.is_file():
        raise RecipeError(
            f"[embedder] weights: no file {weights}", hint="give none, default, or a .safetensors, .pth or .pt file"
        )
    return home.memory.sha256(path)
