-- Deletes, restores, archives and unarchives: the context row says since when, the head says closed, which appends read.

create or replace function kata_data.set_state(context_id uuid, archived boolean default null, deleted boolean default null) returns void
language plpgsql volatile
as $$
declare
  v_now timestamptz := kata_data.clock();
  v_is_changed boolean;
begin
  update kata_data.context c
  set archived_at = case when archived is null then c.archived_at when archived then v_now end,
      deleted_at = case when deleted is null then c.deleted_at when deleted then v_now end,
      updated_at = v_now
  where c.context_id = set_state.context_id
    and (c.archived_at is not null <> archived or c.deleted_at is not null <> deleted);
  v_is_changed := found;
  update kata_data.head h
  set closed = (c.archived_at is not null or c.deleted_at is not null)
  from kata_data.context c
  where h.context_id = set_state.context_id
    and c.context_id = set_state.context_id;
  perform kata_data.set_due(context_id);
  if v_is_changed then
    perform kata_data.add_act(context_id, case
      when archived then 'archive' when not archived then 'unarchive' when deleted then 'delete' else 'restore' end, acted_at => v_now);
  end if;
exception
  when unique_violation then
    raise exception using
      errcode = 'KC007',
      message = format('context %s cannot be restored: its name is taken', context_id),
      detail = 'Another live context of the tenant has the name.',
      hint = 'Rename or delete that one first; kata.find_context finds it.';
end
$$;
comment on function kata_data.set_state(uuid, boolean, boolean) is
'Archives or deletes a context, or reverses that; null leaves a state unchanged. The caller holds the head''s lock. KC007.';
