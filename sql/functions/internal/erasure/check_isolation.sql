-- Removals need to see what was committed before they got their locks. A snapshot taken earlier may hide a fork or a copy, and no later
-- check finds it, because forks and merges only share the lock.

create or replace function kata_data.check_isolation() returns void
language plpgsql stable
as $$
begin
  if current_setting('transaction_isolation') in ('read committed', 'read uncommitted') then
    return;
  end if;
  raise exception using
    errcode = 'KC017',
    message = 'history is removed at isolation level read committed only',
    detail = format(
      'The transaction is at level %s, whose snapshot may hide a fork or a copy made meanwhile.', current_setting('transaction_isolation')),
    hint = 'Call the function in a transaction of its own, at level read committed.';
end
$$;
comment on function kata_data.check_isolation() is
'Refuses a transaction that cannot see what was committed before it got its locks. KC017.';
