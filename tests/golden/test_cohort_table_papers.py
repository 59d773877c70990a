"""The tables of five papers, from data that match their printed numbers; and the printed P values that do not follow.

The printed numbers are in ``papers/*.json``, transcribed from the papers as they stand. ``tests/papers.py`` makes the
data and recomputes P from the printed moments by formula; the cohort table computes it from the rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from features.dictionary import VARIABLES
from tests import papers
from training.cohort_columns import LEAK_GROUPS
from training.cohort_table import Choices, CohortTable, Row, cohort_table
from training.cohort_text import as_text, p_text
from training.group_tests import compare_counts, compare_means

AS_PRINTED = Choices(centre="mean", equal_variances=True)

#: Paper -> group -> the value of the variable that makes the groups.
GROUPS: dict[str, tuple[str, dict[str, Any]]] = {
    "feng_2022": ("cement_product_id", {"A": "alliment", "B": "osteopal-v"}),
    "zhang_2022": ("haemorrhage_aspiration", {"A": 1.0, "B": 0.0}),
    "zhang_2022 by distribution": ("distribution_abc", {"dist_A": "A", "dist_B": "B", "dist_C": "C"}),
    "bmc_2022": ("distribution_cf_sp", {"CF": "CF", "SP": "SP"}),
    "huang_2022": ("staged_perfusion", {"E": 1.0, "C": 0.0}),
}
#: Paper -> (variable, time) as printed -> the dictionary's variable, and a factor where the paper has another unit.
MEANS: dict[str, dict[tuple[str, str], tuple[str, float]]] = {
    "feng_2022": {
        ("age_years", ""): ("age_years", 1),
        ("bmd_t_score_printed_without_minus", ""): ("t_score", -1),
        ("bmi_kg_m2", ""): ("bmi_kg_m2", 1),
        ("albumin_g_l", ""): ("albumin_g_l", 1),
        ("compression_rate_pct_AH_over_PH", ""): ("ap_ratio_pct", 1),
        ("operative_time_min", ""): ("operation_time_min", 1),
        ("blood_loss_ml", ""): ("blood_loss_ml", 1),
        ("cement_volume_ml", ""): ("cement_volume_ml", 1),
        ("fluoroscopy_times", ""): ("fluoroscopy_times", 1),
        ("pmma_distribution_score_0_10", ""): ("distribution_score", 1),
        ("vas", "preop"): ("vas_preop", 1),
        ("vas", "immediate_postop"): ("vas_d1", 1),
        ("odi", "preop"): ("odi_preop", 1),
        ("odi", "immediate_postop"): ("odi_d1", 1),
        ("anterior_height_cm", "preop"): ("fvah_mm", 10),
        ("anterior_height_cm", "postop_1d"): ("fvah_postop_mm", 10),
        ("anterior_height_cm", "1_year"): ("fvah_final_mm", 10),
        ("cobb_angle_deg", "preop"): ("cobb_vertebral_deg", 1),
    },
    "zhang_2022": {
        ("age_years", ""): ("age_years", 1),
        ("bmi_kg_m2", ""): ("bmi_kg_m2", 1),
        ("hospitalisation_days", ""): ("hospital_days", 1),
        ("blood_loss_ml", ""): ("blood_loss_ml", 1),
        ("operative_time_min", ""): ("operation_time_min", 1),
        ("cement_volume_ml", ""): ("cement_volume_ml", 1),
        ("lka_deg", "preop"): ("lka_deg", 1),
        ("lka_deg", "postop_24h"): ("lka_postop_deg", 1),
        ("lka_deg", "final"): ("lka_final_deg", 1),
        ("lka_recovery_deg", ""): ("lka_recovery_deg", 1),
        ("lka_loss_deg", ""): ("lka_loss_deg", 1),
        ("rka_deg", "preop"): ("rka_deg", 1),
        ("rka_deg", "postop_24h"): ("rka_postop_deg", 1),
        ("rka_deg", "final"): ("rka_final_deg", 1),
        ("fvah_mm", "preop"): ("fvah_mm", 1),
        ("fvah_mm", "postop_24h"): ("fvah_postop_mm", 1),
        ("fvah_mm", "final"): ("fvah_final_mm", 1),
        ("fvahr_mm", ""): ("fvahr_mm", 1),
        ("fvahl_mm", ""): ("fvahl_mm", 1),
        ("avhr_pct", "preop"): ("avhr_pct", 1),
        ("avhrr_pct", ""): ("avhrr_pct", 1),
        ("avhlr_pct", ""): ("avhlr_pct", 1),
        ("vas", "preop"): ("vas_preop", 1),
        ("vas", "intraop"): ("vas_intraop", 1),
        ("vas", "postop_24h"): ("vas_d1", 1),
        ("odi", "preop"): ("odi_preop", 1),
        ("odi", "postop_24h"): ("odi_d1", 1),
    },
    "zhang_2022 by distribution": {
        ("lka_loss_deg", ""): ("lka_loss_deg", 1),
        ("fvahl_mm", ""): ("fvahl_mm", 1),
        ("avhlr_pct", ""): ("avhlr_pct", 1),
        ("vas", "preop"): ("vas_preop", 1),
        ("vas", "postop_24h"): ("vas_d1", 1),
        ("odi", "preop"): ("odi_preop", 1),
        ("odi", "postop_24h"): ("odi_d1", 1),
    },
    "bmc_2022": {
        ("age_years", ""): ("age_years", 1),
        ("operative_time_min", ""): ("operation_time_min", 1),
        ("cement_volume_ml", ""): ("cement_volume_ml", 1),
        ("vas", "preop"): ("vas_preop", 1),
        ("vas", "3_days"): ("vas_d3", 1),
        ("vas", "1_year"): ("vas_m12", 1),
        ("odi", "preop"): ("odi_preop", 1),
        ("odi", "3_days"): ("odi_d3", 1),
        ("odi", "1_year"): ("odi_m12", 1),
        ("qol_sf36", "preop"): ("qol_sf36", 1),
        ("anterior_vbh_pct", "preop"): ("avhr_pct", 1),
        ("middle_vbh_pct", "preop"): ("mvhr_pct", 1),
    },
    "huang_2022": {
        ("age_years", ""): ("age_years", 1),
        ("operative_time_min", ""): ("operation_time_min", 1),
        ("blood_loss_pct_hb", ""): ("blood_loss_pct_hb", 1),
        ("cement_volume_ml", ""): ("cement_volume_ml", 1),
        ("vas", "preop"): ("vas_preop", 1),
        ("avhr_pct", "preop"): ("avhr_pct", 1),
        ("mvhr_pct", "preop"): ("mvhr_pct", 1),
        ("wedge_angle_deg", "preop"): ("wedge_angle_deg", 1),
        ("wedge_angle_deg", "final"): ("wedge_angle_final_deg", 1),
    },
}
LEAKED = (frozenset({"unspecified"}), frozenset({"none"}))
#: Paper -> (variable, time) as printed -> the dictionary's variable and its values, in the order of the counts.
COUNTS: dict[str, dict[tuple[str, str], tuple[str, tuple[Any, ...]]]] = {
    "feng_2022": {
        ("sex", ""): ("sex", ("male", "female")),
        ("cement_leakage_vertebrae", ""): ("leak_routes", LEAKED),
        ("vertebral_refracture_1y", ""): ("refracture", ("adjacent", "none")),
    },
    "zhang_2022": {
        ("sex", ""): ("sex", ("male", "female")),
        ("level_region", ""): ("level_region", ("T1-T10", "T11-L2", "L3-L5")),
        ("compression_degree", ""): ("compression_degree", ("I", "II", "III")),
        ("distribution_abc", ""): ("distribution_abc", ("A", "B", "C")),
        ("cement_leakage", ""): ("leak_routes", LEAKED),
    },
    "bmc_2022": {
        ("sex", ""): ("sex", ("male", "female")),
        ("lesion_type", ""): ("lesion_type", ("osteolytic", "osteoblastic_related")),
        ("sins_location", ""): ("sins_location", ("semirigid", "junctional", "mobile")),
        ("posterior_element_involved", ""): ("posterior_element_involved", (1.0, 0.0)),
        ("cement_leakage_any", ""): ("leak_routes", LEAKED),
        ("death", "1_year"): ("died", (1.0, 0.0)),
    },
    "huang_2022": {
        ("sex", ""): ("sex", ("male", "female")),
        ("distribution_grade", ""): ("distribution_grade", ("I", "II", "III", "IV")),
        ("cement_leakage", ""): ("leak_routes", LEAKED),
    },
}
TABLES = tuple(GROUPS)


def columns_of(table: str) -> dict[str, NDArray[Any]]:
    """Vertebrae whose numbers have the printed moments and counts; Feng's 41 vertebrae are in 30 patients."""
    name = table.partition(" ")[0]
    by, codes = GROUPS[table]
    parts = [_group(name, table, group) | {by: [code]} for group, code in codes.items()]
    found: dict[str, NDArray[Any]] = {}
    for variable in parts[0]:
        values: list[Any] = []
        for group, part in zip(codes, parts, strict=True):
            patient = _patients(name, group)
            own = part[variable]
            by_patient = variable != by and VARIABLES[variable].scope == "patient"
            values += [own[0]] * len(patient) if variable == by else [own[p] for p in patient] if by_patient else own
        numeric = isinstance(values[0], float | np.floating)
        found[variable] = np.array(values, dtype=float) if numeric else _objects(values)
    found["patient_id"] = _objects([f"{g}{p}" for g in codes for p in _patients(name, g)])
    return found


