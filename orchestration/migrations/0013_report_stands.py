"""What was handed in stands, as the verdicts on it do: neither is written over afterwards."""

from __future__ import annotations

from django.db import migrations

# It names its columns, and looks at the state first: a report that is handed in pays next to nothing.
STANDS = """
CREATE TRIGGER attempt_report_stands
    BEFORE UPDATE OF report, artifact_hash ON agentsys_orchestration_attempt
    FOR EACH ROW WHEN (OLD.state <> 'running' AND OLD.report IS NOT NULL
                       AND (OLD.report IS DISTINCT FROM NEW.report
                            OR OLD.artifact_hash IS DISTINCT FROM NEW.artifact_hash))
    EXECUTE FUNCTION agentsys_refuse('what was handed in stands; an output of one''s own is an override')
"""
UNDO = "DROP TRIGGER attempt_report_stands ON agentsys_orchestration_attempt"


class Migration(migrations.Migration):
    dependencies = [("agentsys_orchestration", "0012_owners")]
    operations = [migrations.RunSQL(STANDS, UNDO)]
