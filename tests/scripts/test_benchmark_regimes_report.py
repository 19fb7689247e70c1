"""The page of the benchmark by regime: means, verdicts, and what is said of what ran."""

from __future__ import annotations

from tests.scripts.test_regimes import scripts  # noqa: F401


def test_the_page_says_what_the_results_say(scripts):  # noqa: F811
    import benchmark_regimes_report as report
    from study_defaults import read_rows

    rows = read_rows(report.CSV)
    assert report.PART.holds(report.body(rows))
    shown = report.table(rows)
    for row in report.reported(rows):
        assert f"| {row['method']} |" in shown, "no method that ran is left out"


def test_means_are_over_seeds_and_the_search_is_no_result(scripts):  # noqa: F811
    import benchmark_regimes_report as report

    names = {**{name: "" for _, name, _ in report.COLUMNS}, "settings": "{}"}
    setting = {"regime": "memorised", "dataset": "d", "model": "m", "request": "class:a", "method": "delete"}

    def row(phase, seed, gap):
        return {**names, **setting, "phase": phase, "seed": str(seed), "average_gap": str(gap)}

    rows = [row("search", 10, 9.0), row("report", 0, 1.0), row("report", 1, 3.0)]
    text = report.body(rows)
    assert "| delete | 2 | 2.00 ± 1.41 |" in text and "9.0" not in text
    assert text.startswith("2 rows of 1 settings, training seeds 0, 1, after a search. Not run:")
    other = {**row("report", 0, 1.0), "request": "random:5%"}
    seeds = "training seeds 0, 1 (of 1 settings), after a search in 1 of the settings."
    assert seeds in report.body([*rows, other])
    assert "training seeds 0, with default settings: no search ran." in report.body([other])


def test_the_table_over_all_settings_by_hand(scripts):  # noqa: F811
    import benchmark_regimes_report as report

    names = {**{name: "" for _, name, _ in report.COLUMNS}, "settings": "{}"}

    def row(request, method, seed, gap, rmia="", depth=""):
        setting = {"regime": "early", "dataset": "d", "model": "m", "request": request, "phase": "report"}
        figures = {"average_gap": str(gap), "rmia_auc": str(rmia), "depth": str(depth)}
        return {**names, **setting, "method": method, "seed": str(seed), **figures}

    rows = [row("random:5%", "retrained", 0, 0, 50), row("random:5%", "retrained", 1, 0, 54)]
    # Settings count once each, however many seeds they have.
    rows += [
        row("random:5%", "delete", 0, 1, 53),
        row("random:5%", "delete", 1, 3, 53),
        row("person:7", "delete", 0, 5),
    ]
    rows += [row("random:1%", "delete", 0, 8), row("random:5%", "esc", 0, 9, 40), row("class:a", "esc", 0, 6, 99, 30)]
    lines = report.summary(rows).splitlines()
    assert lines[0] == (
        "| method | gap, a class (1) | gap, samples (2) | gap, a person (1) | depth, classes, % (1) "
        "| RMIA off by, samples and persons (1) |"
    )
    assert "| delete | – | 5.00 | 5.00 | – | 2.0 |" in lines
    assert "| esc | 6.00 | – | – | 30 | 10.0 |" in lines, "a mean over fewer settings would not compare"
    assert not any("mu_mis" in line for line in lines)


def test_what_the_search_chose_counts_and_else_the_last_run(scripts):  # noqa: F811
    from benchmark_settings import reported

    setting = {"regime": "early", "dataset": "d", "model": "m", "request": "class:a", "method": "delete", "seed": "0"}

    def row(gap, settings, **other):
        return {**setting, "phase": "report", "average_gap": str(gap), "settings": settings, **other}

    found = [row(2, "{}", phase="search"), row(1, '{"b": 1}', phase="search")]
    ran = [row(5, '{"b": 1}'), row(6, "{}"), row(7, '{"a": 1}')]
    assert reported([*found, *ran]) == ran[:1], "wherever it stands in the file"
    assert reported([*found, *ran[1:]]) == ran[2:], "what was chosen did not run"
    assert reported([*found, *ran, row(8, '{"b": 1}')]) == [row(8, '{"b": 1}')], "of two such runs the last"
    # Where there was no search the defaults are what counts.
    assert reported(ran) == ran[1:2]
    others = [row(5, "{}", **{name: "1"}) for name in ("seed", "method", "request", "model", "dataset", "regime")]
    assert reported([ran[1], *others]) == [ran[1], *others]


