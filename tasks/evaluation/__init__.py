"""Metrics with user-clustered intervals, and how a bound is judged by them."""
