"""Folders that attempts, actions and verifiers work in: taken away whatever was left in them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

REMOVE_SECONDS_MAX = 300.0


def folder_remove(folder: Path) -> bool:
    """Remove a folder and all in it, following no link; whether it is gone.

    A program may have left folders that are closed to us, or nested deeper than Python's own
    removal can go; coreutils' programs manage both.
    """
    if folder.is_symlink():
        folder.unlink()
        return True
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return not folder.exists()
    except (OSError, RecursionError):
        for words in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
            subprocess.run(
                [*words, "--", str(folder)],
                check=False,
                capture_output=True,
                timeout=REMOVE_SECONDS_MAX,
            )
    return not folder.exists()
