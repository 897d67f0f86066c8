"""Looking for garbage seldom, in processes that serve for long.

What is loaded when a process begins to serve stays. To look through all of it again and again took a tenth of
a worker's time, and a tenth of a second from a request now and then.
"""

from __future__ import annotations

import gc

from django.urls import get_resolver


def collect_seldom() -> None:
    """What is there now is never looked through again, and the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pages_stay() -> None:
    """The same for a web process, which loads its pages only when it is asked for one."""
    _ = get_resolver().url_patterns
    collect_seldom()
