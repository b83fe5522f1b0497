"""Time slices, sampling, example weights and one LightGBM per task."""
