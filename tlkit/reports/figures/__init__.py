"""A run's figures as PNG files: the confusion matrix, the course of training, a sheet of pictures."""

from tlkit.reports.figures.confusion import draw_confusion_matrix
from tlkit.reports.figures.contact_sheet import draw_contact_sheet
from tlkit.reports.figures.history import draw_history

__all__ = ["draw_confusion_matrix", "draw_contact_sheet", "draw_history"]
