from __future__ import annotations

from django.db import migrations

# Every recall counts what it showed. With room on its page a row's new version stands beside the old one
# (a HOT update), and none of the eleven indexes is written to. Pages that are full by now stay so.
ROOM = "ALTER TABLE agentsys_memory_memory SET (fillfactor = 90)"
FULL = "ALTER TABLE agentsys_memory_memory RESET (fillfactor)"


class Migration(migrations.Migration):
    dependencies = [("agentsys_memory", "0011_fading")]
    operations = [migrations.RunSQL(ROOM, FULL)]
