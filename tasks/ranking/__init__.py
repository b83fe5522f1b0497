"""The hot path: predict, calibrate, utility, hard constraints, slate, explanation."""
