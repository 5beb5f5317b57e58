-- Removes a name. Its version stays as it is.
-- plans: lookup

create or replace function kata.drop_checkpoint(context_id uuid, name text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set enable_seqscan = off
as $$
declare
  v_owner uuid;
begin
  perform kata_data.lock_context(context_id);
  delete from kata_data.checkpoint k
  where k.context_id = drop_checkpoint.context_id
    and k.name = drop_checkpoint.name;
  if found then
    perform kata_data.add_act(context_id, 'drop', content => jsonb_build_object('name', name));
    return;
  end if;
  v_owner := (kata_data.find_checkpoint(context_id, name)).owner_id;
  raise exception using
    errcode = 'KC014',
    message = format('checkpoint "%s" is unknown', coalesce(left(name, 255), 'null')),
    detail = case
      when v_owner is null then format('Context %s has no checkpoint of this name.', context_id)
      else format('It belongs to %s, an ancestor of context %s.', v_owner, context_id)
    end,
    hint = 'List the names with kata.checkpoints; drop an ancestor''s there, or hide it by one of the same name.';
end
$$;
comment on function kata.drop_checkpoint(uuid, text) is
'Drops a checkpoint of a context.

Its version stays, and a checkpoint of an ancestor that it hid is visible again.

context_id: the context. name: one of its own checkpoints.

Errors: KC001, KC006, KC014 unknown, or an ancestor''s. Locks: the head of the context. Cost: O(log checkpoints).';
