"""A run's figures as PNG files: the course of training, how classes, labels or values fare, a sheet of pictures."""

from tlkit.reports.figures.confusion import draw_confusion_matrix
from tlkit.reports.figures.contact_sheet import draw_contact_sheet
from tlkit.reports.figures.history import draw_history
from tlkit.reports.figures.labels import draw_labels
from tlkit.reports.figures.predicted import draw_predicted

__all__ = ["draw_confusion_matrix", "draw_contact_sheet", "draw_history", "draw_labels", "draw_predicted"]
