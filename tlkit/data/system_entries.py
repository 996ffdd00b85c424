"""Names of files and folders that operating systems, network drives and sync tools create among images.

They contain thumbnails, deleted images or settings, never the user's data. Only whole names match, so a class called
`lost` or `@nasa` is unaffected. Names that start with a dot are hidden anyway.
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
# Windows: files recovered by chkdsk, and a user's folder of deleted files in RECYCLER.
_FOLDER_PATTERN = re.compile(r"found\.\d{3}|s-1-5-[\d-]+")
_FILES = frozenset({"thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini", "icon\r"})
# Streams and attributes that a drive cannot store in the file are stored beside it.
_FILE_ENDINGS = (":zone.identifier", ":encryptable", "@synoeastream", "@synoresource")


def is_system_folder(name: str) -> bool:
    """Return whether a folder of this name, in any case, belongs to the operating system."""
    folded = name.casefold()
    return folded in _FOLDERS or _FOLDER_PATTERN.fullmatch(folded) is not None


def is_system_file(name: str) -> bool:
    """Return whether a file of this name, in any case, belongs to the operating system."""
    folded = name.casefold()
    return folded in _FILES or folded.endswith(_FILE_ENDINGS)
