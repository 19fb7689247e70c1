# %% [markdown]
# # Publish to a Hub
#
# Forget a class, judge the result, and publish it with a card. It runs on what `hf-unlearn demo`
# leaves in `outputs/demo`.
#
# For the real Hub log in with `hf auth login`. To try it on your own machine, start `python -m
# tests.hub` in a clone of the repository, and set the variables that it prints before you start
# this.

# %%
from pathlib import Path

from huggingface_hub import HfApi
from transformers import pipeline

from hf_unlearn import (
    ForgetRequest,
    MUMisTrainer,
    compare,
    load_image_dataset,
    make_splits,
    push_folder,
    record_evaluation,
)

DEMO = Path("outputs/demo")
NAME = "digits-without-eight"

# %% [markdown]
# ## Forget and judge
#
# `record_evaluation` puts the figures into the model's record, from which its card is made.

# %%
splits = make_splits(load_image_dataset(str(DEMO / "dataset")), ForgetRequest(classes="eight"))
trainer = MUMisTrainer(str(DEMO / "original"), splits=splits)
trainer.train()
trainer.save_model(NAME)

report = compare(NAME, original=str(DEMO / "original"), references=[str(DEMO / "retrained")], splits=splits)
record_evaluation(NAME, report)

# %% [markdown]
# ## Publish
#
# One commit, then the model is loaded back and its answers are compared. What is not the same is an
# error.

# %%
commit = push_folder(NAME, NAME, private=True)
repository = f"{HfApi().whoami()['name']}/{NAME}"
print(f"{repository} at {commit}")

# %% [markdown]
# ## Use it by name

# %%
classify = pipeline("image-classification", model=repository)
print(classify(splits.forget[0]["image"], top_k=3))
