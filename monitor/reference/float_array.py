"""Arrays of floating point numbers, from whatever a caller gives."""

import numpy as np
import numpy.typing as npt

from store.errors import BadInput

AnyFloats = npt.NDArray[np.floating]


def float_array(values: npt.ArrayLike, field: str, description: str) -> AnyFloats:
    """The values as an array; floating point ones keep their precision and are not copied, others become float64.

    Args:
        values: numbers in rows of one length.
        field: the caller's name of the argument, for the error.
        description: the argument in words, for the error.

    Raises:
        BadInput: the values are not numbers in rows of one length.
    """
    try:
        array = np.asarray(values)
        return array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise BadInput(f"The {description} must be numbers in rows of one length: {error}.", field=field) from error
