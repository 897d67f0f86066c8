"""The gateway as a Django app: model profiles are rows."""

from __future__ import annotations

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "agentsys.gateway"
    label = "agentsys_gateway"
    verbose_name = "Models"
