"""Folders and addresses, from environment variables; the defaults suit one machine."""

import os
import tempfile
from pathlib import Path

FOLDER = Path(os.environ.get("SHOP_FOLDER") or Path(tempfile.gettempdir()) / "jobpools-shop")
MEDIA, REPORTS, EXPORTS = FOLDER / "media", FOLDER / "reports", FOLDER / "exports"

TOWN = os.environ.get("SHOP_TOWN", "127.0.0.1")
"""Host of the town: the mail server and the carrier's HTTP API."""
SMTP_PORT = int(os.environ.get("SHOP_SMTP_PORT", "18025"))
HTTP_PORT = int(os.environ.get("SHOP_HTTP_PORT", "18080"))
API = f"http://{TOWN}:{HTTP_PORT}"
