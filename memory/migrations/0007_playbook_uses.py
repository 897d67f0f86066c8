"""What goals showed about playbooks; whether a learned one had verified results is frozen."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

FREEZE = """
CREATE OR REPLACE TRIGGER playbook_is_frozen BEFORE UPDATE ON agentsys_memory_playbook
    FOR EACH ROW WHEN ((OLD.namespace, OLD.name, OLD.version, OLD.definition, OLD.definition_hash,
                        OLD.origin, OLD.source_goal_id, OLD.verified)
        IS DISTINCT FROM (NEW.namespace, NEW.name, NEW.version, NEW.definition,
                          NEW.definition_hash, NEW.origin, NEW.source_goal_id, NEW.verified))
    EXECUTE FUNCTION agentsys_memory_refuse();
"""

THAW = """
CREATE OR REPLACE TRIGGER playbook_is_frozen BEFORE UPDATE ON agentsys_memory_playbook
    FOR EACH ROW WHEN ((OLD.namespace, OLD.name, OLD.version, OLD.definition, OLD.definition_hash,
                        OLD.origin, OLD.source_goal_id)
        IS DISTINCT FROM (NEW.namespace, NEW.name, NEW.version, NEW.definition,
                          NEW.definition_hash, NEW.origin, NEW.source_goal_id))
    EXECUTE FUNCTION agentsys_memory_refuse();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('agentsys_memory', '0006_digests'),
    ]

    operations = [
        migrations.AddField(
            model_name='playbook',
            name='note',
            field=models.CharField(blank=True, default='', max_length=500),
        ),
        migrations.AddField(
            model_name='playbook',
            name='verified',
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name='PlaybookUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('namespace', models.CharField(max_length=80)),
                ('goal_id', models.BigIntegerField()),
                ('origin', models.BooleanField(default=False)),
                ('success', models.BooleanField()),
                ('steps', models.PositiveIntegerField(null=True)),
                ('trigger', models.TextField(blank=True, default='')),
                ('lessons', models.JSONField(default=dict)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('playbook', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='uses', to='agentsys_memory.playbook')),
            ],
            options={
                'indexes': [models.Index(fields=['namespace', '-at'], name='playbook_use_latest')],
                'constraints': [models.UniqueConstraint(fields=('playbook', 'goal_id'), name='playbook_use_once')],
            },
        ),
        migrations.RunSQL(FREEZE, THAW),
    ]
