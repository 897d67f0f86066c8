"""The list of approval requests is called inbox in menu and breadcrumb, as everywhere else."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("agentsys_orchestration", "0024_notable_by_goal")]

    operations = [
        migrations.AlterModelOptions(
            name="approvalrequest", options={"verbose_name_plural": "inbox"}
        ),
    ]
