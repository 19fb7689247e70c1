"""What was written: the words of the command line and the settings of a `--config` file, each with its flag."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import yaml

from hf_unlearn.errors import UnlearningError, one_line
from hf_unlearn.files import expand_user


class Written(NamedTuple):
    """A flag and the values that were written after it, as text.

    Attributes:
        flag: with its dashes, as it was written; "" for words before the first flag.
        values: none for a flag that stands alone.
        from_file: whether it stands in the `--config` file.
    """

    flag: str
    values: tuple[str, ...]
    from_file: bool = False

    @property
    def name(self) -> str:
        """The flag without dashes: `max_steps` of `--max-steps`."""
        return self.flag.removeprefix("--").replace("-", "_")


def written(argv: Sequence[str]) -> list[Written]:
    """The flags of a command line and of the `--config` file that it names, which come first.

    A word that begins with two dashes is a flag, any other word a value of the flag before it.

    Raises:
        UnlearningError: there are several files, or one that cannot be read or holds no settings.
    """
    found: list[Written] = []
    for word in argv:
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            found.append(Written(flag, (value,) if equals else ()))
        elif found:
            found[-1] = found[-1]._replace(values=(*found[-1].values, word))
        else:
            found.append(Written("", (word,)))
    files = list(dict.fromkeys(value for each in found if each.name == "config" for value in each.values or ("",)))
    if len(files) > 1:
        raise UnlearningError(f"--config is given {files[0]!r} and {files[1]!r}; expected one file")
    settings = read_settings(files[0]) if files else []
    return [*settings, *(each for each in found if each.name != "config")]


def peek(name: str, argv: Sequence[str]) -> str | None:
    """What was written for the flag `name`, on the command line or else in the `--config` file; None: nothing."""
    values = [each.values for each in written(argv) if each.name == name]
    return "".join(values[-1][:1]) if values else None


def read_settings(path: str) -> list[Written]:
    """The settings of a YAML file by flag. A value is the text that stands there: `0001`, `no` and `1e3` stay so.

    A setting without a value, or with `null`, is as one that is not there.

    Raises:
        UnlearningError: the file cannot be read, is not YAML, or holds anything but settings by name.
    """
    if not path:
        raise UnlearningError("--config has no value; expected a YAML file after it")
    try:
        with open(expand_user(path), encoding="utf-8") as file:
            loader = yaml.SafeLoader(file)
        try:
            root = loader.get_single_node()
            return _settings(loader, root, path)
        finally:
            loader.dispose()
    except OSError as error:
        raise UnlearningError(f"--config {path!r} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UnlearningError(f"--config {path!r} is not YAML: {one_line(error)}") from error


def _settings(loader: yaml.SafeLoader, root: yaml.Node | None, path: str) -> list[Written]:
    if root is None:
        return []
    if not isinstance(root, yaml.MappingNode):
        kind = "list" if isinstance(root, yaml.SequenceNode) else "single value"
        raise UnlearningError(f"--config {path!r} holds a {kind}; expected settings by name")
    _refuse_twice(root, path, flags=True)
    # `<<: *other` takes another mapping's settings in.
    loader.flatten_mapping(root)
    found: dict[str, Written] = {}
    for key, node in root.value:
        values = _texts(loader, node, path, key.value)
        if values is not None:
            # What stands here comes after what was taken in.
            setting = Written(f"--{key.value}", values, from_file=True)
            found[setting.name] = setting
    return list(found.values())


def _texts(loader: yaml.SafeLoader, node: yaml.Node, path: str, name: str) -> tuple[str, ...] | None:
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == "tag:yaml.org,2002:null" else (node.value,)
    if isinstance(node, yaml.MappingNode):
        try:
            value = loader.construct_object(node, deep=True)
            _refuse_twice(node, path)
            return (json.dumps(value, allow_nan=False),)
        except UnlearningError:
            raise
        except (TypeError, ValueError) as error:
            raise UnlearningError(f"--config {path!r}: {name} cannot be JSON: {one_line(error)}") from error
    for item in node.value:
        if not isinstance(item, yaml.ScalarNode):
            raise UnlearningError(f"--config {path!r}: {name} is a list that holds a list or mapping; expected values")
    if not node.value:
        raise UnlearningError(f"--config {path!r}: {name} is an empty list; expected values, or no such line")
    return tuple(item.value for item in node.value)


def _refuse_twice(node: yaml.Node, path: str, flags: bool = False) -> None:
    """Refuse a key that stands twice in a mapping: YAML would take the last. Flags may be written with - or _."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise UnlearningError(f"--config {path!r} names a setting by a list or mapping; expected a word")
        name = key.value.replace("-", "_") if flags else key.value
        if name in seen and name != "<<":
            raise UnlearningError(f"--config {path!r} sets {key.value!r} twice; expected it once")
        seen.add(name)
        if not flags:
            _refuse_twice(value, path)
