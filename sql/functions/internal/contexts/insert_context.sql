-- Inserts the context row of a root or of a fork. The unique index of live names decides between sessions: an insert waits for the
-- transaction that holds the name, and takes the name only if that one rolls back, deletes or renames.

create or replace function kata_data.try_insert_context(context kata_data.context) returns boolean
language plpgsql volatile
as $$
-- The arbiter of ON CONFLICT names columns, and cannot qualify them.
#variable_conflict use_column
begin
  -- The proxy has found the name on another shard.
  if context.context_id = '00000000-0000-0000-0000-000000000000' then
    perform kata_data.refuse_name(context);
  end if;
  insert into kata_data.context (
    context_id, tenant, name, family_id, parent_id, fork_version, depth, tokenizer, policy, metadata, created_at, updated_at)
  values (
    context.context_id, context.tenant, context.name, context.family_id, context.parent_id, context.fork_version, context.depth,
    context.tokenizer, context.policy, context.metadata, context.created_at, context.updated_at)
  on conflict (tenant, name) where deleted_at is null and name is not null do nothing;
  return found;
end
$$;
comment on function kata_data.try_insert_context(kata_data.context) is
'Inserts the row of a new context; false where another live context of the tenant has the name. Waits for a transaction that is about to
take or to free the name.';

create or replace function kata_data.insert_context(context kata_data.context) returns void
language plpgsql volatile
as $$
begin
  if kata_data.try_insert_context(context) then
    return;
  end if;
  perform kata_data.refuse_name(context);
end
$$;
comment on function kata_data.insert_context(kata_data.context) is 'Inserts the row of a new context. KC007.';

create or replace function kata_data.refuse_name(context kata_data.context) returns void
language plpgsql stable
as $$
begin
  raise exception using
    errcode = 'KC007',
    message = format('context name "%s" is taken', context.name),
    detail = format('A live context of tenant "%s" has it.', context.tenant),
    hint = 'Choose another name, or find that context with kata.find_context.';
end
$$;
comment on function kata_data.refuse_name(kata_data.context) is 'Refuses a name that another live context has. KC007.';
