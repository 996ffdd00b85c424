"""Output for people: the console, tables, figures, pages."""
