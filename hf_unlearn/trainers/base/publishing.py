"""From a trainer to the Hub: its record, its card, and pushes that hold nothing else."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping, Sized
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from huggingface_hub import CommitInfo
from torch import nn
from transformers import PreTrainedModel
from transformers.trainer_utils import HubStrategy

from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.files import replacing_files
from hf_unlearn.models.adapters import LOCAL_BASE, adapter_kind, base_of, is_adapter
from hf_unlearn.models.own_code import has_own_code, refuse_unloadable
from hf_unlearn.models.saved import stale_files
from hf_unlearn.models.weights import weights_digest
from hf_unlearn.publishing.card import write_card
from hf_unlearn.publishing.commits import PUBLISHED, remove_branch
from hf_unlearn.publishing.destination import find_destination
from hf_unlearn.publishing.earlier import beginning, requests_of
from hf_unlearn.publishing.patience import patience
from hf_unlearn.publishing.push import push_folder, push_on_the_way
from hf_unlearn.publishing.record import request_met, unlearning_record, write_record
from hf_unlearn.publishing.settings import given_arguments, public_arguments
from hf_unlearn.request.kept import keep_forget_set, recognised_by
from hf_unlearn.trainers.base.inputs import remember_run, remember_weights
from hf_unlearn.trainers.base.own_figures import OwnFigures
from hf_unlearn.trainers.safety.samples import sample_accuracy

logger = logging.getLogger(__name__)

# The branch that models go to while a run goes on (hub_strategy every_save).
ON_THE_WAY = "unlearning-in-progress"
# How far the run is.
NOT_BEGUN, RUNNING, FAILED, FINISHED = "not begun", "running", "failed", "finished"

if TYPE_CHECKING:
    from hf_unlearn.request import UnlearningSplits
    from hf_unlearn.trainers.safety.reference import References


class Publishes(OwnFigures):
    """Mixed into a `Trainer`: `push_to_hub` publishes the model, its processor, card and record, and reads them back.

    The destination is checked when the trainer is made, and the repository is created only when there is something to
    put into it.

    Attributes:
        progress: how far the last run is: `"not begun"`, `"running"` (or cut short), `"failed"` (the model is the
            original), `"finished"`.
    """

    # What the mixing class has.
    title: str
    paper: dict[str, str]
    method_name: str
    retain_free: bool
    original_model: PreTrainedModel
    splits: UnlearningSplits | None
    forget_kind: str
    provenance: dict[str, Any]
    filled_settings: dict[str, Any]

    references: References | None

    _pushed_on_the_way = False

    @property
    def progress(self) -> str:
        return str(vars(self).get("_progress", NOT_BEGUN))

    @progress.setter
    def progress(self, progress: str) -> None:
        self._progress = progress
        if progress == FINISHED:
            remember_run(self._whole_model, self)
            try:
                self._remember_weights()
            except Exception as error:
                # A run is not lost for it, whatever it is.
                logger.warning(
                    "the weights of this run will not be known again by themselves: %s: %s",
                    type(error).__name__,
                    one_line(error),
                )

    def _remember_weights(self) -> None:
        """Know the weights that the run left again, if it changed them, by what a few samples say of them."""
        record = self.record(figures=False)
        digests = record["weights_sha256"]
        if digests["unlearned"] == digests["original"]:
            return
        answered = 100.0 * sample_accuracy(self._whole_model, cast(Any, self).forget_sample())
        record["checks"] = {"forget_accuracy": {"after": answered}}
        if met := self._met_by(record):
            remember_weights(digests["unlearned"], met)

    def requests_met(self) -> list[dict[str, Any]]:
        """The requests that the model has met by now, the oldest first: as a next run on it would know them."""
        return self._met_by(self.record())

    def _met_by(self, record: Mapping[str, Any]) -> list[dict[str, Any]]:
        if not request_met(record)[0]:
            # It is still to be forgotten.
            return self.earlier
        kept = {} if self.splits is None else recognised_by(self.splits)
        return requests_of(record, kept | self._begun_with(), self.original_model)

    def init_hf_repo(self, token: str | None = None, private: bool | None = None, revision: str | None = None) -> None:
        """Check that a push can work; nothing is created yet.

        Raises:
            UnlearningError, PublishingError: as [`find_destination`].
        """
        if not self.is_world_process_zero():
            return
        refuse_unloadable(cast(nn.Module, self.model), self.processing_class)
        self._destination = find_destination(
            self.args.hub_model_id or os.path.basename(os.path.abspath(str(self.args.output_dir))),
            private=private if private is not None else self.args.hub_private_repo,
            token=token if token is not None else self.args.hub_token,
            revision=revision if revision is not None else self.args.hub_revision,
            record=self._known_of_record(),
            replace=getattr(self.args, "hub_replace", False),
        )
        self.hub_model_id: str | None = self._destination.repo_id  # type: ignore[assignment]
        self.push_in_progress = None

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save what was unlearned: weights and image processor, record and card. `hf-unlearn push` takes the folder.

        Everything takes its place once all of it is whole; of another model that was there nothing is left. A run that
        was cut short is saved as one. With `push_to_hub` the model is pushed, too.

        Args:
            output_dir: by default that of the arguments.

        Raises:
            UnlearningError: nothing was unlearned yet, the run failed and left the original, or the disk is full.
        """
        if _internal_call:
            # A checkpoint, which is no model to be published.
            super().save_model(output_dir, _internal_call=True)
            return
        self.save_with_record(output_dir)
        if self.args.push_to_hub:
            self.push_to_hub()

    def save_with_record(self, output_dir: str | None = None) -> dict[str, Any] | None:
        """As [`save_model`], without a push.

        Returns:
            The record; None in a process that does not write.
        """
        if self.progress in (NOT_BEGUN, FAILED):
            why = "train() was not called" if self.progress == NOT_BEGUN else "the run failed and left the original"
            raise UnlearningError(f"there is no unlearned model to save: {why}")
        folder = str(output_dir if output_dir is not None else self.args.output_dir)
        record = None
        if self.args.should_save:
            record = self.record()
            try:
                with replacing_files(folder, stale_files(folder)) as aside:
                    super().save_model(aside, _internal_call=True)
                    self.save_beside(aside, record, os.path.basename(os.path.abspath(folder)))
            except (OSError, RuntimeError) as error:
                raise UnlearningError(f"the model could not be saved: {one_line(error)}") from error
        else:
            super().save_model(folder, _internal_call=True)
        # Whatever a process does next, it finds the whole of it.
        self.accelerator.wait_for_everyone()
        return record

    def save_beside(self, folder: str, record: dict[str, Any], name: str) -> None:
        """Write everything that lies beside the weights of an unlearned model.

        Args:
            record: from [`record`].
            name: of the model, where it has no repository.
        """
        write_record(record, folder)
        keep_forget_set(self.splits, folder, self._begun_with().get("original_model"))
        write_card(folder, self.hub_model_id, name)

    @property
    def data_used(self) -> str:
        """What the method looked at, in words: the three are not to be compared with each other."""
        used = ["the samples to forget"]
        if not self.retain_free:
            used.append("all retained data")
        if self.references is not None:
            used.append("reference samples" if self.references.labelled else "unlabelled reference samples")
        if used == ["the samples to forget"]:
            return "the samples to forget alone, without retained data"
        return " and ".join([", ".join(used[:-1]), used[-1]])

    @property
    def followed_settings(self) -> dict[str, Any]:
        """What followed from request or model, by name: no default of the class, and nothing set on `args` since."""
        now, usual = self.args, type(self.args)
        return {
            name: value
            for name, value in self.filled_settings.items()
            if getattr(now, name) == value != getattr(usual, name)
        }

    def record(self, in_progress: bool | None = None, figures: bool = True) -> dict[str, Any]:
        """What `unlearning.json` says of the run, as it is now; see [`unlearning_record`].

        Args:
            in_progress: whether the run is not finished; by default as it is.
            figures: look at what the model answers on the request, and on earlier ones.
        """
        if in_progress is None:
            in_progress = self.progress != FINISHED
        premise = getattr(self, "premise", None)
        run = {
            "steps": self.state.global_step,
            "stop_reason": "it was not finished" if in_progress else getattr(self, "stop_reason", ""),
            "seconds": round(float(getattr(self, "seconds", 0.0)), 3),
            "retain_free": self.retain_free,
            "data_used": self.data_used,
            "premise": None if premise is None else {**premise._asdict(), "holds": premise.holds},
            "surroundings_agreement": getattr(self, "agreement", None),
            "in_progress": in_progress,
            "adapter": self._adapter(self.original_model),
            "trust_remote_code": has_own_code(self.original_model, self.processing_class),
            "dtype": str(self.original_model.dtype).removeprefix("torch."),
            "num_processes": self.args.world_size,
            **{name: self.provenance.get(name) for name in ("reference_split", "allow_pickle")},
            "forgotten_class_ids": self.classes_of_request(),
            "earlier": self.earlier_checked() if figures else self.earlier,
            **self._beginning(),
        }
        return unlearning_record(
            method={
                "name": self.method_name,
                "title": self.title,
                "paper": self.paper["id"],
                "citation": self.paper.get("citation"),
            },
            original=self.provenance,
            splits=self.splits,
            forget_kind=self.forget_kind,
            num_forget=len(cast(Sized, self.train_dataset)),
            dataset_commit=self.provenance.get("dataset_commit"),
            dataset_private=self.provenance.get("dataset_private"),
            run=run,
            settings=public_arguments(self.args),
            settings_given=given_arguments(self.args, self.followed_settings),
            # More than that: whoever sets one of them by hand may know the request.
            settled=list(self.filled_settings),
            disclosure=self.disclosure(),
            weights_sha256={
                "original": weights_digest(self.original_model),
                "unlearned": weights_digest(self._whole_model),
            },
            checks=self.checks() if figures else {},
        )

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write the run's record and card into the output folder. The arguments of `Trainer`'s are not needed."""
        if self.is_world_process_zero():
            folder = str(self.args.output_dir)
            os.makedirs(folder, exist_ok=True)
            self.save_beside(folder, self.record(), os.path.basename(os.path.abspath(folder)))

    def push_to_hub(  # type: ignore[override]
        self,
        commit_message: str | None = "Unlearned model",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **kwargs: Any,
    ) -> CommitInfo | None:
        """Publish the model. Always waits, since it reads the model back; `kwargs` are those of a card and not needed.

        Raises:
            UnlearningError: the run's own figures say that the request was not met, and `push_anyway` is off.
            PublishingError: the Hub did not take it, or answers differently; the output folder is whole.
        """
        if self.hub_model_id is None or token is not None or private is not None or revision is not None:
            self.init_hf_repo(token=token, private=private, revision=revision)
        self.save_with_record()
        if not self.is_world_process_zero():
            return None
        commit = push_folder(
            str(self.args.output_dir),
            self._destination,
            commit_message=commit_message or "Unlearned model",
            push_anyway=getattr(self.args, "push_anyway", False),
            trust_remote_code=has_own_code(self.original_model, self.processing_class),
        )
        # Pushed again, it is this that may be replaced.
        self._destination = replace(self._destination, head=commit)
        self.remove_pushes_on_the_way()
        return self._commit_info(commit, commit_message or "Unlearned model")

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        # Not the Trainer's: it would push the output folder with a pickle of all arguments, the token among them.
        if not self.is_world_process_zero() or self.args.hub_strategy == HubStrategy.END:
            return
        step = self.state.global_step
        try:
            self._push_on_the_way(checkpoint_folder)
        except (UnlearningError, OSError) as error:
            # The run is worth more than a look at it.
            logger.warning("the model of step %d was not pushed, and the run goes on: %s", step, error)

    def _push_on_the_way(self, checkpoint_folder: str) -> None:
        """A checkpoint's model, on a branch of its own: `main` gets what was met, at the end."""
        with tempfile.TemporaryDirectory() as folder:
            for name in os.listdir(checkpoint_folder):
                # Where an adapter's base lies is needed to look at it, and not pushed.
                if PUBLISHED.fullmatch(name) or name == LOCAL_BASE:
                    shutil.copy(os.path.join(checkpoint_folder, name), folder)
            if self.processing_class is not None:
                self.processing_class.save_pretrained(folder)
            write_record(self.record(in_progress=True), folder)
            push_on_the_way(
                folder,
                self._destination,
                ON_THE_WAY,
                f"Unlearning, step {self.state.global_step}",
                has_own_code(self.original_model, self.processing_class),
            )
        self._pushed_on_the_way = True

    def remove_pushes_on_the_way(self) -> None:
        """Remove the branch of models that still remember, if this run made one."""
        if self._pushed_on_the_way and self.is_world_process_zero():
            with patience():
                remove_branch(self._destination, ON_THE_WAY)
            self._pushed_on_the_way = False

    def _known_of_record(self) -> dict[str, Any]:
        """What of the record is known before the run, to be held against a model that is at the destination."""
        splits, origin = getattr(self, "splits", None), self.provenance
        # Until the trainer is made, the model is the original.
        original = getattr(self, "original_model", cast(nn.Module, self.model))
        digests = {"original": weights_digest(original)}
        if self.progress == FINISHED:
            digests["unlearned"] = weights_digest(self._whole_model)
        known: dict[str, Any] = {"weights_sha256": digests, "disclosure": self.disclosure()._asdict()}
        known["original_model"] = {key: origin.get(key) for key in ("name", "from_hub", "private")}
        known["adapter"] = self._adapter(original)
        known |= {"earlier": self.earlier, **self._beginning()}
        if splits is not None:
            known["request"] = splits.request.summary()
            known["dataset"] = splits.fingerprint.to_dict()
            known["dataset"].update(
                name=known["dataset"]["dataset_name"],
                from_hub=origin.get("dataset_commit") is not None,
                private=origin.get("dataset_private"),
            )
        return known

    def _begun_with(self) -> dict[str, str]:
        """The folder of the original, if it is one: of a model in memory or of the Hub nothing."""
        name = str(self.provenance["name"])
        return {"original_model": name} if os.path.isabs(name) and not self.provenance.get("from_hub") else {}

    def _beginning(self) -> dict[str, Any]:
        """Where a run began that is not the first on its model."""
        if "begins_with" in self.provenance:
            return beginning(self.provenance["begins_with"], self.provenance["takes_place_of"])
        return beginning("newest") if self.earlier else {}

    def _commit_info(self, commit: str, message: str) -> CommitInfo:
        url = f"{self._destination.api.endpoint}/{self._destination.repo_id}/commit/{commit}"
        return CommitInfo(commit_url=url, commit_message=message, commit_description="", oid=commit)

    @property
    def _whole_model(self) -> PreTrainedModel:
        return self.model  # type: ignore[return-value]

    def _adapter(self, model: nn.Module) -> dict[str, Any] | None:
        """What the adapter is, if the model is one: its kind, and the base that it sits on."""
        if not is_adapter(model):
            return None
        base = base_of(model)
        # A base that was made in memory has no name.
        name = base.name or cast(PreTrainedModel, model).config.model_type
        private = {"private": True} if self.provenance.get("base_private") else {}
        return {"kind": adapter_kind(model), "base_model": {**base._asdict(), "name": name, **private}}
