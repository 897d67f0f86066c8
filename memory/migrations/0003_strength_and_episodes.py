"""Strength as a column; one episode per ledger entry; a playbook's name and version frozen too."""

import django.db.models.expressions
from django.db import migrations, models


FREEZE = """
CREATE OR REPLACE TRIGGER playbook_is_frozen BEFORE UPDATE ON agentsys_memory_playbook
    FOR EACH ROW WHEN ((OLD.namespace, OLD.name, OLD.version, OLD.definition, OLD.definition_hash,
                        OLD.origin, OLD.source_goal_id)
        IS DISTINCT FROM (NEW.namespace, NEW.name, NEW.version, NEW.definition,
                          NEW.definition_hash, NEW.origin, NEW.source_goal_id))
    EXECUTE FUNCTION agentsys_memory_refuse();
"""

THAW = """
CREATE OR REPLACE TRIGGER playbook_is_frozen BEFORE UPDATE ON agentsys_memory_playbook
    FOR EACH ROW WHEN (OLD.definition IS DISTINCT FROM NEW.definition
                       OR OLD.definition_hash IS DISTINCT FROM NEW.definition_hash)
    EXECUTE FUNCTION agentsys_memory_refuse();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('agentsys_memory', '0002_frozen_playbooks'),
    ]

    operations = [
        migrations.AddField(
            model_name='memory',
            name='strength',
            field=models.FloatField(db_default=1.0),
        ),
        migrations.AddConstraint(
            model_name='memory',
            constraint=models.UniqueConstraint(models.F('goal_id'), django.db.models.expressions.RawSQL("(provenance->>'ledger_seq')", []), condition=models.Q(('layer', 'episodic'), ('provenance__has_key', 'ledger_seq')), name='memory_episode_once'),
        ),
        migrations.RunSQL(FREEZE, THAW),
    ]
