"""How a person reads the console: what they have seen of the ledger, in which zone and language."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Reader(models.Model):
    """One row a person, made when there is something to keep.

    `ledger_seen` is the greatest id of a ledger entry that the person has marked as read. `time_zone`
    and `language` are what was chosen; "" follows the browser.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="reader"
    )
    ledger_seen = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField(null=True, blank=True)
    time_zone = models.CharField(max_length=64, blank=True, default="")
    language = models.CharField(max_length=10, blank=True, default="")

    def __str__(self) -> str:
        return f"reader {self.user_id}"
