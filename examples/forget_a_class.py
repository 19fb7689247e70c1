# %% [markdown]
# # Forget a class
#
# A model of handwritten digits forgets the eights. It runs on what `hf-unlearn demo` leaves in
# `outputs/demo`: run that first.

# %%
from pathlib import Path

from transformers import pipeline

from hf_unlearn import ForgetRequest, MUMisTrainer, compare, load_image_dataset, make_splits

DEMO = Path("outputs/demo")

# %% [markdown]
# ## What to forget
#
# `splits.forget` are the images to forget, `splits.retain` the rest of the training set. Only the
# former are shown to the trainer.

# %%
splits = make_splits(load_image_dataset(str(DEMO / "dataset")), ForgetRequest(classes="eight"))
print(f"{len(splits.forget)} images to forget, {len(splits.retain)} stay")

# %% [markdown]
# ## Forget it

# %%
trainer = MUMisTrainer(str(DEMO / "original"), splits=splits)
trainer.train()
trainer.save_model("forgot-eight")
print("stopped:", trainer.stop_reason)

# %% [markdown]
# ## What the model says now
#
# An eight, asked of the original and of the unlearned model.

# %%
image = splits.forget[0]["image"]
for name in (str(DEMO / "original"), "forgot-eight"):
    answers = pipeline("image-classification", model=name)(image, top_k=3)
    print(f"{name:24}", ", ".join(f"{answer['label']} {answer['score']:.2f}" for answer in answers))

# %% [markdown]
# ## How well it forgot
#
# *Do nothing* is the original, *retrained* was trained without the eights. In a notebook, `report`
# alone shows the table.

# %%
report = compare(
    "forgot-eight", original=str(DEMO / "original"), references=[str(DEMO / "retrained")], splits=splits, level="fast"
)
print(report)
