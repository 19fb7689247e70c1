# %% [markdown]
# # Forget a person's images
#
# Someone asks to have their images removed. Others have made images of the same classes, so the
# model goes on using the labels. It runs on what `hf-unlearn demo` leaves in `outputs/demo`: run
# that first.

# %%
from pathlib import Path

from hf_unlearn import ForgetRequest, MUMisTrainer, compare, load_image_dataset, make_splits

DEMO = Path("outputs/demo")

# %% [markdown]
# ## Whose images
#
# The digits do not say who wrote them. Let us say that each person wrote 30 in a row.

# %%
dataset = load_image_dataset(str(DEMO / "dataset"))
writers = [f"writer-{row // 30}" for row in range(len(dataset["train"]))]
dataset["train"] = dataset["train"].add_column("writer", writers)

splits = make_splits(dataset, ForgetRequest(where={"writer": "writer-7"}))
print(f"{len(splits.forget)} images to forget, {len(splits.retain)} stay")

# %% [markdown]
# ## Forget them
#
# The trainer knows from the splits that the labels stay in use, and changes the model only a
# little: nobody knows how well a model that never saw these images would recognise them. The
# settings that follow from that are in `trainer.settled`.

# %%
trainer = MUMisTrainer(str(DEMO / "original"), splits=splits)
trainer.train()
trainer.save_model("forgot-writer-7")
print(*trainer.settled, sep="\n")

# %% [markdown]
# ## How well it forgot
#
# Nobody can say how well a model that never saw these images would recognise them, unless there is one:
# `hf-unlearn train --forget_where writer=writer-7 ...` makes it, and `references=[...]` compares to it.
# What the table says without one is how much the model has changed.

# %%
report = compare("forgot-writer-7", original=str(DEMO / "original"), splits=splits)
print(report)

# %% [markdown]
# ## What is written down
#
# The record names the column and the number of images, but neither the person nor the images.

# %%
record = Path("forgot-writer-7/unlearning.json").read_text()
assert "writer-7" not in record.replace("forgot-writer-7", "")
