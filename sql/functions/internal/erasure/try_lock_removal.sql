-- The locks of a removal that passes over what is busy instead of waiting for it.

create or replace function kata_data.try_lock_removal(context_id uuid) returns boolean
language plpgsql volatile
as $$
declare
  v_wait text := current_setting('lock_timeout');
begin
  perform
  from kata_data.lineage l
  where l.context_id = any (kata_data.families_of(array[try_lock_removal.context_id]))
    and l.first_version = 1
  for update nowait;
  perform
  from kata_data.search_mark m
  where m.segment_id = any (try_lock_removal.context_id || array(select a.ancestor_id from kata_data.ancestors(try_lock_removal.context_id) a))
  for update nowait;
  -- A mark that another session has just made may still be waited for: its row is not visible, and an INSERT has no NOWAIT.
  perform set_config('lock_timeout', '10ms', true);
  perform kata_data.lock_removal(array[context_id]);
  perform set_config('lock_timeout', v_wait, true);
  perform from kata_data.head h where h.context_id = try_lock_removal.context_id for update nowait;
  return true;
exception
  -- The locks before the one that failed end here, and so does the setting.
  when lock_not_available then
    return false;
end
$$;
comment on function kata_data.try_lock_removal(uuid) is
'Locks the family of a context, the marks of it and its ancestors and its head, as purge_context does. Returns false, and has locked nothing,
where another session holds one of them; waits no more than 10 milliseconds.';
