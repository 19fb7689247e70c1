"""Pictures that were dragged into the page: checked one by one, and kept under names of our own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from hf_unlearn.errors import UnlearningError

# As PIL calls them, and the endings that a browser is told of.
FORMATS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
ENDINGS = [".jpg", ".jpeg", ".png", ".webp"]
# A picture that is small as a file may be huge once it is decoded.
MOST_PIXELS = 50_000_000


def keep_pictures(paths: Sequence[str], folder: str, max_upload_mb: int, most: int) -> str:
    """Put uploaded pictures into a folder, which is made anew.

    Args:
        paths: the files as they came; their names are used in messages only.
        max_upload_mb: of each, megabytes.
        most: how many.

    Returns:
        The folder.

    Raises:
        UnlearningError: none, too many, or one that is too large, of another format, or cannot be read.
    """
    if not paths:
        raise UnlearningError("no photographs were given; expected JPEG, PNG or WebP files")
    if len(paths) > most:
        raise UnlearningError(f"{len(paths)} photographs were given; expected at most {most}")
    endings = [check_picture(path, max_upload_mb) for path in paths]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for number, (path, ending) in enumerate(zip(paths, endings, strict=True)):
        place = os.path.join(folder, f"{number:05}{ending}")
        try:
            # A second name for it takes no room.
            os.link(os.path.realpath(path), place)
        except OSError:
            shutil.copyfile(path, place)
    return folder


def check_picture(path: str, max_upload_mb: int) -> str:
    """The ending of a picture's format.

    Raises:
        UnlearningError: it is too large, of another format than [`FORMATS`], or cannot be read.
    """
    from PIL import Image

    from hf_unlearn.request.images import UnreadableImage, read_image

    name = os.path.basename(path)
    size = os.path.getsize(path)
    if size > max_upload_mb * 2**20:
        raise UnlearningError(f"picture {name!r} has {size / 2**20:.1f} MB; expected at most {max_upload_mb}")
    try:
        with Image.open(path, formats=list(FORMATS)) as image:
            found, (width, height) = str(image.format), image.size
    # Decoders raise nearly anything on a broken file.
    except Exception as error:
        raise UnlearningError(f"picture {name!r} cannot be read; expected a JPEG, PNG or WebP file") from error
    if width * height > MOST_PIXELS:
        raise UnlearningError(f"picture {name!r} has {width} × {height} pixels; expected at most {MOST_PIXELS:,}")
    try:
        read_image({"bytes": None, "path": path})
    except UnreadableImage as error:
        raise UnlearningError(f"picture {error}") from error
    return FORMATS[found]
