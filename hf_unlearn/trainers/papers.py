"""The papers of the methods, as a trainer's `_paper`: title, arXiv number, BibTeX entry."""

from __future__ import annotations


def _paper(key: str, title: str, authors: str, arxiv: str, venue: str, year: int) -> dict[str, str]:
    citation = (
        f"@inproceedings{{{key},\n  title = {{{title}}},\n  author = {{{authors}}},\n  booktitle = {{{venue}}},\n"
        f"  year = {{{year}}},\n  note = {{arXiv:{arxiv}}},\n}}"
    )
    return {"title": title, "id": arxiv, "citation": citation}


ETERNAL_SUNSHINE = _paper(
    "golatkar2020eternal",
    "Eternal Sunshine of the Spotless Net: Selective Forgetting in Deep Networks",
    "Golatkar, Aditya and Achille, Alessandro and Soatto, Stefano",
    "1911.04933",
    "CVPR",
    2020,
)
AMNESIAC = _paper(
    "graves2021amnesiac",
    "Amnesiac Machine Learning",
    "Graves, Laura and Nagisetty, Vineel and Ganesh, Vijay",
    "2010.10981",
    "AAAI",
    2021,
)
DELETE = _paper(
    "zhou2025decoupled",
    "Decoupled Distillation to Erase: A General Unlearning Method for Any Class-centric Tasks",
    "Zhou, Yu and Zheng, Dian and Mo, Qijie and Lu, Renjie and Lin, Kun-Yu and Zheng, Wei-Shi",
    "2503.23751",
    "CVPR",
    2025,
)
JIT = _paper(
    "foster2024zeroshot",
    "Zero-Shot Machine Unlearning at Scale via Lipschitz Regularization",
    'Foster, Jack and Fogarty, Kyle and Schoepf, Stefan and Dugue, Zack and {\\"O}ztireli, Cengiz and '
    "Brintrup, Alexandra",
    "2402.01401",
    "arXiv preprint",
    2024,
)
BOUNDARY = _paper(
    "chen2023boundary",
    "Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the Decision Boundary",
    "Chen, Min and Gao, Weizhuo and Liu, Gaoyang and Peng, Kai and Wang, Chen",
    "2303.11570",
    "CVPR",
    2023,
)
SALUN = _paper(
    "fan2024salun",
    "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency in Both Image Classification and "
    "Generation",
    "Fan, Chongyu and Liu, Jiancheng and Zhang, Yihua and Wong, Eric and Wei, Dennis and Liu, Sijia",
    "2310.12508",
    "ICLR",
    2024,
)
SPARSITY = _paper(
    "jia2023model",
    "Model Sparsity Can Simplify Machine Unlearning",
    "Jia, Jinghan and Liu, Jiancheng and Ram, Parikshit and Yao, Yuguang and Liu, Gaowen and Liu, Yang and "
    "Sharma, Pranay and Liu, Sijia",
    "2304.04934",
    "NeurIPS",
    2023,
)
SCRUB = _paper(
    "kurmanji2023towards",
    "Towards Unbounded Machine Unlearning",
    "Kurmanji, Meghdad and Triantafillou, Peter and Hayes, Jamie and Triantafillou, Eleni",
    "2302.09880",
    "NeurIPS",
    2023,
)
BAD_TEACHER = _paper(
    "chundawat2023can",
    "Can Bad Teaching Induce Forgetting? Unlearning in Deep Networks Using an Incompetent Teacher",
    "Chundawat, Vikram S and Tarun, Ayush K and Mandal, Murari and Kankanhalli, Mohan",
    "2205.08096",
    "AAAI",
    2023,
)
SSD = _paper(
    "foster2024fast",
    "Fast Machine Unlearning Without Retraining Through Selective Synaptic Dampening",
    "Foster, Jack and Schoepf, Stefan and Brintrup, Alexandra",
    "2308.07707",
    "AAAI",
    2024,
)
