"""Follows the YAML files of a run while they are edited."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from jobpools.errors import SpecError
from jobpools.local import spec_files

_Stamp = tuple[tuple[str, int, int], ...]
"""Path, modification time and size of each file: it changes when a file does."""


class SpecWatch:
    """The pools and schedules of the files as last read."""

    def __init__(self, paths: Sequence[Path], namespace: str, notify: Callable[[str], None]) -> None:
        """Read the files.

        Args:
            paths: YAML files, or folders that contain some.
            namespace: Namespace of objects that do not name one.
            notify: Receives messages for the user.

        Raises:
            SpecError: A file is wrong.
        """
        self._paths = paths
        self._namespace = namespace
        self._notify = notify
        self._last_error = ""
        self.specs = spec_files.load(paths, namespace)
        self._stamp = self._read_stamp()

    def reload(self) -> bool:
        """Read the files again if one has changed, and return whether the new specs took effect.

        An edit with an error is reported once, and the previous specs stay in effect.
        """
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            after = spec_files.load(self._paths, self._namespace)
        except SpecError as error:
            self._report(str(error))
            return False
        self._last_error = ""
        before, self.specs = self.specs, after
        for line in spec_files.differences(before, after):
            self._notify(line)
        return True

    def _report(self, error: str) -> None:
        if error != self._last_error:
            self._last_error = error
            self._notify(f"{error}; the previous specs stay in effect")

    def _read_stamp(self) -> _Stamp:
        found: list[tuple[str, int, int]] = []
        for path in spec_files.yaml_paths(self._paths):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((str(path), status.st_mtime_ns, status.st_size))
        return tuple(found)
