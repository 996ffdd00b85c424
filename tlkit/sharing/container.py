"""A folder from which Docker builds a server of a model: a Dockerfile, the bundle, and nothing else."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tlkit.data.images import LOADER_VERSION
from tlkit.files import write_text
from tlkit.models.copying import copy_bundle
from tlkit.models.storage import BUNDLE_FOLDER, find_bundle
from tlkit.version import __version__

DOCKERFILE, IGNORE_FILE = "Dockerfile", ".dockerignore"
PORT = 8000
_TEMPLATE = """\
# A server of a model that tlkit {version} trained. In this folder:
#
#   docker build -t {name} .
#   docker run -p {port}:{port} -e TLKIT_TOKEN=... {name}
#
# The token has 16 characters or more; clients send it as "Authorization: Bearer TOKEN".

FROM python:{python}-slim

RUN pip install --no-cache-dir "tlkit[serve]=={version}" \\
    && useradd --create-home --uid 10001 tlkit

COPY --chmod=755 {bundle}/ /model/{bundle}/

USER tlkit
WORKDIR /home/tlkit
ENV PYTHONUNBUFFERED=1
EXPOSE {port}

HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \\
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/health', timeout=4)"]

# The shell checks that there is a token, and gives way to the server, which thus gets the signals of `docker stop`.
CMD ["sh", "-c", ": \\"${{TLKIT_TOKEN:?is not set}}\\" && exec {command}"]
"""


def write_container(run: Path, folder: Path) -> list[str]:
    """Write a Dockerfile, .dockerignore and a copy of the bundle, and return their names.

    Args:
        run: A run folder, or a bundle folder.
        folder: An existing folder; what an earlier call has written is replaced.

    Raises:
        BundleError: The model is missing, damaged or invalid.
    """
    shutil.rmtree(folder / BUNDLE_FOLDER, ignore_errors=True)
    copy_bundle(find_bundle(run), folder / BUNDLE_FOLDER, loader_version=LOADER_VERSION)
    write_text(folder / DOCKERFILE, format_dockerfile())
    write_text(folder / IGNORE_FILE, f"*\n!{BUNDLE_FOLDER}\n")
    return [DOCKERFILE, IGNORE_FILE, BUNDLE_FOLDER]


def format_dockerfile() -> str:
    """Return the text of the Dockerfile, for this version of tlkit and of Python."""
    return _TEMPLATE.format(
        version=__version__,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        bundle=BUNDLE_FOLDER,
        port=PORT,
        name="my-model",
        command=f"tlkit serve /model/{BUNDLE_FOLDER} --host 0.0.0.0 --port {PORT}",
    )
