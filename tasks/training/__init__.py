"""One LightGBM per task: its days, its examples, their weights, and the trees that learn from them.

Steps: step, plan, examination, rows, debiasing, draw_examples, trees, trials.
"""