def _group(name: str, table: str, group: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for key, (variable, factor) in MEANS[table].items():
        printed = _printed(name, table, key)["means"][group]
        n = papers.size(name, group, _unit(name, variable))
        found[variable] = list(papers.matched(factor * float(printed["mean"]), abs(factor) * float(printed["sd"]), n))
    for key, (variable, values) in COUNTS.get(table, {}).items():
        counts = papers.row(name, *key)["counts"][group]
        found[variable] = [value for value, n in zip(values, counts, strict=True) for _ in range(int(n))]
    return found


def _printed(name: str, table: str, key: tuple[str, str]) -> papers.Row:
    """The printed row; a variable stands in Zhang's table by technique and again in the one by distribution."""
    wanted = set(GROUPS[table][1])
    rows = [r for r in papers.paper(name)["rows"] if (r["variable"], r["time"]) == key and "means" in r]
    return next(r for r in rows if wanted == set(r["means"]))


def _unit(name: str, variable: str) -> str:
    counted = VARIABLES[variable].scope == "vertebra" and name == "feng_2022"
    return "vertebrae" if counted else "patients"


def _patients(name: str, group: str) -> list[int]:
    """The patient of each vertebra of a group."""
    patients = papers.size(name, group, "patients")
    vertebrae = papers.size(name, group, "vertebrae") if name == "feng_2022" else patients
    return [place % patients for place in range(vertebrae)]


def _objects(values: list[Any]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def rows_of(table: CohortTable) -> dict[str, Row]:
    """All rows by variable, those of the courses too."""
    return {row.variable: row for row in (*table.rows, *(row for c in table.courses for row in c.rows))}


def compared(table: str) -> CohortTable:
    return cohort_table(columns_of(table), GROUPS[table][0], AS_PRINTED)


@pytest.mark.parametrize("table", TABLES)
def test_the_printed_means_and_their_test_come_out(table: str) -> None:
    name = table.partition(" ")[0]
    found = rows_of(compared(table))
    for key, (variable, factor) in MEANS[table].items():
        printed, row = _printed(name, table, key)["means"], found[variable]
        groups = list(GROUPS[table][1])
        for group, summary in zip(groups, row.groups, strict=True):
            digits = len(printed[group]["mean"].partition(".")[2])
            assert f"{summary.mean / factor:.{digits}f}" == f"{float(printed[group]['mean']):.{digits}f}"
            assert summary.sd / abs(factor) == pytest.approx(float(printed[group]["sd"]))
            assert summary.known == papers.size(name, group, _unit(name, variable))
            assert summary.unknown == 0
        test = "Student" if len(groups) == 2 else "ANOVA"
        p = papers.p_of_moments(
            [float(printed[g]["mean"]) for g in groups],
            [float(printed[g]["sd"]) for g in groups],
            [s.known for s in row.groups],
            test,
        )
        assert row.comparison.test.startswith(test)
        assert row.comparison.p == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize("table", list(COUNTS))
def test_the_printed_counts_come_out(table: str) -> None:
    found = rows_of(compared(table))
    for key, (variable, values) in COUNTS[table].items():
        printed = papers.row(table, *key)["counts"]
        for group, summary in zip(GROUPS[table][1], found[variable].groups, strict=True):
            assert summary.counts is not None
            shown = [summary.counts[_level(value)] for value in values]
            assert shown == [int(n) for n in printed[group]]


def _level(value: Any) -> str:
    if isinstance(value, frozenset):
        return next(iter(value))
    return {1.0: "yes", 0.0: "no"}.get(value, value)


@pytest.mark.parametrize(
    ("table", "variable", "test", "p"),
    [
        ("feng_2022", "leak_routes", "Fisher", "1.000"),
        ("feng_2022", "sex", "Fisher", "1.000"),
        ("feng_2022", "refracture", "Fisher", "1.000"),
        ("feng_2022", "age_years", "Student t", "0.477"),
        ("zhang_2022", "leak_routes", "chi-square", "0.615"),
        ("zhang_2022", "distribution_abc", "chi-square", "0.034"),
        ("zhang_2022", "lka_loss_deg", "Student t", "0.014"),
        ("zhang_2022", "fvahl_mm", "Student t", "<0.001"),
        ("bmc_2022", "vas_d3", "Student t", "0.008"),
        ("bmc_2022", "leak_routes", "Fisher", "0.498"),
        ("huang_2022", "leak_routes", "chi-square", "0.026"),
        ("huang_2022", "distribution_grade", "Mann-Whitney", "<0.001"),
        ("huang_2022", "operation_time_min", "Student t", "0.001"),
        ("huang_2022", "mvhr_pct", "Student t", "0.386"),
        ("zhang_2022 by distribution", "fvahl_mm", "ANOVA", "0.006"),
    ],
)
def test_a_test_is_the_one_that_the_numbers_call_for(table: str, variable: str, test: str, p: str) -> None:
    comparison = rows_of(compared(table))[variable].comparison
    assert (comparison.test, p_text(comparison.p)) == (test, p)


def test_chen_2025_has_27_leaks_of_100_and_what_became_of_them() -> None:
    leaks = [int(n) for n in papers.row("chen_2025", "cement_leakage")["counts"]["all"]]
    kinds = [int(n) for n in papers.row("chen_2025", "leak_kind")["counts"]["leak"]]
    total = sum(leaks)
    columns = {
        "patient_id": _objects([f"p{n}" for n in range(total)]),
        "leak_routes": _objects(
            [frozenset({"D"})] * kinds[0] + [frozenset({"unspecified"})] * sum(kinds[1:]) + [LEAKED[1]] * leaks[1]
        ),
        "pulmonary_cement_embolism": _objects(["none"] * kinds[0] + ["asymptomatic"] * kinds[1] + ["none"] * 75),
        "leak_symptomatic": np.array([0.0] * 25 + [1.0] * kinds[2] + [np.nan] * leaks[1]),
        "vas_preop": papers.matched(7.0, 1.0, total),
        "vas_d1": papers.matched(3.0, 0.8, total),
        "vas_m12": papers.matched(2.0, 0.7, total),
    }
    found = cohort_table(columns, "leak_routes", AS_PRINTED)
    assert (found.groups, found.patients) == (LEAK_GROUPS, (27, 73))
    by_name = rows_of(found)
    assert [s.counts and s.counts["yes"] for s in by_name["leak_symptomatic"].groups] == [2, 0]
    assert [s.unknown for s in by_name["leak_symptomatic"].groups] == [0, 73]
    assert [s.counts and s.counts["asymptomatic"] for s in by_name["pulmonary_cement_embolism"].groups] == [1, 0]
    (course,) = found.courses
    assert course.times == ("before", "1 day", "12 months")
    assert all(s.known == n for row in course.rows for s, n in zip(row.groups, (27, 73), strict=True))
    assert [change.groups[0].mean < -3 for change in course.changes] == [True, True]


#: Printed and recomputed P of every row that does not follow: 34 of 127.
DOES_NOT_FOLLOW = {
    ("feng_2022", "compression_rate_pct_AH_over_PH"): ("0.1251", 0.04995),
    ("feng_2022", "cement_volume_ml"): ("0.5864", 0.756),
    ("zhang_2022", "lka_loss_deg"): ("0.004", 0.0084),
    ("zhang_2022", "rka_loss_deg"): ("0.215", 0.969),
    ("zhang_2022", "fvahl_mm"): ("0.001", 0.0062),
    ("zhang_2022", "avhlr_pct"): ("0.002", 0.0045),
    ("zhang_2022", "vas postop_24h"): ("0.160", 0.206),
    ("zhang_2022", "odi preop"): ("0.516", 0.427),
    ("zhang_2022", "odi postop_24h"): ("0.099", 0.165),
    ("bmc_2022", "sins_location"): ("0.06", 0.094),
    ("bmc_2022", "operative_time_min"): ("0.86", 0.84),
    ("huang_2022", "sex"): ("0.483", 0.654),
    ("huang_2022", "level_thoracic_lumbar"): ("0.532", 0.701),
    ("huang_2022", "age_years"): ("0.374", 0.502),
    ("huang_2022", "pain"): ("0.364", np.nan),
    ("huang_2022", "percussion_pain"): ("0.312", np.nan),
    ("huang_2022", "constipation"): ("0.397", 0.680),
    ("huang_2022", "operative_time_min"): ("0.528", 0.0015),
    ("huang_2022", "blood_loss_pct_hb"): ("0.586", 0.892),
    ("huang_2022", "cement_volume_ml"): ("0.607", 0.187),
    ("huang_2022", "vas preop"): ("1.108", 0.308),
    ("huang_2022", "vas 4_hours"): ("0.706", 0.465),
    ("huang_2022", "vas 48_hours"): ("0.792", 0.196),
    ("huang_2022", "avhr_pct preop"): ("0.526", 0.376),
    ("huang_2022", "avhr_pct 3_days"): ("0.964", 0.759),
    ("huang_2022", "avhr_pct final"): ("0.638", 0.306),
    ("huang_2022", "mvhr_pct preop"): ("0.528", 0.386),
    ("huang_2022", "mvhr_pct 3_days"): ("0.994", 0.00098),
    ("huang_2022", "mvhr_pct final"): ("0.674", 0.0565),
    ("huang_2022", "wedge_angle_deg preop"): ("1.042", 0.0214),
    ("huang_2022", "wedge_angle_deg 3_days"): ("1.176", 0.197),
    ("huang_2022", "wedge_angle_deg final"): ("0.827", 0.663),
    ("huang_2022", "distribution_grade"): ("0.004", 2.16e-5),
    ("huang_2022", "cement_leakage"): ("0.007", 0.0261),
}


def test_these_printed_p_values_do_not_follow_and_all_others_do() -> None:
    found = {
        (verdict.paper, verdict.name): (verdict.printed, verdict.recomputed)
        for name in papers.NAMES
        for verdict in papers.verdicts(name)
        if not verdict.follows
    }
    assert found.keys() == DOES_NOT_FOLLOW.keys()
    for key, (printed, recomputed) in DOES_NOT_FOLLOW.items():
        assert found[key][0] == printed
        assert found[key][1] == pytest.approx(recomputed, rel=0.03, nan_ok=True)


def test_so_many_follow_in_each_paper() -> None:
    shares = {
        name: (sum(v.follows for v in papers.verdicts(name)), len(papers.verdicts(name))) for name in papers.NAMES
    }
    assert shares == {
        "feng_2022": (21, 23),
        "zhang_2022": (39, 46),
        "bmc_2022": (32, 34),
        "huang_2022": (1, 24),
        "chen_2025": (0, 0),
    }


def test_a_lost_digit_explains_the_compression_rate_of_feng_2022() -> None:
    groups = [papers.matched(72.57, 11.82, 15), papers.matched(79.59, 12.59, 15)]
    assert compare_means(groups, equal_variances=True).p == pytest.approx(0.127, abs=0.001)


def test_the_leaks_of_the_bmc_paper_are_compared_by_site_and_not_by_leak() -> None:
    """Its 0.72 is of four sites among those who leaked; leak against no leak gives 0.50 (chi-square 0.32)."""
    sites = np.array([[3, 2, 2, 1], [1, 0, 1, 1]])
    assert next(v for v in papers.verdicts("bmc_2022") if v.name == "leak_site").follows
    assert compare_counts(sites).test == "Fisher, simulated"
    assert compare_counts(np.array([[8, 27], [3, 21]])).p == pytest.approx(0.498, abs=0.001)


def test_the_document_lists_exactly_these() -> None:
    text = (Path(__file__).parents[2] / "docs" / "cohort.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith(("| Feng", "| Zhang", "| BMC", "| Huang", "| Chen"))]
    assert rows == papers.listed()


def test_the_text_prints_them_as_papers_do() -> None:
    text = as_text(compared("feng_2022"))
    assert [line.split() for line in text.splitlines()[3:5]] == [["patients", "15", "15"], ["vertebrae", "24", "17"]]
    assert "73.67 ± 8.95" in text
    assert "6 (25.0)" in text
