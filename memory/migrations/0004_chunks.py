"""What search reads moves out of `Memory` into `Chunk`: pieces, terms, vectors, kept close together by namespace.

Vectors of short texts are carried over. Longer texts are cut into pieces, and get their vector back,
by the next `maintain`, which looks for live memories without chunks of the current embedder."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import pgvector.django.halfvec
from django.db import migrations, models

PARTITIONS = 64

TABLE = """
CREATE TABLE agentsys_memory_chunk (
    namespace varchar(80) NOT NULL,
    memory_id bigint NOT NULL,
    n smallint NOT NULL CHECK (n >= 0),
    layer varchar(12) NOT NULL,
    actor varchar(150) NOT NULL,
    session varchar(80) NOT NULL,
    seq integer NOT NULL,
    level smallint NOT NULL,
    occurred_at timestamptz NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    pinned boolean NOT NULL,
    importance double precision NOT NULL,
    words integer NOT NULL,
    length integer NOT NULL,
    terms integer[] NOT NULL,
    counts smallint[] NOT NULL,
    embed_model varchar(60) NOT NULL,
    embedding halfvec,
    tokens bytea,
    PRIMARY KEY (namespace, memory_id, n)
) PARTITION BY HASH (namespace);
""" + "".join(
    f"CREATE TABLE agentsys_memory_chunk_{part} PARTITION OF agentsys_memory_chunk"
    f" FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part});\n"
    # Every query reads the vector and few read the tokens: the one stays in the row, the other out of it.
    f"ALTER TABLE agentsys_memory_chunk_{part} ALTER embedding SET STORAGE MAIN,"
    " ALTER tokens SET STORAGE EXTERNAL;\n"
    for part in range(PARTITIONS)
)

# A query's words go through the same function as a memory's.
TERMS = """
CREATE FUNCTION agentsys_memory_terms(namespace text, words text, OUT terms integer[],
                                      OUT counts smallint[], OUT length integer)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT COALESCE(array_agg(hashtext(namespace || E'\\x1f' || lexeme)), '{}'),
           COALESCE(array_agg(COALESCE(cardinality(positions), 1)::smallint), '{}'),
           COALESCE(sum(COALESCE(cardinality(positions), 1)), 0)::integer
    FROM unnest(to_tsvector('english', words))
$$;
"""

FOLLOW = """
CREATE FUNCTION agentsys_memory_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM agentsys_memory_chunk WHERE namespace = OLD.namespace AND memory_id = OLD.id;
    ELSIF NEW.state <> 'live' OR (NEW.namespace, NEW.text) <> (OLD.namespace, OLD.text) THEN
        DELETE FROM agentsys_memory_chunk WHERE namespace = OLD.namespace AND memory_id = OLD.id;
    ELSE
        UPDATE agentsys_memory_chunk
        SET layer = NEW.layer, actor = NEW.actor, session = NEW.session, seq = NEW.seq,
            level = NEW.level, occurred_at = NEW.occurred_at, valid_from = NEW.valid_from,
            valid_to = NEW.valid_to, pinned = NEW.pinned, importance = NEW.importance
        WHERE namespace = NEW.namespace AND memory_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER memory_chunks_follow AFTER UPDATE ON agentsys_memory_memory FOR EACH ROW
    WHEN ((OLD.namespace, OLD.text, OLD.state, OLD.layer, OLD.actor, OLD.session, OLD.seq, OLD.level,
           OLD.occurred_at, OLD.valid_from, OLD.valid_to, OLD.pinned, OLD.importance)
          IS DISTINCT FROM
          (NEW.namespace, NEW.text, NEW.state, NEW.layer, NEW.actor, NEW.session, NEW.seq, NEW.level,
           NEW.occurred_at, NEW.valid_from, NEW.valid_to, NEW.pinned, NEW.importance))
    EXECUTE FUNCTION agentsys_memory_follow();
CREATE TRIGGER memory_chunks_go AFTER DELETE ON agentsys_memory_memory FOR EACH ROW
    EXECUTE FUNCTION agentsys_memory_follow();
