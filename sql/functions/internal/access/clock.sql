-- The only place that reads the time, so that leases, debounce and expiry are tested without sleeping: a superuser's session may set
-- kata.clock to a timestamp, and time then stops there. The setting of any other session is ignored.

create or replace function kata_data.clock() returns timestamptz
language sql volatile
as $$
  select case
    when current_setting('kata.clock', true) is null then clock_timestamp()
    else kata_data.clock_setting()
  end
$$;
comment on function kata_data.clock() is 'The time, or the kata.clock of a superuser''s session.';

create or replace function kata_data.clock_setting() returns timestamptz
language sql volatile
as $$
  select case
    when r.rolsuper and current_setting('kata.clock') <> '' then current_setting('kata.clock')::timestamptz
    else clock_timestamp()
  end
  from pg_catalog.pg_roles r
  where r.rolname = session_user
$$;
comment on function kata_data.clock_setting() is 'The setting kata.clock where the session is a superuser''s, else the time.';

create or replace function kata_data.batch_time(last_at timestamptz) returns timestamptz
language sql volatile
as $$
  select greatest(kata_data.clock(), last_at + interval '1 microsecond')
$$;
comment on function kata_data.batch_time(timestamptz) is
'The created_at of a batch: the time, and later than last_at, that of the batch before. Call it under the lock.';
