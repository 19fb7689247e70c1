"""Which of a model's sources are private on the Hub: original, dataset and an adapter's base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from hf_unlearn.errors import PublishingError, one_line
from hf_unlearn.models.hub import tried

# By their place in a record: what they are, and of what type on the Hub.
_PLACES = {
    ("original_model",): ("the original model", "model"),
    ("dataset",): ("the dataset", "dataset"),
    ("adapter", "base_model"): ("the adapter's base", "model"),
}


def private_sources(record: Mapping[str, Any], api: HfApi) -> dict[tuple[str, ...], str]:
    """What is private of the sources, by its place in the record: what is to be said of it.

    What the record does not say the Hub is asked. A repository that it does not show is taken for private: it may be,
    to this token.

    Args:
        record: all that is known of it; a part that says of its sources `name`, `from_hub` and perhaps `private` will
            do.

    Raises:
        PublishingError: the Hub does not answer.
    """
    found = {}
    for place, source in _sources(record):
        what, repo_type = _PLACES[place]
        if fault := _privacy(source, repo_type, api):
            found[place] = f"{what} {source['name']!r} {fault}"
    return found


def is_of_private(record: Mapping[str, Any]) -> bool:
    """Whether a model with this record was made of something private, as far as the record knows."""
    return any(source.get("private") for _, source in _sources(record))


def mark_private(record: dict[str, Any], places: Mapping[tuple[str, ...], str]) -> None:
    """Write down in a record which of its sources are private."""
    for place, source in _sources(record):
        if place in places:
            source["private"] = True


def _sources(record: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    for place in _PLACES:
        held: Any = record
        for key in place:
            held = held.get(key) if isinstance(held, Mapping) else None
        # What is here may have been made of what is private there.
        if isinstance(held, dict) and held.get("name") and (held.get("from_hub") or held.get("private")):
            yield place, held


def _privacy(source: Mapping[str, Any], repo_type: str, api: HfApi) -> str | None:
    """Why a source is not for everybody; None if it is."""
    name, private = source["name"], source.get("private")
    try:
        if private is None:
            private = tried(lambda: api.repo_info(name, repo_type=repo_type)).private
        if not private:
            return None
        is_there = source.get("from_hub") or repo_type == "dataset"
        return "is private on the Hub" if is_there else "was made of what is private on the Hub"
    except GatedRepoError:
        # Everybody sees that it is there.
        return None
    except RepositoryNotFoundError:
        return "is not there for this token, and may be private"
    except Exception as error:
        raise PublishingError(f"the Hub cannot be asked whether {name!r} is private: {one_line(error)}") from error
