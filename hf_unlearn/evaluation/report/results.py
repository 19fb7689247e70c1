"""The figures of a comparison as an object that shows itself and can be saved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from hf_unlearn.files import REPORT_NAME, RESULTS_NAME, write_json


class Comparison(dict[str, Any]):
    """What `results.json` holds (see [`compare_models`]); printed it is a table, in a notebook too.

    Attributes:
        strip: some samples of the forget set with the models' answers, for the report. They are in no file but that.
        folder: of the unlearned model, if it was given as one.
        same_request: whether the unlearned model was made for this request, as far as what lies beside it says; None
            where it does not say.
    """

    def __init__(self, results: Mapping[str, Any], strip: Sequence[Mapping[str, Any]] = ()):
        super().__init__(results)
        self.strip = list(strip)
        self.folder: str | None = None
        self.same_request: bool | None = None

    def __str__(self) -> str:
        from hf_unlearn.evaluation.report.table import comparison_table, findings

        left_out = [f"  not taken: {figure}: {reason}" for figure, reason in self["left_out"].items()]
        return "\n".join([comparison_table(self), *left_out, *findings(self)])

    def __repr__(self) -> str:
        return f"Comparison(level={self['level']!r}, models={list(self['models'])}, counts={self['counts']})"

    def _repr_html_(self) -> str:
        from hf_unlearn.evaluation.report.html import as_fragment

        return as_fragment(self)

    def save(self, folder: str | os.PathLike) -> None:
        """Write `results.json` and `report.html` into a folder, which is made if need be.

        The report shows samples that were to be forgotten: it is not for publishing.

        Raises:
            OSError: they cannot be written.
        """
        from hf_unlearn.evaluation.report.html import write_report

        os.makedirs(folder, exist_ok=True)
        write_json(self, os.path.join(folder, RESULTS_NAME))
        write_report(self, os.path.join(folder, REPORT_NAME), self.strip)
