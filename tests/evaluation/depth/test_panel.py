"""The panel on models of which it is known what they know: small networks made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import DatasetDict

from hf_unlearn import ForgetRequest, compare, make_splits
from hf_unlearn.evaluation.depth.summary import CLASS_PROBES, FOUND, add_depth, depths_of, found_inside
from hf_unlearn.evaluation.predict import Contestant
from hf_unlearn.evaluation.report.figures import draw_plots
from hf_unlearn.evaluation.report.html import write_report
from hf_unlearn.evaluation.report.table import findings
from tests.tiny import make_dataset, make_model, make_processor

SEEN = torch.tensor([[200, 40, 40], [40, 200, 40], [40, 40, 200], [120, 120, 120]]) / 127.5 - 1


class ByColour(torch.nn.Module):
    """Features are how near a picture's mean colour is to each known one, the head reads them off.

    Args:
        knows: how well it knows red, 0 to 1: at 0 a red picture is to it as a grey one.
        bias: of red.
    """

    def __init__(self, knows: float = 1.0, bias: float = 0.0):
        super().__init__()
        self.config = make_model().config
        self.knows = torch.nn.Parameter(torch.tensor(knows))
        self.classifier = torch.nn.Linear(4, 4)
        with torch.no_grad():
            self.classifier.weight.copy_(torch.eye(4))
            self.classifier.bias.copy_(torch.tensor([bias, 0.0, 0.0, 0.0]))

    @classmethod
    def _from_config(cls, config, dtype):
        return cls(knows=0.5)

    @property
    def dtype(self):
        return torch.float32

    @property
    def device(self):
        return self.knows.device

    def forward(self, pixel_values):
        means = pixel_values.mean((2, 3))
        red, green, blue, grey = ((-8 * torch.cdist(means, SEEN)).exp() - 0.1).relu().T
        seen = torch.stack([self.knows * red, green, blue, grey + (1 - self.knows) * red], 1)
        return {"logits": self.classifier(seen)}


@pytest.fixture(scope="module")
def data():
    return DatasetDict({"train": make_dataset(480), "test": make_dataset(160, seed=1)})


def judged(data, request, unlearned, references, **more):
    splits = make_splits(data, request)
    models = [ByColour(), unlearned, *references]
    original, judged_, *retrained = (
        Contestant(str(place), model, make_processor()) for place, model in enumerate(models)
    )
    return compare(
        judged_, original=original, references=retrained, splits=splits, level="deep", max_retain_samples=0, **more
    )


@pytest.fixture(scope="module")
def of_a_class(data):
    retrained = [ByColour(knows=0.0), ByColour(knows=0.001, bias=0.01)]
    # What is unlearned is the bias alone: a mask.
    return judged(data, ForgetRequest(classes=("red",)), ByColour(bias=-5.0), retrained)


def test_a_bias_is_a_mask_and_has_no_depth(of_a_class):
    models = of_a_class["models"]
    original, mask, unlearned, retrained = (models[role] for role in ("original", "masked", "unlearned", "retrained"))
    assert original["forget_accuracy"] == 100 and unlearned["forget_accuracy"] == mask["forget_accuracy"] == 0
    for key in ("linear_probe", "prototype_recall", "shifted_recall_1", "forget_cosine"):
        assert unlearned[key] == pytest.approx(original[key], abs=1e-6) == mask[key]
    assert unlearned["linear_probe"] == unlearned["shifted_recall_1"] == 100
    assert retrained["shifted_recall_1"] < 60
    assert original["depth"] == mask["depth"] == 0 and original["weight_distance"] == original["line_barrier"] == 0
    shares = of_a_class["curves"]["depth"]
    by_name = dict(zip(shares["probes"], shares["shares"]["unlearned"], strict=True))
    assert set(by_name) <= set(CLASS_PROBES) and by_name["shifted_recall_1"] == 0
    assert list(shares["shares"]) == ["masked", "unlearned"] and set(shares["shares"]["masked"]) <= {0.0, None}
    # Both of its own steps, which a bias cannot undo at once, are all that it has.
    told = [value for value in by_name.values() if value is not None]
    assert unlearned["depth"] == pytest.approx(np.mean([max(0, 100 - abs(100 - value)) for value in told]), abs=0.01)
    assert "depth" in of_a_class["noise_floor"]


def test_who_knows_as_little_as_the_retrained_is_all_the_way_down(data):
    retrained = [ByColour(knows=0.0), ByColour(knows=0.001)]
    results = judged(data, ForgetRequest(classes=("red",)), ByColour(knows=0.0005), retrained)
    assert results["models"]["unlearned"]["depth"] > 95
    # Swapped, the verdict turns round.
    other = judged(data, ForgetRequest(classes=("red",)), ByColour(knows=0.999), retrained)
    assert other["models"]["unlearned"]["depth"] < 5


def test_the_depth_comes_first(of_a_class, tmp_path):
    first, *_ = findings(of_a_class)
    depth = of_a_class["models"]["unlearned"]["depth"]
    assert first.startswith(f"The unlearned model is {depth:.0f} % of the way")
    lines = str(of_a_class).splitlines()
    assert lines[1].startswith("Depth") and "mask the logit" in lines[0]
    drawn = [label.get_text() for label in draw_plots(of_a_class)["depth"].axes[0].get_yticklabels()]
    assert drawn[0] == "linear probe" and drawn[-1] == "remembered by itself" and len(drawn) == len(CLASS_PROBES)
    write_report(of_a_class, str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert page.index("How deep") < page.index("<h2>Figures</h2>")


def test_without_retrained_models_there_is_what_is_found_inside(data, of_a_class, tmp_path):
    """Behind a mask everything; of samples whose label stays there is no such picture, nor where there is a depth."""
    results = judged(data, ForgetRequest(classes=("red",)), ByColour(bias=-5.0), [])
    inside = results["curves"]["inside"]
    assert list(inside["values"]) == ["original", "masked", "unlearned"]
    found = dict(zip(inside["probes"], inside["values"]["unlearned"], strict=True))
    assert found["linear_probe"] == found["shifted_recall_1"] == 100
    assert found == {key: pytest.approx(results["models"]["unlearned"][key], abs=0.01) for key in FOUND}
    name, *others = draw_plots(results)
    assert name == "inside" and "depth" not in others
    axes = draw_plots(results)["inside"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()][0] == "linear probe"
    assert axes.lines[-1].get_xdata().tolist() == inside["values"]["unlearned"]
    write_report(results, str(tmp_path / "report.html"))
    assert "What is still found inside" in (tmp_path / "report.html").read_text()
    assert of_a_class["curves"]["inside"] == {} and "inside" not in draw_plots(of_a_class)
    assert found_inside({"unlearned": {"jitter_gap": 1.0, "linear_probe": None}}, ["unlearned"]) == {}


def test_samples_whose_label_stays_have_the_jitter_gap(data):
    retrained = [ByColour(knows=0.5), ByColour(knows=0.6)]
    results = judged(data, ForgetRequest(count=60), ByColour(knows=0.9), retrained)
    assert results["models"]["unlearned"]["jitter_gap"] == 0 and "linear_probe" not in results["models"]["unlearned"]
    assert "the label of these samples stays" in str(results["left_out"])
    assert "weight_distance" in results["models"]["unlearned"]


def test_without_original_or_references_there_is_no_depth(data):
    splits = make_splits(data, ForgetRequest(classes=("red",)))
    alone = compare(Contestant("a", ByColour(), make_processor()), splits=splits, level="deep")
    assert "depth" not in alone["models"]["unlearned"] and "takes both" in alone["left_out"]["depth"]
    assert alone["models"]["unlearned"]["linear_probe"] == 100
    assert "relearn_mixed_steps" not in alone["models"]["unlearned"]


def test_a_model_without_a_linear_head_is_measured_in_the_rest(data):
    class Scaled(ByColour):
        def forward(self, pixel_values):
            return {"logits": 2 * super().forward(pixel_values)["logits"]}

    results = judged(data, ForgetRequest(classes=("red",)), Scaled(bias=-5.0), [ByColour(0.0), ByColour(0.001)])
    assert "linear_probe" not in results["models"]["unlearned"]
    assert results["models"]["unlearned"]["shifted_recall_1"] == 100
    assert "expected a linear head" in results["left_out"]["features of the unlearned model"]
    assert results["models"]["unlearned"]["depth"] is not None


def test_too_few_samples_are_said():
    small = DatasetDict({"train": make_dataset(32), "test": make_dataset(16, seed=1)})
    results = judged(small, ForgetRequest(classes=("red",)), ByColour(bias=-5.0), [ByColour(0.0)])
    assert results["models"]["unlearned"]["linear_probe"] is None
    assert "8 forget samples; at least 40" in results["left_out"]["linear_probe"]


def test_a_probe_that_one_model_lacks_is_no_part_of_the_mean():
    original, model = {"linear_probe": 100.0, "forget_cosine": 0.9}, {"linear_probe": 60.0, "forget_cosine": None}
    found = depths_of(original, model, [{"linear_probe": 20.0, "forget_cosine": 0.5}], whole_classes=True)
    assert list(found) == ["linear_probe"] and found["linear_probe"].share == 50


def test_the_depth_of_several_models_by_hand():
    figures = {
        "original": {"linear_probe": 100.0, "shifted_recall_1": 100.0, "mlp_probe": 100.0},
        "unlearned": {"linear_probe": 60.0, "shifted_recall_1": 0.0, "mlp_probe": 90.0},
        "reference 1": {"linear_probe": 22.0, "shifted_recall_1": 50.0, "mlp_probe": 99.5},
        "reference 2": {"linear_probe": 18.0, "shifted_recall_1": 50.0, "mlp_probe": 99.9},
    }
    left_out: dict[str, str] = {}
    curve, floor = add_depth(figures, ["original", "unlearned"], True, left_out)
    # Half way; twice as far as it is, which is as bad as nothing; and nothing to tell.
    assert curve == {
        "probes": ["linear_probe", "mlp_probe", "shifted_recall_1"],
        "floors": [5.0, None, 0.0],
        "shares": {"unlearned": [50.0, None, 200.0]},
    }
    assert floor == 2.5 and figures["unlearned"]["depth"] == 25.0 and figures["original"]["depth"] == 0.0
    assert "does not tell" in left_out["depth by mlp_probe"]


@pytest.mark.parametrize(("ours", "said"), [(73.8, True), (4.0, False)])
def test_a_model_that_remembers_by_itself_is_said_to(of_a_class, ours, said):
    models = {role: dict(figures) for role, figures in of_a_class["models"].items()}
    models["unlearned"]["remembered_accuracy"], models["retrained"]["remembered_accuracy"] = ours, 0.0
    text = " ".join(findings({**of_a_class, "models": models}))
    assert ("rises to 73.8 %, that of the retrained model to 0.0 %" in text) is said == ("by itself" in text)


def test_where_labels_stay_membership_and_jitter_count():
    figures = {
        "original": {"mia_loss": 60.0, "rmia_auc": 80.0, "jitter_gap": 12.0, "linear_probe": 100.0},
        "unlearned": {"mia_loss": 55.0, "rmia_auc": 80.0, "jitter_gap": 6.0, "linear_probe": 0.0},
        "reference 1": {"mia_loss": 50.0, "rmia_auc": None, "jitter_gap": 0.0, "linear_probe": 0.0},
    }
    curve, floor = add_depth(figures, ["original", "unlearned"], False, {})
    # One retrained model has no reference to be attacked with: RMIA is left out, and how far two are apart unknown.
    assert curve["probes"] == ["mia_loss", "jitter_gap"] and curve["shares"]["unlearned"] == [50.0, 50.0]
    assert figures["unlearned"]["depth"] == 50.0 and floor is None and curve["floors"] == [None, None]
