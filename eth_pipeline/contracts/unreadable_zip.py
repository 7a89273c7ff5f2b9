"""What Python's `zipfile` raises for bytes that are no readable zip.

Belongs here: the kinds of error, each with its reason. Does not belong: what becomes of such a file
(`exchange.archive`, `registry.bundles.archive`), what may be in a readable one.
"""

import zipfile
import zlib

UNREADABLE_ZIP = (
    zipfile.BadZipFile,
    zlib.error,  # a packed member that is damaged
    EOFError,  # one that is cut
    NotImplementedError,  # one of a later version of the format, or packed in a way that Python cannot unpack
    RuntimeError,  # an encrypted one
    ValueError,  # an offset before the file, a name that is no UTF-8
    OSError,
)
"""They have no common base, so whoever opens a zip of somebody else's catches all of them."""
