-- Locks the head, as every change of a context does, so that it sees a concurrent deletion.
-- plans: lookup

create or replace function kata.update_context(context_id uuid, name text default null, metadata jsonb default null) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_name text;
begin
  perform kata_data.lock_context(context_id);
  perform kata_data.check_name(nullif(name, ''));
  perform kata_data.check_metadata(coalesce(metadata, '{}'));
  select c.name into strict v_name from kata_data.context c where c.context_id = update_context.context_id;
  update kata_data.context c
  set name = case when update_context.name is null then c.name else nullif(update_context.name, '') end,
      metadata = coalesce(update_context.metadata, c.metadata),
      updated_at = kata_data.clock()
  where c.context_id = update_context.context_id;
  if nullif(name, '') is distinct from v_name and name is not null then
    perform kata_data.add_act(context_id, 'rename', content => jsonb_strip_nulls(jsonb_build_object('name', nullif(name, ''))));
  end if;
exception
  when unique_violation then
    raise exception using
      errcode = 'KC007',
      message = format('context name "%s" is taken', name),
      detail = 'Another live context of the tenant has it.',
      hint = 'Choose another name, or find that context with kata.find_context.';
end
$$;
comment on function kata.update_context(uuid, text, jsonb) is
'Changes the name or the metadata of a context.

context_id: the context. name: the new name; null keeps it, '''' clears it.
metadata: the new object, at most 64 kB; null keeps it.

Errors: KC001, KC006, KC007 name taken, KC017. Locks: the head of the context. Cost: O(1).';
