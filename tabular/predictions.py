"""The predictions of a model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """One prediction per row."""

    labels: NDArray[np.object_]
    """Class of each row, as text."""
    probabilities: NDArray[np.float32]
    """Rows x classes, in the order of the schema."""
