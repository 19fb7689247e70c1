"""What the pages say in words of the benchmark by regime is what its CSV says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.scripts.test_regimes import scripts  # noqa: F401

DOCS = Path(__file__).parents[2] / "docs"
CLASSES, SAMPLES = ("class", "classes"), ("random", "person")


class Results:
    """Means of the committed rows."""

    def __init__(self):
        import benchmark_regimes_report as report
        from study_defaults import read_rows

        self.report, rows = report, read_rows(report.CSV)
        self.counted = report.counted(rows)
        self.rows = [*report.reported(rows), *report.untuned(rows)]
        known = (*report.METHODS, report.UNTUNED, report.WITH_REFERENCES)
        self.methods = [name for names in report.GROUPS.values() for name in names if name in known]

    def of(self, method, kinds, figure="average_gap", digits=2, where=""):
        """A cell of the table over all settings, or of those whose name holds `where`; None: there is none."""
        settings = [
            some
            for key, some in self.report.by_setting(self.rows).items()
            if key[-1].partition(":")[0] in kinds and where in "/".join(key) and any(row[figure] for row in some)
        ]
        said = self.report._mean_of(settings, method, figure, digits)
        return None if said == "–" else float(said)

    def table(self, kinds, figure="average_gap", without=("mask_logit", "head_only")):
        """Methods that have such a cell, the smallest first."""
        found = {name: value for name in self.methods if (value := self.of(name, kinds, figure)) is not None}
        return {name: found[name] for name in sorted(found, key=found.__getitem__) if name not in without}

    def needs(self, method):
        from make_suggestions import needs

        return needs(method, False)

    def deeper(self):
        """Methods whose mean depth of whole classes is above that of MU-Mis, the deepest first, and their gaps."""
        depth = self.table(CLASSES, "depth")
        names = [name for name in reversed(depth) if depth[name] > max(depth["mu_mis"], depth["mu_mis, defaults"])]
        gaps = [self.of(name, CLASSES) for name in names]
        return joined(f"`{name}`" for name in names), f"{min(gaps):.0f} to {max(gaps):.0f}"


@pytest.fixture
def results(scripts):  # noqa: F811
    return Results()


def joined(parts):
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last


def deeper_in_the_limits(results):
    return "go deeper in the mean ({}), at gaps of {} points".format(*results.deeper())


def samples_of_a_vit(results):
    gap, nothing = (results.of(each, ("random",), where="/vit/") for each in ("mu_mis, defaults", "do nothing"))
    gaps = {name: results.of(name, ("random",), where="/vit/") or 100.0 for name in results.methods}
    nearer = [
        name for name in sorted(gaps, key=gaps.__getitem__) if gaps[name] < gap and results.needs(name) == "retain"
    ]
    theirs = joined(f"`{name}` {gaps[name]:.1f}" for name in nearer[:2])
    return f"the gap is {gap:.1f} where doing nothing has {nothing:.1f}, and with the retained samples {theirs}"


def references_of_a_person(results):
    names = ("mu_mis, references", "mu_mis, defaults", "do nothing")
    characters, garments = (
        [results.of(name, ("person",), where=where) for name in names] for where in ("characters", "fashion-mnist")
    )
    assert characters[0] > characters[1] and garments[0] < garments[1]
    return (
        "made it worse for a font of the characters (gap {:.1f} with them, {:.1f} without, doing nothing {:.1f}) "
        "and better for a photographer of the garments ({:.1f}, {:.1f}, {:.1f})"
    ).format(*characters, *garments)


def three_seeds(results):
    assert re.match(r"\d+ rows of 14 settings, training seeds 0, 1, 2, after a search", results.counted)
    return "on fourteen settings of the study by regime, with three training seeds"


def whole_classes(results):
    gaps = results.table(CLASSES, without=("mask_logit", "head_only", "esc", "esc_t"))
    (ours, value), _, (other, theirs) = list(gaps.items())[:3]
    assert {*list(gaps)[:2]} == {"mu_mis", "mu_mis, defaults"}
    deeper, far = results.deeper()
    return (
        f"the smallest gap in the mean, {value:.1f}, of all methods that change more than the head (the next, "
        f"`{other}`, {theirs:.1f}); {deeper} go deeper inside in the mean, at gaps of {far}"
    )


def a_sub_class(results):
    gaps = results.table(("subclass",))
    value, nothing = gaps.pop("mu_mis, references"), results.of("do nothing", ("subclass",))
    assert all(value < gap for name, gap in gaps.items() if results.needs(name) != "retain")
    near = joined(f"`{name}` {gap:.1f}" for name, gap in list(gaps.items())[:3])
    return f"a gap of {value:.1f} where doing nothing has {nothing:.1f}; the nearest others are {near}"


def samples_or_a_person(results):
    gaps = results.table(SAMPLES)
    (other, theirs) = next((name, gap) for name, gap in gaps.items() if not name.startswith("mu_mis"))
    assert gaps["mu_mis, defaults"] <= theirs + 0.05
    nothing = results.of("do nothing", SAMPLES)
    return f"a mean gap of {gaps['mu_mis, defaults']:.1f}; `{other}` {theirs:.1f}, doing nothing {nothing:.1f}"


SENTENCES = (
    ("limits.md", deeper_in_the_limits),
    ("limits.md", samples_of_a_vit),
    ("limits.md", references_of_a_person),
    ("limits.md", three_seeds),
    ("methods.md", whole_classes),
    ("methods.md", a_sub_class),
    ("methods.md", samples_or_a_person),
)


@pytest.mark.parametrize(("page", "sentence"), SENTENCES, ids=[each.__name__ for _, each in SENTENCES])
def test_the_page_says_what_was_measured(results, page, sentence):
    said = sentence(results)
    assert said in re.sub(r"\s+", " ", (DOCS / page).read_text(encoding="utf-8")), said
