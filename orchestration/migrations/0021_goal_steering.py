from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agentsys_orchestration", "0020_ledger_at")]

    operations = [
        migrations.AddField(
            model_name="goal",
            name="running_max",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="goal",
            name="model",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.AddConstraint(
            model_name="goal",
            constraint=models.CheckConstraint(
                condition=models.Q(running_max__isnull=True) | models.Q(running_max__gte=1),
                name="goal_running_max_is_positive",
            ),
        ),
    ]
