"""Which rows of features are alike: exact nearest neighbours, and groups of rows that belong together."""
