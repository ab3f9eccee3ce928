"""Names that an engine's rules do not allow, written in letters, digits and underscores, and read back."""

from __future__ import annotations

import re

MARK = "U__"


def escape(name: str, allowed: str = r"[a-zA-Z_:][a-zA-Z0-9_:]*") -> str:
    """Return a name as it is if a pattern allows it, else as Prometheus escapes it: ``U__``, and ``_hex_`` for others.

    References
    ----------
    Prometheus, "UTF-8 in Prometheus", escaping scheme "values":
    https://github.com/prometheus/proposals/blob/main/proposals/2023-08-21-utf8.md

    Examples
    --------
    >>> escape("cpu_user"), escape("mesh total"), escape("")
    ('cpu_user', 'U__mesh_20_total', 'U__')
    """
    if re.fullmatch(allowed, name) and not name.startswith(MARK):
        return name
    return MARK + re.sub(r"[^a-zA-Z0-9]", lambda found: "__" if found[0] == "_" else f"_{ord(found[0]):x}_", name)


def unescape(name: str) -> str:
    """Return what a name was before `escape`.

    Examples
    --------
    >>> unescape("U__mesh_20_total"), unescape("U__a__b"), unescape("cpu_user")
    ('mesh total', 'a_b', 'cpu_user')
    """
    if not name.startswith(MARK):
        return name
    return re.sub("_([0-9a-f]*)_", lambda found: chr(int(found[1], 16)) if found[1] else "_", name[len(MARK) :])