def test_what_a_user_gets_who_sets_nothing_stands_beside_what_the_search_chose(scripts):  # noqa: F811
    import benchmark_regimes_report as report

    names = {**{name: "" for _, name, _ in report.COLUMNS}, "settings": "{}"}

    def row(request, gap, settings="{}", method="mu_mis", phase="report"):
        setting = {"regime": "early", "dataset": "d", "model": "m", "request": request, "phase": phase, "seed": "0"}
        return {**names, **setting, "method": method, "settings": settings, "average_gap": str(gap)}

    searched = '{"max_steps": 180}'
    rows = [row("class:a", 2.0), row("class:a", 1.0, searched), row("random:c", 5.0)]
    rows += [row("class:a", 3.0, method="delete"), row("class:a", 9.0, searched, phase="search")]
    text = report.body(rows)
    assert "| mu_mis | 1.00 | 5.00 |" in text and "| mu_mis, defaults | 2.00 | 5.00 |" in text
    assert "| mu_mis, defaults | 1 | 2.00 |" in text and text.startswith("3 rows of 2 settings")
    # Of a class that never ran with the defaults there is no mean.
    assert "| mu_mis, defaults | – | 5.00 |" in report.body([*rows, row("class:b", 1.0, searched)])
    untouched = [each for each in rows if each["settings"] == "{}"]
    assert "mu_mis, defaults" not in report.body(untouched), "where the search chose nothing else they are one"


def test_the_verdicts_name_what_beats_mu_mis_on_the_seeds_that_both_have(scripts):  # noqa: F811
    import benchmark_regimes_report as report

    names = {**{name: "" for _, name, _ in report.COLUMNS}, "settings": "{}"}
    setting = {"regime": "memorised", "dataset": "d", "model": "m", "request": "class:a", "phase": "report"}

    def row(method, seed, gap, rmia=""):
        return {**names, **setting, "method": method, "seed": str(seed), "average_gap": str(gap), "rmia_auc": str(rmia)}

    rows = [row("mu_mis", 0, 2.0, 58.0), row("mu_mis", 1, 8.0), row("do nothing", 0, 9.0, 75.0)]
    # Seed 1 is a hard one: both are worse than MU-Mis' mean, and one is better where both ran.
    rows += [row("neggrad_plus", 0, 1.0), row("neggrad_plus", 2, 30.0), row("delete", 0, 3.0, 51.0)]
    rows += [row("retrained", 0, 0.0, 50.0), row("retrained again", 0, 0.5, 52.0), row("mask_logit", 0, 0.0, 50.0)]
    gap, membership = report.verdicts(rows).splitlines()
    beside = "mu_mis 5.00, doing nothing 9.00, another retrained model 0.50"
    nearer = "nearer by more than that: with the retained samples neggrad_plus 1.00."
    assert gap == f"- gap to a retrained model, points: {beside}; {nearer}"
    beside = "mu_mis 8.00, doing nothing 25.00, another retrained model 2.00"
    nearer = "nearer by more than that: with the forget set alone delete 1.00."
    assert membership == f"- distance of the RMIA AUC to a retrained model's, points: {beside}; {nearer}"
    # MU-Mis with reference samples is a method beside MU-Mis.
    assert "with samples that were never seen mu_mis 0.90" in report.verdicts(
        [*rows, row("mu_mis, references", 0, 0.9)]
    )
    rows = [each for each in rows if each["method"] != "retrained again"]
    assert report.verdicts(rows) == "", "without another retrained model there is no verdict"


def test_the_page_counts_a_rerun_once_and_names_what_did_not_run(scripts):  # noqa: F811
    import benchmark_regimes_report as report

    names = {**{name: "" for _, name, _ in report.COLUMNS}, "settings": "{}"}
    setting = {"regime": "memorised", "dataset": "d", "model": "m", "request": "random:5%", "method": "delete"}
    rows = [
        {**names, **setting, "phase": "report", "seed": "0", "settings": str(number), "average_gap": str(number)}
        for number in (1, 2)
    ]
    text = report.body(rows)
    assert "| delete | 1 | 2.00 |" in text and text.startswith("1 rows")
    assert "No row of this setting: head_only, mu_mis, gradient_ascent" in text
    named = text.partition("No row of this setting: ")[2]
    assert "delete" not in named and "spotter" not in named and "mask_logit" not in named
