"""Which settings of the study of regimes the benchmark by regime is of, and on what each of them is searched."""

from __future__ import annotations

from dataclasses import dataclass

from regime_grid import CASES, FASHION, Case, _subclass
from regime_grid import request_of as request_of_study
from regime_grid import tiny as tiny_case
from regime_models import Trained
from study_settings import Request

from hf_unlearn import ForgetRequest

# Of the 94 characters, of which ten and five others are reported.
OTHER_FIVE = tuple("4Kw@;")
# By the setting that a search stands for, see `searched_on`: another request of its kind, of which nothing is reported.
SEARCHED = {
    "class:Pullover": FASHION["class 2"],
    "classes:a tenth": Request("classes:other five", ForgetRequest(classes=OTHER_FIVE)),
    "random:5%": Request("random:5%, other draw", ForgetRequest(fraction=0.05, seed=1)),
    "person:7": Request("person:3", ForgetRequest(where={"photographer_id": ("3",)})),
    "subclass:E": _subclass("A"),
}


@dataclass(frozen=True)
class Setting:
    """A case of the study and one of its requests.

    Attributes:
        name: of the reported request.
    """

    case: Case
    name: str

    @property
    def full_name(self) -> str:
        """`regime/dataset/architecture/request`."""
        return f"{self.case.name}/{self.name}"

    @property
    def kind(self) -> str:
        """Of its request: class, classes, subclass, random or person."""
        return self.name.partition(":")[0]

    def request_name(self, phase: str) -> str:
        """Of the request of a phase, `"search"` or `"report"`."""
        return SEARCHED[self.name].name if phase == "search" else self.name


def _setting(regime: str, dataset: str, architecture: str, name: str) -> Setting:
    def fits(case: Case) -> bool:
        recipe = case.recipe
        wanted = (case.regime, recipe.dataset.partition(":")[0], recipe.architecture) == (regime, dataset, architecture)
        return wanted and any(request.name == name for request in case.requests)

    return Setting(next(case for case in CASES if fits(case)), name)


# In the order of their worth; characters have 94 classes.
SETTINGS = [
    _setting("memorised", "fashion-mnist", "resnet", "class:Pullover"),
    _setting("memorised", "fashion-mnist", "resnet", "random:5%"),
    _setting("memorised", "fashion-mnist", "resnet", "person:7"),
    _setting("memorised", "characters", "resnet", "subclass:E"),
    _setting("fine-tuned", "fashion-mnist", "resnet", "class:Pullover"),
    _setting("memorised", "characters", "resnet", "classes:a tenth"),
    _setting("fine-tuned", "fashion-mnist", "resnet", "random:5%"),
    _setting("memorised", "characters", "resnet", "class:R"),
    _setting("memorised", "characters", "resnet", "random:5%"),
    _setting("memorised", "characters", "resnet", "person:1"),
    _setting("memorised", "characters", "resnet", "classes:five"),
    _setting("memorised", "fashion-mnist", "resnet", "classes:five"),
    _setting("memorised", "fashion-mnist", "vit", "class:Pullover"),
    _setting("memorised", "fashion-mnist", "vit", "random:5%"),
]


def searched_on(setting: Setting) -> Setting:
    """Where the settings are searched that a method has here: the first with that architecture and kind of request."""
    like = (setting.case.recipe.architecture, setting.kind)
    return next(each for each in SETTINGS if (each.case.recipe.architecture, each.kind) == like)


def request_of(setting: Setting, phase: str, trained: Trained) -> Request:
    """The request of a phase, with what only the data can say filled in."""
    case = setting.case
    if phase == "report":
        wanted = next(request for request in case.requests if request.name == setting.name)
        return request_of_study(wanted, case, trained)
    return SEARCHED[setting.name]


def tiny(setting: Setting) -> Setting:
    """The same setting at a size that trains in a second, for the tests."""
    case = setting.case
    request = next(each for each in case.requests if each.name == setting.name)
    return Setting(tiny_case(case._replace(requests=(request,))), setting.name)
