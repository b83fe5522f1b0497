"""What a release brings to decide: heads, calibrators, utility, constraints, slate and explanation.

It imports numpy, pandas and lightgbm, and modules of its own relatively.
"""
