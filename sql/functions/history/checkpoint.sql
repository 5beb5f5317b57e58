-- Names a version. The name belongs to the context; forks made at or after the version see it, too.
-- plans: lookup

create or replace function kata.checkpoint(context_id uuid, name text, at bigint default null, note text default null) returns bigint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
-- The arbiter of ON CONFLICT names columns, and cannot qualify them.
#variable_conflict use_column
declare
  v_head kata_data.head;
  v_at bigint;
  v_now timestamptz := kata_data.clock();
begin
  v_head := kata_data.lock_context(checkpoint.context_id);
  v_at := coalesce(at, v_head.version);
  perform kata_data.check_name(coalesce(checkpoint.name, ''));
  if kata_data.selector_kind(checkpoint.name) <> 'name' then
    raise exception using
      errcode = 'KC017',
      message = format('checkpoint name "%s" could be taken for a version or a time', checkpoint.name),
      detail = 'kata.resolve_version reads numbers, head, head~3 and ISO 8601 timestamps as such.',
      hint = 'Choose a name with a word in it, for example "before refactoring".';
  end if;
  perform kata_data.check_version(checkpoint.context_id, v_at, v_head.version);
  insert into kata_data.checkpoint (context_id, name, version, note, created_at)
  values (checkpoint.context_id, checkpoint.name, v_at, checkpoint.note, v_now)
  on conflict (context_id, name) do nothing;
  if not found then
    raise exception using
      errcode = 'KC014',
      message = format('checkpoint "%s" exists', checkpoint.name),
      detail = format('It names version %s of context %s.',
        (kata_data.find_checkpoint(checkpoint.context_id, checkpoint.name)).version, checkpoint.context_id),
      hint = 'Choose another name, or drop that one with kata.drop_checkpoint.';
  end if;
  perform kata_data.add_act(
    checkpoint.context_id, 'checkpoint', jsonb_build_object('version', v_at),
    jsonb_strip_nulls(jsonb_build_object('name', checkpoint.name, 'note', checkpoint.note)), v_now);
  return v_at;
end
$$;
comment on function kata.checkpoint(uuid, text, bigint, text) is
'Names a version of a context, for use in selectors.

context_id: the context.
name: 1 to 255 characters, unique among the context''s own checkpoints; it may hide a checkpoint of an ancestor. A name that reads
  as a version, as head or as a timestamp is refused.
at: the version, 0 included; null for the newest. note: stored as given.

Returns the version.
Errors: KC001, KC002, KC006, KC014 the context has a checkpoint of this name, KC017.
Locks: the head of the context. Cost: O(log checkpoints).';
