"""The report in a browser: what matters is on the first screen, on a phone, too."""

from __future__ import annotations

import pytest

from hf_unlearn.evaluation.report.html import write_report
from tests.app.browser import DESKTOP, PHONE, Tab, open_browser

NAMES = ["<b>red</b>", "a rather long name of a class", "blue", "grey"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A report on models that were hardly trained, with everything but the depth, which takes minutes."""
    from datasets import DatasetDict

    from hf_unlearn import ForgetRequest, make_splits
    from hf_unlearn.evaluation.contest import compare_models
    from hf_unlearn.evaluation.predict import Contestant
    from tests.tiny import make_dataset, make_model, make_processor

    parts = {"train": make_dataset(40), "test": make_dataset(40, seed=1)}
    data = DatasetDict(
        {name: part.cast_column("label", part.features["label"].__class__(names=NAMES)) for name, part in parts.items()}
    )
    splits = make_splits(data, ForgetRequest(classes=(NAMES[0],)), dataset_name="someone/colours")
    models = [Contestant(str(seed), make_model(seed=seed, label_names=NAMES), make_processor()) for seed in range(3)]
    given = {"original": models[0], "unlearned": models[1]}
    results = compare_models(given, splits, [models[2]], level="fast")
    # The depth's picture is the widest.
    probes = ["linear_probe", "mlp_probe", "shifted_recall_1"]
    shares = {"masked": [0.0, 5.0, None], "unlearned": [66.0, 260.0, None]}
    results["curves"]["depth"] = {"probes": probes, "shares": shares, "floors": [3.0, None, None]}
    results["models"]["unlearned"]["depth"] = 66.0
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(results, str(path), results.strip)
    return path.as_uri()


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_verdict_and_picture_are_on_the_first_screen(address, width):
    with open_browser() as browser:
        tab = Tab(browser, address, width, ready="h1")
        places = [tab.page.query_selector(each).bounding_box() for each in (".verdict", ".first svg", "table")]
        tops = [place["y"] for place in places]
        assert tops == sorted(tops)
        picture = places[1]
        assert picture["y"] + picture["height"] <= tab.page.viewport_size["height"]
        assert (tab.faults, tab.elsewhere, tab.overflows()) == ([], [], [])
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.page.query_selector_all(".strip b, td b") == []
        # Pixels; of drawings, as they are scaled.
        assert tab.small_texts(8.0) == []


def test_what_is_looked_for_would_be_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<p style='font-size: 7px'>small</p><div style='width: 5000px'>wide</div>"
        "<svg viewBox='0 0 1000 100' width='100' height='10'><text y='50' font-size='20'>drawn</text></svg>"
        "<div style='overflow-x: auto'><div style='width: 5000px'>scrolls</div></div><script>nothing.here()</script>"
        "<img src='http://127.0.0.1:9/x.png'>"
    )
    with open_browser() as browser:
        tab = Tab(browser, page.as_uri(), ready="p")
        assert [text.split(": ")[1] for text in tab.small_texts(8.0)] == ["small", "drawn"]
        assert "DIV." in tab.overflows() and len(tab.overflows()) == 1
        assert any("nothing" in fault for fault in tab.faults)
        assert tab.elsewhere == ["http://127.0.0.1:9/x.png"]
