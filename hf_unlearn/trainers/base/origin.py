"""Where a trainer's model and data are from: settled when it is made, for the record of its run.

Later the same name may be of something else, or of nothing: a run may change the working directory, and folders go.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from transformers import PreTrainedModel

from hf_unlearn.errors import UnlearningError
from hf_unlearn.models.adapters import base_of, is_adapter
from hf_unlearn.models.pretrained import load_image_classifier
from hf_unlearn.models.revisions import Resolved, is_loaded_from_hub, resolve_revision
from hf_unlearn.names import is_hub_name
from hf_unlearn.publishing.earlier import earlier_of
from hf_unlearn.publishing.record import read_record
from hf_unlearn.publishing.sources import is_of_private
from hf_unlearn.request import UnlearningSplits


def load_by_name(
    name: str, provenance: dict[str, Any], trust_remote_code: bool = False
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A model by name or folder, and its provenance: at the commit that it is now, which a model does not say itself.

    Args:
        provenance: what is known already; it leads.
        trust_remote_code: run code that comes with the model.

    Raises:
        UnlearningError: there is no such image classifier.
    """
    resolved = resolve_revision(name, provenance.get("revision"))
    found = {"name": name, **resolved.as_origin()}
    model = load_image_classifier(name, revision=resolved.commit, trust_remote_code=trust_remote_code)
    return model, {**found, "earlier": earlier_of(name, model, resolved.commit), **provenance}


def find_model(
    given: PreTrainedModel | str | os.PathLike, provenance: dict[str, Any] | None, trust_remote_code: bool
) -> tuple[PreTrainedModel, tuple[str, str | None] | None, dict[str, Any]]:
    """The model, the name and revision that it was loaded by (None: it was given as it is), and its provenance.

    Raises:
        UnlearningError: there is no such image classifier.
    """
    known = dict(provenance or {})
    if not isinstance(given, (str, os.PathLike)):
        return given, None, known
    model, known = load_by_name(os.fspath(given), known, trust_remote_code)
    return model, (known["name"], known["revision"]), known


def with_origin(
    provenance: dict[str, Any], model: PreTrainedModel, splits: UnlearningSplits | None, token: str | None
) -> dict[str, Any]:
    """Provenance that says where model, an adapter's base and data are from, and what the Hub says of them.

    Args:
        provenance: what is known already; it leads.

    Returns:
        Of the model `name`, `revision`, `from_hub` and, if it is the Hub's, what [`Resolved`] has; `base_private`,
        `dataset_commit` and `dataset_private`, where None stands for what is not known or not the Hub's.
    """
    return {**_of_model(provenance, model, token), **_of_base(provenance, model, token), **_of_data(provenance, splits)}


def _of_model(provenance: dict[str, Any], model: PreTrainedModel, token: str | None) -> dict[str, Any]:
    config, adapter = model.config, is_adapter(model)
    # Below an adapter, name and commit of the configuration are the base's.
    commit = provenance.get("revision") or (None if adapter else getattr(config, "_commit_hash", None))
    given = provenance.get("name")
    # A model that was made in memory has no name, and no Hub knows it.
    name = str(given or ("" if adapter else config._name_or_path) or "")
    from_hub = is_loaded_from_hub(name, commit) or (bool(given) and is_hub_name(name))
    unnamed = "unnamed-adapter" if adapter else config.model_type
    known = {"from_hub": from_hub, **provenance, "name": name or unnamed, "revision": commit}
    if os.path.exists(os.path.expanduser(name)) and not known["from_hub"]:
        known["name"] = os.path.abspath(os.path.expanduser(name))
        # A model that forgets once more is made of what the first was made of.
        with contextlib.suppress(UnlearningError):
            known["private"] = is_of_private(read_record(known["name"]))
    if not known["from_hub"] or "private" in known:
        return known
    return {**_asked(name, commit, "model", token).as_origin(), **known}


def _of_base(provenance: dict[str, Any], model: PreTrainedModel, token: str | None) -> dict[str, Any]:
    base = base_of(model) if is_adapter(model) else None
    if base is None or base.name is None or not base.from_hub or "base_private" in provenance:
        return {}
    return {"base_private": _asked(base.name, base.revision, "model", token).private}


def _of_data(provenance: dict[str, Any], splits: UnlearningSplits | None) -> dict[str, Any]:
    if splits is None:
        return {}
    commit = provenance.get("dataset_commit") or splits.dataset_commit
    name = splits.fingerprint.dataset_name or ""
    # Of a folder no more than the last part is there.
    if "dataset_private" in provenance or not name or (commit is None and "/" not in name):
        return {"dataset_commit": commit}
    # The token of the arguments is for the destination; the data were loaded with that of the environment.
    return {"dataset_commit": commit, "dataset_private": _asked(name, commit, "dataset", None).private}


def _asked(name: str, commit: str | None, repo_type: str, token: str | None) -> Resolved:
    # A run is not lost for it.
    with contextlib.suppress(UnlearningError):
        return resolve_revision(name, commit, repo_type, token)
    return Resolved(commit, None)
