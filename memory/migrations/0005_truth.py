"""Facts over time, links between memories that disagree, and their history, which the database keeps."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


# A column's type cannot change while a trigger looks at it. It is 0004's, as it stands there.
LET_GO = "DROP TRIGGER memory_chunks_follow ON agentsys_memory_memory;"
HOLD_AGAIN = """
CREATE TRIGGER memory_chunks_follow AFTER UPDATE ON agentsys_memory_memory FOR EACH ROW
    WHEN ((OLD.namespace, OLD.text, OLD.state, OLD.layer, OLD.actor, OLD.session, OLD.seq, OLD.level,
           OLD.occurred_at, OLD.valid_from, OLD.valid_to, OLD.pinned, OLD.importance)
          IS DISTINCT FROM
          (NEW.namespace, NEW.text, NEW.state, NEW.layer, NEW.actor, NEW.session, NEW.seq, NEW.level,
           NEW.occurred_at, NEW.valid_from, NEW.valid_to, NEW.pinned, NEW.importance))
    EXECUTE FUNCTION agentsys_memory_follow();
"""

FOLLOW = """
CREATE FUNCTION agentsys_memory_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'agentsys: % on % is refused: the history of memories is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER memory_history_is_append_only BEFORE UPDATE OR DELETE ON agentsys_memory_memoryevent
    FOR EACH ROW EXECUTE FUNCTION agentsys_memory_append_only();

-- Links and facts quote: they go with the text that they quote.
CREATE FUNCTION agentsys_memory_unquote() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM agentsys_memory_link WHERE older_id = OLD.id OR newer_id = OLD.id;
    UPDATE agentsys_memory_fact SET closed_by_id = NULL
    WHERE closed_by_id IN (SELECT id FROM agentsys_memory_fact WHERE evidence_id = OLD.id);
    DELETE FROM agentsys_memory_fact WHERE evidence_id = OLD.id;
    RETURN NULL;
END $$;
CREATE TRIGGER memory_unquote AFTER UPDATE OF state ON agentsys_memory_memory FOR EACH ROW
    WHEN (NEW.state = 'gone' AND OLD.state <> 'gone') EXECUTE FUNCTION agentsys_memory_unquote();
CREATE TRIGGER memory_unquote_deleted AFTER DELETE ON agentsys_memory_memory FOR EACH ROW
    EXECUTE FUNCTION agentsys_memory_unquote();
"""

UNFOLLOW = """
DROP TRIGGER memory_unquote_deleted ON agentsys_memory_memory;
DROP TRIGGER memory_unquote ON agentsys_memory_memory;
DROP FUNCTION agentsys_memory_unquote();
DROP TRIGGER memory_history_is_append_only ON agentsys_memory_memoryevent;
DROP FUNCTION agentsys_memory_append_only();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('agentsys_memory', '0004_chunks'),
    ]

    operations = [
        migrations.RunSQL(LET_GO, HOLD_AGAIN),
        migrations.AlterField(
            model_name="memory",
            name="state",
            field=models.CharField(default="live", max_length=12),
        ),
        migrations.RunSQL(HOLD_AGAIN, LET_GO),
        migrations.CreateModel(
            name='MemoryEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('namespace', models.CharField(max_length=80)),
                ('memory_id', models.BigIntegerField()),
                ('event', models.CharField(max_length=12)),
                ('actor', models.CharField(blank=True, max_length=150)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('other_id', models.BigIntegerField(null=True)),
                ('batch', models.CharField(blank=True, max_length=80)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                'indexes': [models.Index(fields=['memory_id', 'at'], name='memory_event_of')],
                'constraints': [models.CheckConstraint(condition=models.Q(('event__in', ['cold', 'consolidated', 'forgotten', 'merged', 'pinned', 'pruned', 'quarantined', 'rejected', 'released', 'reopened', 'rolled_back', 'superseded', 'unpinned'])), name='memory_event_is_known')],
            },
        ),
        migrations.CreateModel(
            name='Fact',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('namespace', models.CharField(max_length=80)),
                ('subject', models.CharField(max_length=150)),
                ('attribute', models.CharField(max_length=150)),
                ('value', models.CharField(max_length=300)),
                ('functional', models.BooleanField(default=True)),
                ('terms', django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), default=list, size=None)),
                ('valid_from', models.DateTimeField()),
                ('valid_to', models.DateTimeField(null=True)),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('retracted_at', models.DateTimeField(null=True)),
                ('closed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='closes', to='agentsys_memory.fact')),
                ('evidence', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='facts', to='agentsys_memory.memory')),
            ],
            options={
                'indexes': [models.Index(fields=['namespace', 'subject', 'attribute'], name='memory_fact_slot'), django.contrib.postgres.indexes.GinIndex(condition=models.Q(('functional', False)), fields=['terms'], name='memory_fact_terms')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('functional', True), ('retracted_at__isnull', True), ('valid_to__isnull', True)), fields=('namespace', 'subject', 'attribute'), name='memory_fact_holds_once'), models.CheckConstraint(condition=models.Q(('valid_to__isnull', True), ('valid_to__gte', models.F('valid_from')), _connector='OR'), name='memory_fact_interval')],
            },
        ),
        migrations.CreateModel(
            name='Link',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('namespace', models.CharField(max_length=80)),
                ('kind', models.CharField(max_length=12)),
                ('reason', models.CharField(max_length=200)),
                ('older_quote', models.CharField(max_length=400)),
                ('newer_quote', models.CharField(max_length=400)),
                ('found_by', models.CharField(default='rules', max_length=8)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('newer', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='links_older', to='agentsys_memory.memory')),
                ('older', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='links_newer', to='agentsys_memory.memory')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('older', 'newer'), name='memory_link_once'), models.CheckConstraint(condition=models.Q(('kind__in', ['contradicts', 'updates'])), name='memory_link_kind'), models.CheckConstraint(condition=models.Q(('found_by__in', ['model', 'person', 'rules'])), name='memory_link_finder'), models.CheckConstraint(condition=models.Q(('older', models.F('newer')), _negated=True), name='memory_link_of_two')],
            },
        ),
        migrations.RunSQL(FOLLOW, UNFOLLOW),
    ]
