"""A simulated e-commerce feed whose true probabilities are known: for tests, benchmarks and demos.

::

    people, items --> requests of a day --> 40 candidates --> 12 positions --> events --> tables, truth
    catalog           feed                  feed              logging_policy   behaviour
                                                              absences

``entities`` holds the arrays of all of these, ``generate`` writes them. In ``loop`` releases serve instead of
the logging policy, day by day: people return or leave (``visits``), and things change (``drifts``).

- ``impressions`` and ``candidates`` hold what was logged at serving time. ``propensity`` is the probability
  that the logging policy put this item at this position given the items above it: exactly the softmax
  of ``retrieval_score`` over the candidates not yet placed.
- ``visible`` is true where the item was rendered on screen: 96 % of what is shown, whatever the position.
  Whether a person looked at it is not logged; that depends on the position alone (the examination curve).
- ``truth.parquet`` holds the probability that the contract's label is 1: of ``click_30m`` given visible, of
  ``survey_happy_14d`` given an answer, of all other tasks for the impression as it was shown; a return is
  joint with its purchase. ``p_<task>`` supposes the first position, ``p_<task>__shown`` the one it had.
- Rows with an absence (out of stock, ineligible) keep the undisturbed truth; the contract excludes them.
- What is logged of people and items is a noisy estimate of the true traits. Bait draws clicks and hides, and
  disappoints: ranking by clicks alone shows more of both.
- A world may have user controls: people mute creators and ask for less or more of creators and categories.
  Each candidate is logged with them, and they shift what people truly want.

A person's tenure, tastes (but for a drift) and controls do not change; nobody meets an item again within 38
days.
"""
