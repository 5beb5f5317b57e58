-- Findings that several parts of verification put the same way.

create or replace function kata_data.differs(version bigint, problem text, stored text, recomputed text) returns kata_data.finding
language sql stable
as $$
  select row(version, problem, format('Stored: %s; recomputed: %s.', coalesce(stored, 'null'), coalesce(recomputed, 'null')))::kata_data.finding
$$;
comment on function kata_data.differs(bigint, text, text, text) is 'A finding that something is stored otherwise than it is recomputed.';

create or replace function kata_data.verify_salt(version bigint, salt bytea) returns setof kata_data.finding
language sql stable rows 1
as $$
  -- A salt of another length: bytes may have moved between it and the text, which the digest does not show.
  select version, 'salt', format('It is %s bytes long, not 16.', octet_length(salt))
  where octet_length(salt) <> 16
$$;
comment on function kata_data.verify_salt(bigint, bytea) is 'A finding where a salt does not have 16 bytes.';
