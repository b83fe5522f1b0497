"""Log tables made from simulated worlds with known truth, and from public data sets.

In reading order::

    publishing                                    the session, files and publication of an import
    complete_journey, kuairand, open_bandit       one importer a data set
    world                                         the simulated feed
    case_desk                                     the simulated workbench, of the same pieces
"""

__all__ = ["case_desk", "complete_journey", "kuairand", "open_bandit", "world"]