"""

CARRY_OVER = """
INSERT INTO agentsys_memory_chunk
SELECT m.namespace, m.id, 0, m.layer, m.actor, '', 0, 0, m.occurred_at, m.valid_from, m.valid_to,
       m.pinned, m.importance, m.words, t.length, t.terms, t.counts,
       CASE WHEN m.words <= 60 THEN m.embed_model ELSE '' END,
       CASE WHEN m.words <= 60 THEN m.embedding END, NULL
FROM (SELECT *, cardinality(regexp_split_to_array(text, '\\s+')) AS words FROM agentsys_memory_memory
      WHERE state = 'live') AS m
CROSS JOIN LATERAL agentsys_memory_terms(m.namespace, m.text) AS t;
"""

UNFOLLOW = """
DROP TRIGGER memory_chunks_go ON agentsys_memory_memory;
DROP TRIGGER memory_chunks_follow ON agentsys_memory_memory;
DROP FUNCTION agentsys_memory_follow();
"""

UNDO = """
DROP FUNCTION agentsys_memory_terms(text, text);
DROP TABLE agentsys_memory_chunk;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("agentsys_memory", "0003_strength_and_episodes"),
    ]

    operations = [
        migrations.RunSQL(
            TABLE + TERMS + CARRY_OVER,
            UNDO,
            state_operations=[
                migrations.CreateModel(
                    name="Chunk",
                    fields=[
                        (
                            "pk",
                            models.CompositePrimaryKey(
                                "namespace",
                                "memory_id",
                                "n",
                                blank=True,
                                editable=False,
                                primary_key=True,
                                serialize=False,
                            ),
                        ),
                        ("namespace", models.CharField(max_length=80)),
                        ("memory_id", models.BigIntegerField()),
                        ("n", models.PositiveSmallIntegerField()),
                        ("layer", models.CharField(max_length=12)),
                        ("actor", models.CharField(max_length=150)),
                        ("session", models.CharField(max_length=80)),
                        ("seq", models.PositiveIntegerField()),
                        ("level", models.PositiveSmallIntegerField()),
                        ("occurred_at", models.DateTimeField()),
                        ("valid_from", models.DateTimeField()),
                        ("valid_to", models.DateTimeField(null=True)),
                        ("pinned", models.BooleanField()),
                        ("importance", models.FloatField()),
                        ("words", models.PositiveIntegerField()),
                        ("length", models.PositiveIntegerField()),
                        (
                            "terms",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.IntegerField(), size=None
                            ),
                        ),
                        (
                            "counts",
                            django.contrib.postgres.fields.ArrayField(
                                base_field=models.PositiveSmallIntegerField(), size=None
                            ),
                        ),
                        ("embed_model", models.CharField(blank=True, max_length=60)),
                        ("embedding", pgvector.django.halfvec.HalfVectorField(null=True)),
                        ("tokens", models.BinaryField(null=True)),
                    ],
                ),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="memory",
            name="memory_state_is_known",
        ),
        migrations.RemoveIndex(
            model_name="memory",
            name="memory_words",
        ),
        migrations.RemoveField(
            model_name="memory",
            name="embed_model",
        ),
        migrations.RemoveField(
            model_name="memory",
            name="embedding",
        ),
        migrations.RemoveField(
            model_name="memory",
            name="tsv",
        ),
        migrations.AddField(
            model_name="memory",
            name="batch",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.AddField(
            model_name="memory",
            name="level",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="memory",
            name="seq",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="memory",
            name="session",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
        migrations.AddIndex(
            model_name="memory",
            index=models.Index(
                condition=models.Q(("session", ""), _negated=True),
                fields=["namespace", "session", "seq"],
                name="memory_of_session",
            ),
        ),
        migrations.AddIndex(
            model_name="memory",
            index=models.Index(
                condition=models.Q(("batch", ""), _negated=True),
                fields=["namespace", "batch"],
                name="memory_of_batch",
            ),
        ),
        migrations.AddConstraint(
            model_name="memory",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["cold", "gone", "live", "quarantined"])),
                name="memory_state_is_known",
            ),
        ),
        migrations.AddIndex(
            model_name="chunk",
            index=django.contrib.postgres.indexes.GinIndex(fields=["terms"], name="chunk_terms"),
        ),
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(fields=["namespace", "session", "seq"], name="chunk_of_session"),
        ),
        migrations.RunSQL(FOLLOW, UNFOLLOW),
    ]
