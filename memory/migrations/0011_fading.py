"""A cold memory keeps its words, as numbers: they speak for what was said just before and after.

Without them half of the rows of a dialogue find 94.6 % of what all find, with them 96 %: whoever is kept had
the other half beside it. They are no text, they are found by nobody, and they go when the memory does.
"""

import django.contrib.postgres.fields
from django.db import migrations, models

# The heading and the first hundred words or so, as a chunk has them.
FADE = """
CREATE FUNCTION agentsys_memory_fade() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'cold' AND NEW.session <> '' THEN
        SELECT t.terms INTO NEW.terms
        FROM agentsys_memory_terms(NEW.namespace, concat_ws(' ', NEW.actor,
            to_char(NEW.occurred_at AT TIME ZONE 'UTC', 'DD FMMonth YYYY'), left(NEW.text, 600))) AS t;
    ELSE
        NEW.terms := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER memory_fades BEFORE UPDATE ON agentsys_memory_memory FOR EACH ROW
    WHEN ((OLD.namespace, OLD.text, OLD.state, OLD.session, OLD.actor, OLD.occurred_at)
          IS DISTINCT FROM
          (NEW.namespace, NEW.text, NEW.state, NEW.session, NEW.actor, NEW.occurred_at)
          AND (OLD.state = 'cold' OR NEW.state = 'cold'))
    EXECUTE FUNCTION agentsys_memory_fade();
CREATE TRIGGER memory_comes_faded BEFORE INSERT ON agentsys_memory_memory FOR EACH ROW
    WHEN (NEW.state = 'cold') EXECUTE FUNCTION agentsys_memory_fade();
UPDATE agentsys_memory_memory AS m SET terms = t.terms
FROM agentsys_memory_memory AS c CROSS JOIN LATERAL agentsys_memory_terms(c.namespace, concat_ws(' ', c.actor,
    to_char(c.occurred_at AT TIME ZONE 'UTC', 'DD FMMonth YYYY'), left(c.text, 600))) AS t
WHERE c.id = m.id AND c.state = 'cold' AND c.session <> '';
"""

UNFADE = """
DROP TRIGGER memory_fades ON agentsys_memory_memory;
DROP TRIGGER memory_comes_faded ON agentsys_memory_memory;
DROP FUNCTION agentsys_memory_fade();
"""


class Migration(migrations.Migration):
    dependencies = [("agentsys_memory", "0010_chunk_vectors")]
    operations = [
        migrations.AddField(
            model_name="memory",
            name="terms",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.IntegerField(), editable=False, null=True, size=None
            ),
        ),
        migrations.AddIndex(
            model_name="memory",
            index=models.Index(
                condition=models.Q(("session", ""), _negated=True) & models.Q(("state", "cold")),
                fields=["namespace", "session", "seq"],
                name="memory_faded",
            ),
        ),
        migrations.RunSQL(FADE, UNFADE),
    ]
