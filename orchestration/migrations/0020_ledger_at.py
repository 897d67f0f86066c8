import django.contrib.postgres.indexes
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("agentsys_orchestration", "0019_mail_targets")]

    operations = [
        migrations.AddIndex(
            model_name="ledgerentry",
            index=django.contrib.postgres.indexes.BrinIndex(
                autosummarize=True, fields=["at"], name="ledger_at", pages_per_range=32
            ),
        ),
    ]
