"""Items that nobody looked at are called so."""

from django.db import migrations, models

ITEM = "agentsys_orchestration_swarmitem"


class Migration(migrations.Migration):
    dependencies = [("agentsys_orchestration", "0008_reflection")]

    operations = [
        migrations.AlterField(
            model_name="swarmitem",
            name="verdict",
            field=models.CharField(default="", max_length=10),
        ),
        migrations.RunSQL(
            f"UPDATE {ITEM} SET verdict = 'unsampled' WHERE verdict = 'sampled'",
            f"UPDATE {ITEM} SET verdict = 'sampled' WHERE verdict = 'unsampled'",
        ),
        migrations.AddConstraint(
            model_name="swarmitem",
            constraint=models.CheckConstraint(
                condition=models.Q(("verdict__in", ["", "passed", "unsampled"])),
                name="swarm_item_verdict_is_known",
            ),
        ),
    ]
