"""What of a run may be published: the one place that decides it, for record, card and whatever else goes out.

An outsider has the original model, the dataset and the published model, and can compute any figure of them on any
samples. So a figure on the forget set, at whatever precision, says whose samples these are as soon as the candidates
can be tried one by one: the persons of a column, pairs of indices, the seeds of a draw. Of requests of these kinds only
that is published which is the same whoever is meant. It is a list of what may go out, not of what may not: what it does
not know stays at home.

This does not make the published weights silent: whoever compares them with the original's may find out more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from hf_unlearn.request.public_form import DRAWN_KINDS, in_words, is_open, public_form

# Their sizes alone tell persons apart: 1,200 photographs or 40. Between these bounds nothing is told.
BANDS = (1_000, 10_000, 100_000)
PRIVATE_MODEL = "a private model"
LOCAL_MODEL = "a local model"

# Of a run whose samples nobody may find out. What is not here, or made below, does not go out.
_ALWAYS = (
    *("schema_version", "method", "hub_model_id", "disclosure", "retain_free", "data_used", "in_progress"),
    *("trust_remote_code", "date", "begins_with"),
    *("dtype", "allow_pickle", "reference_split", "num_processes", "hardware", "versions"),
)
# What depends on the samples through the run alone.
_OF_THE_RUN = ("steps", "stop_reason", "seconds", "premise", "surroundings_agreement", "num_forget", "num_retain")
_OF_THE_DATASET = (
    *("name", "revision", "from_hub", "private", "label_column", "image_column", "label_mapping", "labels_from"),
    *("num_labels", "dataset_config_name", "train_split", "skip_unreadable"),
)
# Names that a person may have: a configuration "jane", a split "without_jane".
_NAMES_IN_DATASET = ("dataset_config_name", "train_split")
_OF_A_PRIVATE_MODEL = ("license", "license_name", "private")
# A run on other samples with the same seed gives other weights: with it candidates could be tried by unlearning them.
_SEEDS = ("seed", "data_seed")
_OF_THE_EVALUATION = ("schema_version", "level")
# Of the original and the unlearned model on test samples, which are the same whatever was forgotten.
_WHOLE_TEST = ("test_accuracy",)
_TEST_BY_CLASS = (*_WHOLE_TEST, "test_accuracy_remaining", "test_accuracy_forgotten")


class Disclosure(NamedTuple):
    """What the owner of a model wants to have published.

    Attributes:
        request: everything that is known of the request, but never indices or values of columns.
        names: the names of forgotten classes, of splits, configurations, folders and private repositories.
        sources: what was made of an original model or a dataset that is private on the Hub, with name and commit of
            these (unless `names` is off).
    """

    request: bool = False
    names: bool = True
    sources: bool = False

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Disclosure:
        """What a record says; where it says nothing, as little as possible is published."""
        said = record.get("disclosure") or {}
        return cls(**{name: bool(said[name]) for name in cls._fields if name in said})

    @classmethod
    def of_all(cls, records: Iterable[Mapping[str, Any]]) -> Disclosure:
        """What each of some records allows, at least one."""
        return cls(*(all(allowed) for allowed in zip(*map(cls.of, records), strict=True)))

    def of_request(self) -> dict[str, bool]:
        """As `ForgetRequest.public_dict` and `is_open` take it."""
        return {"publish_request": self.request, "private_names": not self.names}


def hides_samples(record: Mapping[str, Any]) -> bool:
    """Whether nobody is to find out from what is published which samples were forgotten."""
    return not is_open(record.get("request"), **Disclosure.of(record).of_request())


def published(record: Mapping[str, Any]) -> dict[str, Any]:
    """What may be published of a record. Of what this gives it gives the same again.

    Args:
        record: all that is known of a run, see [`unlearning_record`].
    """
    choice = Disclosure.of(record)
    shown = _without_samples(record, choice) if hides_samples(record) else dict(record)
    # Digests of models in between, which may not have been published.
    shown.pop("takes_place_of", None)
    if "weights_sha256" in record:
        shown["weights_sha256"] = dict(record["weights_sha256"] or {})
    dataset = record.get("dataset")
    shown["request"] = _request(record.get("request"), choice, dataset)
    if dataset is not None:
        shown["dataset"] = _dataset(shown["dataset"], choice)
    if not choice.names and "reference_split" in shown:
        shown["reference_split"] = None
    if record.get("original_model"):
        shown["original_model"] = _model(record["original_model"], choice)
        if _is_withheld(record["original_model"], choice) and "weights_sha256" in record:
            shown["weights_sha256"] = {
                name: digest for name, digest in record["weights_sha256"].items() if name != "original"
            }
    if "adapter" in record:
        adapter = record["adapter"]
        shown["adapter"] = adapter and {**adapter, "base_model": _model(adapter["base_model"], choice)}
    if shown.get("evaluation"):
        shown["evaluation"] = _without_names(shown["evaluation"])
    if record.get("earlier"):
        # They are checked on what this request leaves, and that says what it takes.
        unsaid = ("kept", *(("checks",) if hides_samples(record) else ()))
        shown["earlier"] = _earlier(record["earlier"], choice, unsaid)
        if "weights_sha256" in shown and any(hides_samples(each) for each in shown["earlier"]):
            shown["weights_sha256"].pop("original", None)
    return shown


def band(number: int) -> str:
    """A number of samples, told so coarsely that it hardly tells persons apart."""
    below = [bound for bound in BANDS if number >= bound]
    above = [bound for bound in BANDS if number < bound]
    if not below:
        return f"fewer than {above[0]:,}"
    return f"{below[-1]:,} to {above[0] - 1:,}" if above else f"at least {below[-1]:,}"


def _without_samples(record: Mapping[str, Any], choice: Disclosure) -> dict[str, Any]:
    """The part of a record that is the same whichever samples of its kind were forgotten."""
    request = record.get("request") or {}
    kind = request.get("kind")
    shown: dict[str, Any] = {name: record[name] for name in _ALWAYS if name in record}
    shown["weights_sha256"] = dict(record.get("weights_sha256") or {})
    shown.update(dict.fromkeys(_OF_THE_RUN))
    # Where nobody may know which samples they are, whether they were all of their class tells something of it, unless
    # the request says it.
    says_kind = kind in (None, "class", "samples")
    shown["whole_classes"] = record.get("whole_classes") if says_kind else None
    if kind in DRAWN_KINDS:
        # Every seed gives as many.
        shown.update({name: record.get(name) for name in ("num_forget", "num_retain")})
    number = record.get("num_forget")
    shown["num_forget_band"] = band(number) if number is not None else record.get("num_forget_band")
    dataset = record.get("dataset")
    shown["dataset"] = None if dataset is None else {name: dataset[name] for name in _OF_THE_DATASET if name in dataset}
    # What was left open and follows from what becomes of the classes.
    silent = {*_SEEDS, *(() if says_kind else record.get("settled") or ())}
    for name in ("settings", "settings_given"):
        shown[name] = {each: value for each, value in (record.get(name) or {}).items() if each not in silent}
    figures = _TEST_BY_CLASS if "classes" in request and choice.names else _WHOLE_TEST
    checks = record.get("checks") or {}
    shown["checks"] = {name: checks[name] for name in ("samples", *figures) if name in checks}
    shown["evaluation"] = _evaluation(record.get("evaluation"), figures)
    return shown


def _earlier(earlier: Sequence[Mapping[str, Any]], choice: Disclosure, unsaid: tuple[str, ...]) -> list[dict[str, Any]]:
    """What may be published of the requests that a model met before: of each what it allows itself and this one allows.

    A model between two requests need not have been published. Its digest would let an outsider try the candidates of
    the one apart from those of the other, so none is told after the first request whose samples nobody may find out.
    """
    shown = []
    hidden = False
    for place, each in enumerate(earlier):
        both = [one and other for one, other in zip(Disclosure.of(each), choice, strict=True)]
        own = {name: value for name, value in each.items() if name not in unsaid}
        link = published({**own, "disclosure": Disclosure(*both)._asdict()})
        digests = dict(link.get("weights_sha256") or {})
        if hidden and place:
            digests.pop("original", None)
        hidden = hidden or hides_samples(link)
        if hidden:
            digests.pop("unlearned", None)
        shown.append({**link, "weights_sha256": digests})
    return shown


def _evaluation(evaluation: Mapping[str, Any] | None, figures: tuple[str, ...]) -> dict[str, Any] | None:
    if not evaluation:
        return None
    models = evaluation["models"]
    return {
        **{name: evaluation[name] for name in _OF_THE_EVALUATION if name in evaluation},
        "models": {
            role: {name: models[role][name] for name in figures if name in models[role]}
            # A retrained model is not public, and what it cannot do tells what it was not shown.
            for role in ("original", "unlearned")
            if role in models
        },
        "counts": {name: number for name, number in evaluation["counts"].items() if name == "test"},
        "references": [],
        "curves": {},
    }


def _without_names(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """Without the names of models' folders, and without reasons, in which these stand, too."""

    def bare(figures: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in figures.items() if name != "name"}

    return {
        **{name: value for name, value in evaluation.items() if name not in ("left_out", "dataset")},
        "models": {role: bare(figures) for role, figures in evaluation["models"].items()},
        "references": [bare(figures) for figures in evaluation["references"]],
    }


