"""The decision: code that every release packages, from heads to slates and their explanation.

In reading order::

    candidates, features       rows of requests, and the matrix that a head reads
    heads, examination         predictions of each task; examination by position
    maps, segmented_map        calibration maps, without and with effects of segments
    conditions, constraints    tests on columns; candidates that may not be ranked
    utility                    the sum that ranks
    rules                      the rules of a slate as arrays; random draws by hash
    slate, better_slates       greedy filling of slots, and search where greedy slates fall short
    decide                     the whole decision for every request
    certificate, explain       which rules a slate meets, and why a candidate has its position
    scoring                    loads a release's files and scores candidates

Apart from the policy models in ``contracts`` it needs only numpy, pandas, lightgbm and pydantic, and imports
its own modules relatively.
"""

__all__ = ["decide", "explain", "heads", "maps", "scoring", "utility"]
