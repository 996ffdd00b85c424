"""Names of the folders and files that operating systems, network drives and synchronisation tools leave among pictures.

They hold thumbnails, deleted pictures or settings, never the user's own data. Only whole names count, so that a class
called `lost` or `@nasa` stays a class. Names that begin with a dot are hidden anyway.
"""

from __future__ import annotations

import re

_FOLDERS = frozenset(
    {
        # Synology
        "@eadir",
        "@tmp",
        "@sharebin",
        "@sharesnap",
        "#recycle",
        "#snapshot",
        # QNAP
        "@recycle",
        "@recently-snapshot",
        "@__thumb",
        # NetApp
        "~snapshot",
        # Windows
        "$recycle.bin",
        "system volume information",
        # Linux
        "lost+found",
        # macOS
        "__macosx",
        "network trash folder",
        "temporary items",
        # GoodSync
        "_gsdata_",
        # Python
        "__pycache__",
    }
)
# Windows: what chkdsk has recovered, and the folder of one user's deleted files in RECYCLER.
_FOLDER_PATTERN = re.compile(r"found\.\d{3}|s-1-5-[\d-]+")
_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"})
# Streams and attributes that a drive cannot keep in the file itself stand beside it.
_FILE_ENDINGS = (":zone.identifier", ":encryptable", "@synoeastream", "@synoresource")


def is_system_folder(name: str) -> bool:
    """Tell whether a folder of this name is a system's own, whatever the name's case."""
    folded = name.casefold()
    return folded in _FOLDERS or _FOLDER_PATTERN.fullmatch(folded) is not None


def is_system_file(name: str) -> bool:
    """Tell whether a file of this name is a system's own, whatever the name's case."""
    folded = name.casefold()
    return folded in _FILES or folded.endswith(_FILE_ENDINGS)
