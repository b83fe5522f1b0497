"""The decision: what every release ships, from heads to slates and their explanation.

In reading order::

    candidates, features       rows of requests, and the matrix that a head reads
    heads, examination         predictions of each task; how likely each position is looked at
    maps, segmented_map        calibration maps, and those with effects of segments
    conditions, constraints    tests on columns; what may not be ranked
    utility, exploration       the sum that ranks; random draws by hash
    block, rules               the rules of a slate as arrays
    slate, swaps, prices       slots filled greedily, and again where that falls short
    decide                     all of it for every request
    certificate, explain       which rules a slate meets, and why a candidate has its place
    scoring                    a release's files loaded, and its scores

With the policy models in ``contracts`` it needs numpy, pandas, lightgbm and pydantic alone, and imports
modules of its own relatively.
"""

__all__ = ["decide", "explain", "heads", "maps", "scoring", "utility"]
