"""The ten questions about the method, each answered by a measurement on small models.

    python scripts/make_characters.py --output_dir outputs/characters
    python scripts/make_fashion_mnist.py --output_dir outputs/fashion-mnist
    python scripts/study_questions.py noise            # or several, or all
    python scripts/study_questions.py --report         # tables of docs/questions.md and figures, from the CSVs

A question says what it will cost, then measures the cells that scripts/results/question_NAME.csv lacks; start it again
to go on. Of the trained models only the large ones, of the study of regimes, are kept. The report is made of the
committed rows alone and measures nothing.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from page_parts import IMAGES, Part
from questions import (
    distance,
    growth,
    influence,
    misclassified,
    noise,
    objectives,
    orthogonality,
    regimes,
    rotation,
)
from questions.question import Question
from study_defaults import RESULTS, read_rows

from hf_unlearn.errors import UnlearningError, did_you_mean

PAGE = "docs/questions.md"
# In the order of the page.
MODULES = (influence, objectives, orthogonality, misclassified, distance, regimes, growth, rotation, noise)
QUESTIONS: dict[str, Question] = {module.QUESTION.name: module.QUESTION for module in MODULES}


def part(question: Question) -> Part:
    """Where the question's table stands."""
    return Part(question.name, "study_questions.py --report", PAGE)


def report(question: Question) -> None:
    """Write its table and its figure from the committed rows."""
    rows = read_rows(question.csv)
    part(question).write(question.table(rows))
    question.draw(rows).savefig(IMAGES / question.figure, dpi=110)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"{', '.join(QUESTIONS)}, or all.")
    parser.add_argument("--report", action="store_true", help="Write tables and figures, of all unless some are named.")
    parser.add_argument("--results_dir", type=Path, default=RESULTS, help="Where the CSVs of the measurements lie.")
    parser.add_argument("--characters", default="outputs/characters", help="From make_characters.py.")
    parser.add_argument("--fashion_mnist", default="outputs/fashion-mnist", help="From make_fashion_mnist.py.")
    parser.add_argument("--cache_dir", default="outputs/regimes", help="Of study_regimes.py, for the large models.")
    flags = parser.parse_args(argv)
    named = list(QUESTIONS) if "all" in flags.questions or not flags.questions else flags.questions
    unknown = [name for name in named if name not in QUESTIONS]
    if unknown:
        print(f"error: question {unknown[0]!r} is not one; {did_you_mean(unknown[0], QUESTIONS)}", file=sys.stderr)
        return 2
    if flags.report:
        for name in named:
            report(QUESTIONS[name])
        return 0
    if not flags.questions:
        parser.print_help()
        return 2
    return measure([QUESTIONS[name] for name in named], flags)


def measure(questions: list[Question], flags: argparse.Namespace) -> int:
    """Run what is missing of some questions, on one core."""
    import torch
    from questions.models import Source

    torch.set_num_threads(1)
    source = Source(flags.characters, flags.fashion_mnist, flags.cache_dir)
    try:
        for question in questions:
            question.run(flags.results_dir / question.csv.name, source, functools.partial(print, flush=True))
    except UnlearningError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
