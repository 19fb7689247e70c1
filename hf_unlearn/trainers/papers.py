"""The papers of the methods, as a trainer's `_paper`: title, arXiv number, BibTeX entry."""

from __future__ import annotations


def _paper(key: str, title: str, arxiv: str) -> dict[str, str]:
    # Title and number only: what is not looked up is not printed into a card.
    citation = f"@misc{{{key},\n  title = {{{title}}},\n  eprint = {{{arxiv}}},\n  archivePrefix = {{arXiv}},\n}}"
    return {"title": title, "id": arxiv, "citation": citation}


ETERNAL_SUNSHINE = _paper(
    "golatkar2020eternal",
    "Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep Networks",
    "1911.04933",
)
AMNESIAC = _paper(
    "graves2021amnesiac",
    "Amnesiac Machine Learning",
    "2010.10981",
)
DELETE = _paper(
    "zhou2025decoupled",
    "Decoupled Distillation to Erase: A General Unlearning Method for Any Class-centric Tasks",
    "2503.23751",
)
JIT = _paper(
    "foster2024zeroshot",
    "Zero-Shot Machine Unlearning at Scale via Lipschitz Regularization",
    "2402.01401",
)
BOUNDARY = _paper(
    "chen2023boundary",
    "Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the Decision Boundary",
    "2303.11570",
)
SALUN = _paper(
    "fan2024salun",
    "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency in Both Image Classification "
    "and Generation",
    "2310.12508",
)
SPARSITY = _paper(
    "jia2023model",
    "Model Sparsity Can Simplify Machine Unlearning",
    "2304.04934",
)
SCRUB = _paper(
    "kurmanji2023towards",
    "Towards Unbounded Machine Unlearning",
    "2302.09880",
)
BAD_TEACHER = _paper(
    "chundawat2023can",
    "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an Incompetent Teacher",
    "2205.08096",
)
SSD = _paper(
    "foster2024fast",
    "Fast Machine Unlearning Without Retraining Through Selective Synaptic Dampening",
    "2308.07707",
)
