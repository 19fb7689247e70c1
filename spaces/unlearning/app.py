"""The Space: the model of `hf-unlearn demo` forgets a digit."""

from __future__ import annotations

import os
import tempfile

from hf_unlearn.app.options import Options
from hf_unlearn.app.server import serve
from hf_unlearn.commands import train
from hf_unlearn.commands.demo import digits_dataset, training_flags

ABOUT = "This one knows ten handwritten digits: zero, one, two, three, four, five, six, seven, eight and nine."
EPOCHS = float(os.environ.get("SPACE_EPOCHS", "15"))


def make_original(folder: str) -> tuple[str, str]:
    """The digits and a model that knows them, in a folder; where they are."""
    model, dataset = (os.path.join(folder, name) for name in ("original", "dataset"))
    digits_dataset().save_to_disk(dataset)
    train.main(["--dataset_name", dataset, *training_flags(EPOCHS, seed=0), "--output_dir", model])
    return model, dataset


def main() -> None:
    """Serve the page to whoever comes."""
    with tempfile.TemporaryDirectory() as folder:
        model, dataset = make_original(folder)
        options = Options(
            output_dir=os.path.join(folder, "unlearned"),
            folders=(model, dataset),
            model=model,
            dataset=dataset,
            forget_classes=("eight",),
            is_public=True,
            about=ABOUT,
            max_upload_mb=5,
        )
        name, port = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"), os.environ.get("GRADIO_SERVER_PORT", "7860")
        serve(options, name, int(port), open_browser=False)


if __name__ == "__main__":
    main()
