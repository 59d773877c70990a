"""Two benchmarks, small: nothing is found in shuffled outcomes, and corrected metrics come near the truth."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.optimism import errors, one_registry
from benchmarks.permutation import OUTCOME_COLUMNS, one_artefact, one_permutation, permuted
from training.simulate import simulate


@pytest.mark.parametrize("outcome", OUTCOME_COLUMNS)
def test_shuffling_keeps_the_outcomes_and_takes_them_from_their_patients(outcome) -> None:
    registry = simulate(200, 1)
    found = permuted(registry.columns, registry.patient, outcome, 3)
    moved = OUTCOME_COLUMNS[outcome]
    for name in registry.columns:
        same = registry.columns[name] is found[name]
        assert same == (name not in moved)
    name = moved[0]
    if outcome == "refracture":
        for who in np.unique(registry.patient):
            assert len(set(found[name][registry.patient == who])) == 1
    else:
        assert sorted(map(str, found[name])) == sorted(map(str, registry.columns[name]))
    assert (found[name] != registry.columns[name]).mean() > 0.1


def test_the_pooled_auc_of_a_shrunk_model_of_noise_falls_and_the_one_within_folds_does_not() -> None:
    rows = [one_artefact(200, False, seed) for seed in range(1, 13)]
    pooled, within = (np.mean([row[name] for row in rows]) for name in ("pooled", "within"))
    assert 0.38 < pooled < 0.46
    assert abs(within - 0.5) < 0.07


def test_folds_dealt_evenly_take_most_of_the_artefact_away() -> None:
    evenly, at_random = (np.mean([one_artefact(200, even, s)["pooled"] for s in range(1, 9)]) for even in (True, False))
    assert abs(evenly - 0.5) < abs(at_random - 0.5)


@pytest.mark.slow
def test_nothing_is_found_in_shuffled_leaks() -> None:
    within = [one_permutation("leakage", "logistic", seed, 300)["within"] for seed in range(1, 6)]
    assert abs(np.mean(within) - 0.5) < 0.06


@pytest.mark.slow
def test_corrected_metrics_are_nearer_the_truth_than_apparent_ones() -> None:
    """Three small registries: benchmarks/optimism.py has twenty."""
    rows = [one_registry("leakage", "logistic", seed, 400, 20, 3000) for seed in (1, 2, 3)]
    apparent, corrected = (errors(rows, "auc", how)[0] for how in ("apparent", "bootstrap"))
    assert corrected < apparent
    assert abs(corrected) < 0.06
