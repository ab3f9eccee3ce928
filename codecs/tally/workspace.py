"""What kernels of static blocks work in: rows of words, each named after what it holds."""

BLOCK = 8192
"""Values of a block, and words of a row."""

LEVELS, RESIDUALS, OTHER_RESIDUALS, THIRD, COUNTS, COSTS, CHOSEN, SHARES, BOUNDS, INVERSES, WEIGHTS, STATE = range(12)
TABLE, WORDS, NUMBERS, NOISE, EXCEPTIONS, GAPS, RESULT, ROWS = 12, 14, 18, 19, 20, 21, 22, 24
PATCHES = GAPS
"""The exceptions of a stream that is written; a reader has gaps there."""