def _request(
    request: Mapping[str, Any] | None, choice: Disclosure, dataset: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    if request is None:
        return None
    summary = {name: value for name, value in request.items() if name != "text"}
    form = public_form(summary, **choice.of_request())
    return {**form, "text": in_words(form, (dataset or {}).get("num_labels"))}


def _dataset(dataset: Mapping[str, Any], choice: Disclosure) -> dict[str, Any]:
    shown = dict(dataset)
    if not choice.names:
        shown.update({name: None for name in _NAMES_IN_DATASET if name in shown})
        if not shown.get("from_hub"):
            shown["name"] = None
    if _is_withheld(dataset, choice):
        shown = {name: shown[name] for name in _OF_THE_DATASET if name in shown and name not in _NAMES_IN_DATASET}
        shown.update(name=None, revision=None, from_hub=False)
    return shown


def _model(model: Mapping[str, Any], choice: Disclosure) -> dict[str, Any]:
    """Name, revision and licence of an original or a base, as far as they may be known."""
    if _is_withheld(model, choice):
        kept = {name: value for name, value in model.items() if name in _OF_A_PRIVATE_MODEL}
        return {**kept, "name": PRIVATE_MODEL, "revision": None, "from_hub": False}
    if not choice.names and not model.get("from_hub"):
        return {**model, "name": LOCAL_MODEL}
    return dict(model)


def _is_withheld(source: Mapping[str, Any], choice: Disclosure) -> bool:
    return bool(source.get("private")) and not (choice.sources and choice.names)
