"""Names of the kinds of numpy arrays; each means the same in every room that no release ships."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
AnyFloats = npt.NDArray[np.floating[Any]]
SingleFloats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
RowNumbers = npt.NDArray[np.int32]
Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.intp]
SmallCodes = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]
