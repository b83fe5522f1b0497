"""A simulated e-commerce feed with known true probabilities, for tests, benchmarks and demos.

::

    people, items --> requests of a day --> 40 candidates --> 12 positions --> events --> tables, truth
    catalog           feed                  feed              feed             truth

``entities`` contains the arrays, ``generate`` writes the tables. In ``loop`` releases serve instead of the
logging policy, day by day: people return or leave, and the world changes.

- ``impressions`` and ``candidates`` contain what was logged at serving time. ``propensity`` is the
  probability that the logging policy placed this item at this position given the items above it: exactly the
  softmax of ``retrieval_score`` over the candidates not yet placed.
- ``visible`` is true if the item was rendered on screen: 96 % of the shown items, independent of the
  position. Whether a person examined it is not logged; that depends only on the position (the examination
  curve).
- ``truth.parquet`` contains the probability that the contract's label is 1: of ``click_30m`` given visible,
  of ``survey_happy_14d`` given an answer, of all other tasks for the impression as it was shown; a return is
  joint with its purchase. ``p_<task>`` is at the first position, ``p_<task>__shown`` at the actual one.
- Rows with an absence (out of stock, ineligible) have the undisturbed truth; the contract excludes them.
- Logged features of people and items are noisy estimates of the true traits. Bait draws clicks and hides, and
  disappoints: ranking by clicks alone shows more of both.
- A world may have user controls: people mute creators and ask for less or more of creators and categories.
  They are logged with each candidate and affect true preferences.

A person's tenure, tastes (except for a drift) and controls do not change; no person meets an item again
within 38 days.
"""
