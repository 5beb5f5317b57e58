-- The other rows of a root context: a head, a lineage of one open-ended segment, its own, and the act of its creation.

create or replace function kata_data.insert_root(context kata_data.context) returns void
language plpgsql volatile
as $$
declare
  v_due record;
begin
  perform kata_data.keep_tenant(context.tenant);
  v_due := kata_data.first_due(context.policy, 0, 0, null);
  insert into kata_data.head (context_id, tenant, tokenizer, due_tokens, due_messages, is_strict, notifies, summarizes, last_digest)
  values (
    context.context_id, context.tenant, context.tokenizer, v_due.due_tokens, v_due.due_messages,
    coalesce((context.policy -> 'strict')::boolean, true), coalesce((context.policy -> 'notify')::boolean, false),
    coalesce(context.policy ->> 'strategy', 'summarize') = 'summarize',
    kata_data.first_digest(context.context_id));
  insert into kata_data.lineage (context_id, first_version, segment_id)
  values (context.context_id, 1, context.context_id);
  perform kata_data.add_act(
    context.context_id, 'create', jsonb_build_object('tenant', context.tenant, 'tokenizer', context.tokenizer),
    kata_data.first_content(context), context.created_at);
end
$$;
comment on function kata_data.insert_root(kata_data.context) is 'Inserts head, lineage and first act of a root whose context row has been inserted.';
