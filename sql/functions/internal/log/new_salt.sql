-- The only place that makes salts. As with kata.clock, a superuser's session may set kata.salt, 16 bytes in hexadecimal, and every salt is then
-- the same, so that tests compare digests. The setting of any other session is ignored.

create or replace function kata_data.new_salt() returns bytea
language sql volatile
as $$
  select case
    when current_setting('kata.salt', true) is null then uuid_send(gen_random_uuid())
    else kata_data.salt_setting()
  end
$$;
comment on function kata_data.new_salt() is
'Sixteen random bytes, those of a random UUID, or the kata.salt of a superuser''s session.';

create or replace function kata_data.salt_setting() returns bytea
language sql volatile
as $$
  select case
    when r.rolsuper and current_setting('kata.salt') <> '' then decode(current_setting('kata.salt'), 'hex')
    else uuid_send(gen_random_uuid())
  end
  from pg_catalog.pg_roles r
  where r.rolname = session_user
$$;
comment on function kata_data.salt_setting() is 'The setting kata.salt where the session is a superuser''s, else random bytes.';
