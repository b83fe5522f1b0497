"""One LightGBM per task: its days, its examples, their weights, and the trees that learn from them.

Steps: step, same_day, plan, examination, rows, debiasing, draw_examples, train_model, trees, trials.
"""
