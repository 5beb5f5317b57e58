-- Patches the policy. Locks the head before the stored policy is read: the head has a copy of the fields that appends need.
-- plans: lookup

create or replace function kata.set_policy(context_id uuid, policy jsonb) returns jsonb
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_policy jsonb;
  v_resolved jsonb;
begin
  perform kata_data.lock_context(context_id);
  update kata_data.context c
  set policy = jsonb_strip_nulls(c.policy || kata_data.check_policy(set_policy.policy)),
      updated_at = kata_data.clock()
  where c.context_id = set_policy.context_id
  returning c.policy into strict v_policy;
  perform kata_data.add_act(
    context_id, 'policy', content => jsonb_build_object('patch', coalesce(set_policy.policy, '{}'), 'policy', v_policy));
  v_resolved := kata_data.resolved_policy(context_id);
  update kata_data.head h
  set is_strict = (v_resolved -> 'strict')::boolean,
      notifies = (v_resolved -> 'notify')::boolean,
      summarizes = v_resolved ->> 'strategy' = 'summarize'
  where h.context_id = set_policy.context_id;
  -- A new policy deserves a new attempt, whatever failed under the old one.
  update kata_data.compaction_guard g
  set failures = 0,
      least_tokens = 0
  where g.context_id = set_policy.context_id;
  perform kata_data.set_due(context_id);
  return v_resolved;
end
$$;
comment on function kata.set_policy(uuid, jsonb) is
'Changes the compaction policy of a context, and resets its failure counter.

Each change is kept: kata.acts lists it.

context_id: the context.
policy: a patch, an object of fields as get_policy names them; null resets a field to its default.

Returns the policy, every field resolved.
Errors: KC001, KC006, KC013 unknown field, wrong type or out of range. Locks: the head of the context. Cost: O(1).';
