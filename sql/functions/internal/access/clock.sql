-- Time is asked for here and nowhere else, so that leases, debounce and expiry are tested without sleeping: a session of a
-- superuser may set kata.clock to a timestamp, which then stands still. From anybody else the setting is not believed.

create or replace function kata_data.clock() returns timestamptz
language sql volatile
as $$
  select case
    when current_setting('kata.clock', true) is null then clock_timestamp()
    else kata_data.clock_setting()
  end
$$;
comment on function kata_data.clock() is 'The time, or what a superuser''s session has set kata.clock to.';

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
comment on function kata_data.clock_setting() is 'kata.clock if it is set and the session is a superuser''s, else the time.';

create or replace function kata_data.batch_time(last_at timestamptz) returns timestamptz
language sql volatile
as $$
  select greatest(kata_data.clock(), last_at + interval '1 microsecond')
$$;
comment on function kata_data.batch_time(timestamptz) is 'created_at of a batch: the time, but later than last_at, the batch before. To be asked under the lock.';
