"""A run's figures as PNG files: confusion matrix, course of training, sheet of pictures, what metadata knows."""

from tlkit.reports.figures.confusion import draw_confusion_matrix
from tlkit.reports.figures.contact_sheet import draw_contact_sheet
from tlkit.reports.figures.history import draw_history
from tlkit.reports.figures.leaks import draw_leaks

__all__ = ["draw_confusion_matrix", "draw_contact_sheet", "draw_history", "draw_leaks"]
