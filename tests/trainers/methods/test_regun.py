"""ReGUn by its paper: the reference of a batch, its draws, and which held-out samples are taken."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from hf_unlearn import UnlearningError
from tests.tiny import make_dataset, make_model
from tests.trainers.methods.test_rivals import first_loss
from tests.trainers.runs import NUM_FORGET, make


def test_regun_by_the_paper(tmp_path):
    settings = {"max_steps": 1, "forget_weight": 0.7, "retain_weight": 0.4}
    trainer = make(tmp_path, "regun", kind="subset", **settings)
    seen = first_loss(trainer, [0, NUM_FORGET, 3, NUM_FORGET + 2])
    inputs, forget = seen["inputs"], torch.tensor([True, False, True, False])
    assert (trainer.held_labels == 0).sum() > 1 and (inputs["labels"][forget] == 0).all()
    # All forget samples are of class 0, and so are the held-out samples beside them: one of these means is q.
    held = trainer.references.pixel_values[trainer.references.labels == 0]
    said = make_model("vit")(pixel_values=held).logits.softmax(1).detach()
    q = trainer.reference_answer(inputs["labels"][forget], inputs["index"][forget])
    assert any(
        torch.allclose(q, (said[i] + said[j]) / 2, atol=1e-6) for i in range(len(said)) for j in range(len(said))
    )
    log_p = seen["logits"].log_softmax(1)
    expected = 0.7 * kl_div(log_p[forget], q.expand(2, -1), reduction="batchmean")
    expected = expected + 0.4 * cross_entropy(seen["logits"][~forget], inputs["labels"][~forget])
    torch.testing.assert_close(seen["losses"].mean(), expected, rtol=1e-4, atol=1e-6)


def test_regun_of_a_half_precision_model_takes_whole_probabilities(tmp_path):
    trainer = make(tmp_path, "regun", model=make_model("vit").to(torch.bfloat16), kind="subset", max_steps=1)
    trainer._ask_held_out()
    held = trainer.references.pixel_values
    assert held.dtype == torch.bfloat16 and trainer.said.dtype == torch.float32
    torch.testing.assert_close(trainer.said, trainer.original_model(pixel_values=held).logits.float().softmax(1))


def test_regun_draws_anew_in_each_step_and_the_same_in_each_run(tmp_path):
    runs = []
    for _ in range(2):
        trainer = make(tmp_path, "regun", kind="subset", max_steps=3)
        answers = []
        ask = trainer.reference_answer
        trainer.reference_answer = lambda *given, ask=ask, to=answers: to.append(ask(*given)) or to[-1]
        trainer.train()
        runs.append(torch.stack(answers))
    assert torch.equal(*runs) and not torch.equal(runs[0][0], runs[0][1])


def test_regun_leaves_the_held_out_samples_of_classes_that_go_aside(tmp_path):
    stays = make(tmp_path, "regun", kind="subset", max_steps=1)
    goes = make(tmp_path, "regun", max_steps=1)
    goes.__dict__["earlier_labels"] = torch.tensor([2])
    for trainer in (stays, goes):
        trainer.train()
    assert set(stays.held_labels.tolist()) == {0, 1, 2, 3} and set(goes.held_labels.tolist()) == {1, 3}
    only = make_dataset(80, seed=5).filter(lambda label: label == 0, input_columns="label")
    with pytest.raises(UnlearningError, match="every reference sample is of a class that goes"):
        make(tmp_path, "regun", unseen=only, max_steps=1).train()
    with pytest.raises(UnlearningError, match="method 'regun' needs labelled samples"):
        make(tmp_path, "regun", unseen=False)
