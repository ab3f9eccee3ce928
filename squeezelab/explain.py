"""What a series is like, and why a codec wins on it; the name that users import."""

from squeezelab.experiment.facts import combine, entropy, explain_series
from squeezelab.experiment.winners import explain_dataset
from squeezelab.report.sentences import explain_text, why
from squeezelab.results import Entropy, Explanation

__all__ = ["Entropy", "Explanation", "combine", "entropy", "explain_dataset", "explain_series", "explain_text", "why"]
