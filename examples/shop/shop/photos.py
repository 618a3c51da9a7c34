"""Photographs from installed packages. The packages are large, so they are imported when they are needed."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

NAMES = ("hopper", "camera", "ascent", "aero")


def photograph(name: str) -> "Image.Image":
    """Return the photograph with this name, one of NAMES, in full size."""
    from PIL import Image

    if name == "hopper":
        from matplotlib import get_data_path

        return Image.open(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    import pywt.data

    return Image.fromarray(getattr(pywt.data, name)().astype("uint8")).convert("RGB")
