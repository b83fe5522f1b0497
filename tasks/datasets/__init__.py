"""Log tables from simulated worlds with known truth, and from public data sets.

In reading order::

    publishing                                    session, files and publication of an import
    complete_journey, kuairand, open_bandit       one importer per data set
    world                                         the simulated feed
    case_desk                                     the simulated workbench, from the same components
"""

__all__ = ["case_desk", "complete_journey", "kuairand", "open_bandit", "world"]
