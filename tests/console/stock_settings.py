"""The project without unfold: what the console must also work with."""

from __future__ import annotations

from agentsys.settings import *  # noqa: F403

INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "unfold"]  # noqa: F405
