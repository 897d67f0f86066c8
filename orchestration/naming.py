"""Names of tables and columns in the reader's language: section names, titles of lists, labels of fields and
what stands below them, states.

Django takes them from the models, which are in English and of several packages, and asks for them at each
page. For migrations nothing changes: without a language the names are what they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy

OURS = "agentsys_"
SAID = ("state", "outcome")  # fields whose choices are words; those of others are names


def names_translated() -> None:
    """Once, when all models are there."""
    for config in _ours():
        config.verbose_name = gettext_lazy(str(config.verbose_name))
        for model in config.get_models():
            meta: Any = model._meta
            meta.verbose_name = gettext_lazy(meta.verbose_name)
            meta.verbose_name_plural = gettext_lazy(meta.verbose_name_plural)
            for field in meta.local_fields:
                field.verbose_name = gettext_lazy(field.verbose_name)
                field.help_text = gettext_lazy(field.help_text) if field.help_text else ""
                if field.choices and field.name in SAID:
                    field.choices = [(value, gettext_lazy(word)) for value, word in field.choices]


def _ours() -> Iterator[AppConfig]:
    return (config for config in apps.get_app_configs() if config.label.startswith(OURS))
