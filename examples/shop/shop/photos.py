"""Real photographs to work on, from the packages that are installed anyway."""

import numpy as np
import pywt.data
from matplotlib.cbook import get_sample_data
from PIL import Image

_ARRAYS = {"camera": pywt.data.camera, "ascent": pywt.data.ascent, "aerial": pywt.data.aero}
NAMES = ("hopper", *_ARRAYS)


def photograph(name: str) -> Image.Image:
    """One of NAMES, in full size."""
    if name == "hopper":
        with get_sample_data("grace_hopper.jpg") as file:
            return Image.open(file).convert("RGB")
    return Image.fromarray(_ARRAYS[name]().astype(np.uint8)).convert("RGB")
