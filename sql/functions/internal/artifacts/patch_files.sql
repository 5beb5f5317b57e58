-- Files that a patch names, and what it does to them.

create or replace function kata_data.patch_files(body text) returns table (path text, detail jsonb)
language sql immutable rows 10
as $$
  select f.path, f.detail
  from regexp_matches(body, '(?:^|\n)--- (?:a/)?([^\s]+)[^\n]*\n\+\+\+ (?:b/)?([^\s]+)', 'g') p(match)
  cross join lateral (values
    (p.match[1], case
      when p.match[2] = '/dev/null' then '{"access": "modified", "deleted": true}'::jsonb
      when p.match[2] <> p.match[1] then jsonb_build_object('access', 'modified', 'deleted', true, 'renamed_to', p.match[2])
      else '{"access": "modified"}'
    end),
    (case when p.match[2] <> p.match[1] then p.match[2] end, case
      when p.match[1] = '/dev/null' then '{"access": "modified"}'::jsonb
      else jsonb_build_object('access', 'modified', 'renamed_from', p.match[1])
    end)
  ) f(path, detail)
  where f.path <> '/dev/null'
  union all
  select f.path, f.detail
  from regexp_matches(body, '(?:^|\n)rename from ([^\r\n]+)\r?\nrename to ([^\r\n]+)', 'g') p(match)
  cross join lateral (values
    (p.match[1], jsonb_build_object('access', 'modified', 'deleted', true, 'renamed_to', p.match[2])),
    (p.match[2], jsonb_build_object('access', 'modified', 'renamed_from', p.match[1]))
  ) f(path, detail)
  union all
  select p.match[1], '{"access": "modified"}'
  from regexp_matches(body, '(?:^|\n)diff --git a/([^\s]+) b/', 'g') p(match)
  union all
  select p.match[2], case p.match[1] when 'Delete' then '{"access": "modified", "deleted": true}'::jsonb else '{"access": "modified"}' end
  from regexp_matches(body, '\*\*\* (Add|Update|Delete) File: ([^\s]+)', 'g') p(match)
  union all
  select f.path, f.detail
  from regexp_matches(body, '\*\*\* Update File: ([^\s]+)\r?\n\*\*\* Move to: ([^\s]+)', 'g') p(match)
  cross join lateral (values
    (p.match[1], jsonb_build_object('access', 'modified', 'deleted', true, 'renamed_to', p.match[2])),
    (p.match[2], jsonb_build_object('access', 'modified', 'renamed_from', p.match[1]))
  ) f(path, detail)
$$;
comment on function kata_data.patch_files(text) is 'The files that a patch changes, adds, renames or deletes.';
