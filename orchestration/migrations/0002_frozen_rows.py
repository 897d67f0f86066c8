"""The database refuses to change what is frozen: contracts, definitions, plans, the ledger."""

from django.db import migrations

FREEZE = """
CREATE FUNCTION agentsys_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'agentsys: % on % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON agentsys_orchestration_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION agentsys_refuse('the ledger is append-only');

CREATE TRIGGER goal_contract_is_frozen BEFORE UPDATE ON agentsys_orchestration_goal
    FOR EACH ROW WHEN (OLD.contract IS DISTINCT FROM NEW.contract
                       OR OLD.contract_hash IS DISTINCT FROM NEW.contract_hash
                       OR OLD.objective IS DISTINCT FROM NEW.objective)
    EXECUTE FUNCTION agentsys_refuse('a contract is frozen; a change is a new goal or a directive');

CREATE TRIGGER goal_ledger_only_grows BEFORE UPDATE ON agentsys_orchestration_goal
    FOR EACH ROW WHEN (NEW.ledger_seq < OLD.ledger_seq)
    EXECUTE FUNCTION agentsys_refuse('the ledger only grows');

CREATE TRIGGER task_definition_is_frozen BEFORE UPDATE ON agentsys_orchestration_task
    FOR EACH ROW WHEN (OLD.definition IS DISTINCT FROM NEW.definition
                       OR OLD.definition_hash IS DISTINCT FROM NEW.definition_hash
                       OR OLD.agent IS DISTINCT FROM NEW.agent
                       OR OLD.key IS DISTINCT FROM NEW.key)
    EXECUTE FUNCTION agentsys_refuse('a definition is frozen; a change is a new plan version');

CREATE TRIGGER task_fence_only_grows BEFORE UPDATE ON agentsys_orchestration_task
    FOR EACH ROW WHEN (NEW.fence < OLD.fence)
    EXECUTE FUNCTION agentsys_refuse('a fence only grows');

CREATE TRIGGER plan_is_frozen BEFORE UPDATE ON agentsys_orchestration_plan
    FOR EACH ROW WHEN (OLD.document IS DISTINCT FROM NEW.document
                       OR OLD.document_hash IS DISTINCT FROM NEW.document_hash
                       OR OLD.version IS DISTINCT FROM NEW.version)
    EXECUTE FUNCTION agentsys_refuse('a plan version is frozen');

CREATE TRIGGER proposal_payload_is_frozen BEFORE UPDATE ON agentsys_orchestration_proposal
    FOR EACH ROW WHEN (OLD.payload IS DISTINCT FROM NEW.payload
                       OR OLD.payload_hash IS DISTINCT FROM NEW.payload_hash
                       OR OLD.base_hash IS DISTINCT FROM NEW.base_hash)
    EXECUTE FUNCTION agentsys_refuse('what was proposed is frozen; a change is a new proposal');

CREATE TRIGGER decision_is_final BEFORE UPDATE OR DELETE ON agentsys_orchestration_decision
    FOR EACH ROW EXECUTE FUNCTION agentsys_refuse('a decision is final');
"""

THAW = """
DROP TRIGGER ledger_is_append_only ON agentsys_orchestration_ledgerentry;
DROP TRIGGER goal_contract_is_frozen ON agentsys_orchestration_goal;
DROP TRIGGER goal_ledger_only_grows ON agentsys_orchestration_goal;
DROP TRIGGER task_definition_is_frozen ON agentsys_orchestration_task;
DROP TRIGGER task_fence_only_grows ON agentsys_orchestration_task;
DROP TRIGGER plan_is_frozen ON agentsys_orchestration_plan;
DROP TRIGGER proposal_payload_is_frozen ON agentsys_orchestration_proposal;
DROP TRIGGER decision_is_final ON agentsys_orchestration_decision;
DROP FUNCTION agentsys_refuse();
"""


class Migration(migrations.Migration):
    dependencies = [("agentsys_orchestration", "0001_initial")]
    operations = [migrations.RunSQL(FREEZE, THAW)]
