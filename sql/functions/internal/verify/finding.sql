-- Findings that compare: every part of verification puts them the same way.

create or replace function kata_data.differs(version bigint, problem text, stored text, recomputed text) returns kata_data.finding
language sql stable
as $$
  select row(version, problem, format('Stored: %s; recomputed: %s.', coalesce(stored, 'null'), coalesce(recomputed, 'null')))::kata_data.finding
$$;
comment on function kata_data.differs(bigint, text, text, text) is 'A finding that something is stored otherwise than it is recomputed.';
