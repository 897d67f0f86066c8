"""A chunk knows its memory's kind: what a person said for later is told by it."""

from django.db import migrations, models

FILL = """
ALTER TABLE agentsys_memory_chunk ADD COLUMN kind varchar(24) DEFAULT 'note' NOT NULL;
UPDATE agentsys_memory_chunk AS c SET kind = m.kind FROM agentsys_memory_memory AS m
WHERE m.id = c.memory_id AND m.kind <> 'note';
"""


class Migration(migrations.Migration):
    dependencies = [("agentsys_memory", "0007_playbook_uses")]
    operations = [
        migrations.RunSQL(
            FILL,
            "ALTER TABLE agentsys_memory_chunk DROP COLUMN kind",
            state_operations=[
                migrations.AddField(
                    model_name="chunk",
                    name="kind",
                    field=models.CharField(db_default="note", default="note", max_length=24),
                )
            ],
        ),
    ]
