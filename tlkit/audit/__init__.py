"""Look for what is wrong with a data set: labels, copies, pictures that do not belong, all from cached features."""
