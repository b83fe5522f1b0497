"""Log tables made from a simulated world with known truth, and from public data sets.

In reading order::

    publishing                                    the session, files and publication of an import
    complete_journey, kuairand, open_bandit       one importer a data set
    world                                         the simulated feed
"""

__all__ = ["complete_journey", "kuairand", "open_bandit", "world"]
