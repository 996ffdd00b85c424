"""What a user would pick instead of tlkit: stock Keras (in tlkit's own environment), PyTorch and scikit-learn.

Each module is a program that does one piece of work and says how long it took; see `benchmarks.side_by_side.job`. They
import nothing of tlkit.
"""
