"""Figures as PNG files: training history, scores, detections, metadata leaks, comparisons and plans."""

from tlkit.reports.figures.comparison import draw_comparison
from tlkit.reports.figures.confusion import draw_confusion_matrix
from tlkit.reports.figures.contact_sheet import draw_contact_sheet
from tlkit.reports.figures.detections import (
    draw_detection_f1,
    draw_detection_mistakes,
    draw_detection_sizes,
    draw_precision_recall,
)
from tlkit.reports.figures.history import draw_history
from tlkit.reports.figures.labels import draw_labels
from tlkit.reports.figures.leaks import draw_leaks
from tlkit.reports.figures.plan import PlanScores, draw_plan
from tlkit.reports.figures.predicted import draw_predicted
from tlkit.reports.figures.reliability import draw_reliability
from tlkit.reports.figures.sweep import draw_sweep

__all__ = [
    "PlanScores",
    "draw_comparison",
    "draw_confusion_matrix",
    "draw_contact_sheet",
    "draw_detection_f1",
    "draw_detection_mistakes",
    "draw_detection_sizes",
    "draw_history",
    "draw_labels",
    "draw_leaks",
    "draw_plan",
    "draw_precision_recall",
    "draw_predicted",
    "draw_reliability",
    "draw_sweep",
]
