"""The colours of all figures."""

RIGHT = (26, 94, 158)
WRONG = (217, 87, 13)
INK = "#1f2933"
FAINT_INK = "#7b8794"
GRID = "#dde3e9"
EDGE = "#b8c2cc"
TRAIN_LINE = "#9aa5b1"
VALIDATION_LINE = "#1a5e9e"
STAGE_SHADE = "#eef2f6"
