-- Locks the head, as every change of a context does, so that it sees a concurrent deletion.
-- plans: lookup

create or replace function kata.update_context(
  context_id uuid, name text default null, metadata jsonb default null, merge boolean default false
) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_name text;
  v_before jsonb;
  v_metadata jsonb := metadata;
begin
  perform kata_data.lock_context(context_id);
  perform kata_data.check_name(nullif(name, ''));
  perform kata_data.check_metadata(coalesce(metadata, '{}'));
  select c.name, c.metadata into strict v_name, v_before from kata_data.context c where c.context_id = update_context.context_id;
  if merge and metadata is not null then
    v_metadata := kata_data.merged(v_before, metadata);
    perform kata_data.check_metadata(v_metadata);
  end if;
  update kata_data.context c
  set name = case when update_context.name is null then c.name else nullif(update_context.name, '') end,
      metadata = coalesce(v_metadata, c.metadata),
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
comment on function kata.update_context(uuid, text, jsonb, boolean) is
'Changes the name or the metadata of a context.

context_id: the context. name: the new name; null keeps it, '''' clears it.
metadata: the new object, at most 64 kB; null keeps it.
merge: whether metadata is a merge patch (RFC 7396): fields that it names are set, in objects inside of it, too, those that it sets to null are
  removed, and the others stay.

Errors: KC001, KC006, KC007 name taken, KC017. Locks: the head of the context. Cost: O(1).';

create or replace function kata_data.merged(target jsonb, patch jsonb) returns jsonb
language plpgsql immutable
as $$
begin
  if jsonb_typeof(patch) <> 'object' then
    return patch;
  end if;
  return (
    select coalesce(jsonb_object_agg(f.key, f.value), '{}')
    from (
      select t.key, t.value
      from jsonb_each(case jsonb_typeof(target) when 'object' then target else '{}'::jsonb end) t
      where not patch ? t.key
      union all
      select p.key, kata_data.merged(target -> p.key, p.value)
      from jsonb_each(patch) p
      where p.value <> 'null'
    ) f);
end
$$;
comment on function kata_data.merged(jsonb, jsonb) is 'An object after a merge patch (RFC 7396), at most 100 levels deep.';
