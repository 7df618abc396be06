"""Pure functions on records and arrays: map weights, modality matrix, rollout, similarity, comparison of two runs."""
