"""Real photographs to work on, from packages that are installed anyway. Imported when needed: they are large."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

NAMES = ("hopper", "camera", "ascent", "aero")


def photograph(name: str) -> "Image.Image":
    """One of NAMES, in full size."""
    from PIL import Image

    if name == "hopper":
        from matplotlib import get_data_path

        return Image.open(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    import pywt.data

    return Image.fromarray(getattr(pywt.data, name)().astype("uint8")).convert("RGB")
