"""A playbook version is never changed: the database refuses."""

from django.db import migrations

FREEZE = """
CREATE FUNCTION agentsys_memory_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'agentsys: a playbook version is frozen; save a new one'
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER playbook_is_frozen BEFORE UPDATE ON agentsys_memory_playbook
    FOR EACH ROW WHEN (OLD.definition IS DISTINCT FROM NEW.definition
                       OR OLD.definition_hash IS DISTINCT FROM NEW.definition_hash)
    EXECUTE FUNCTION agentsys_memory_refuse();
"""

THAW = """
DROP TRIGGER playbook_is_frozen ON agentsys_memory_playbook;
DROP FUNCTION agentsys_memory_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("agentsys_memory", "0001_initial")]
    operations = [migrations.RunSQL(FREEZE, THAW)]
