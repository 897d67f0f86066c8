"""What every search reads of a chunk comes first in its row, and pinned ones have an index.

To get at a column PostgreSQL walks over all that vary in length before it: the vector behind fourteen others
took as long to reach as to compare. The rows move; `maintain` makes the indexes of large namespaces again.
"""

from django.db import migrations, models

PARTITIONS = 64

COLUMNS = """
    memory_id bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    valid_from timestamptz NOT NULL,
    importance double precision NOT NULL,
    seq integer NOT NULL,
    words integer NOT NULL,
    length integer NOT NULL,
    n smallint NOT NULL CHECK (n >= 0),
    level smallint NOT NULL,
    pinned boolean NOT NULL,
    valid_to timestamptz,
    namespace varchar(80) NOT NULL,
    layer varchar(12) NOT NULL,
    embed_model varchar(60) NOT NULL,
    embedding halfvec,
    actor varchar(150) NOT NULL,
    session varchar(80) NOT NULL,
    kind varchar(24) DEFAULT 'note' NOT NULL,
    terms integer[] NOT NULL,
    counts smallint[] NOT NULL,
    tokens bytea
"""
NAMES = ", ".join(
    line.split()[0] for line in COLUMNS.strip().splitlines()
)  # the order of the columns is the order of the copy

MOVE = f"""
CREATE TABLE agentsys_memory_chunk_ordered ({COLUMNS}) PARTITION BY HASH (namespace);
""" + "".join(
    f"CREATE TABLE agentsys_memory_chunk_ordered_{part} PARTITION OF agentsys_memory_chunk_ordered"
    f" FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part});\n"
    f"ALTER TABLE agentsys_memory_chunk_ordered_{part} ALTER embedding SET STORAGE MAIN,"
    " ALTER tokens SET STORAGE EXTERNAL;\n"
    for part in range(PARTITIONS)
) + f"""
INSERT INTO agentsys_memory_chunk_ordered ({NAMES})
SELECT {NAMES} FROM agentsys_memory_chunk ORDER BY namespace, memory_id, n;
DROP TABLE agentsys_memory_chunk;
ALTER TABLE agentsys_memory_chunk_ordered RENAME TO agentsys_memory_chunk;
""" + "".join(
    f"ALTER TABLE agentsys_memory_chunk_ordered_{part} RENAME TO agentsys_memory_chunk_{part};\n"
    for part in range(PARTITIONS)
) + """
ALTER TABLE agentsys_memory_chunk ADD PRIMARY KEY (namespace, memory_id, n);
CREATE INDEX chunk_terms ON agentsys_memory_chunk USING gin (terms);
CREATE INDEX chunk_of_session ON agentsys_memory_chunk (namespace, session, seq);
"""


class Migration(migrations.Migration):
    dependencies = [("agentsys_memory", "0008_chunk_kind")]
    operations = [
        migrations.RunSQL(MOVE, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(
                condition=models.Q(("n", 0), ("pinned", True)),
                fields=["namespace", "memory_id"],
                name="chunk_pinned",
            ),
        ),
    ]
