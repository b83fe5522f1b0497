"""Logged candidate sets replayed under policies."""
