-- Files that a patch names, and what it does to them: unified diffs, those of git with their renames, and *** patches of editing tools.

create or replace function kata_data.patch_files(body text) returns table (path text, detail jsonb)
language sql immutable rows 10
as $$
  select f.path, f.detail
  from regexp_matches(body, E'(?:^|\\n)--- (?:a/)?([^\\s]+)[^\\n]*\\n\\+\\+\\+ (?:b/)?([^\\s]+)' collate kata_data.c_utf8, 'g') p(match)
  cross join lateral (values
    (p.match[1], case
      when p.match[2] = '/dev/null' then kata_data.file_change(deleted => true)
      when p.match[2] <> p.match[1] then kata_data.file_change(deleted => true, renamed_to => p.match[2])
      else kata_data.file_change()
    end),
    (case when p.match[2] <> p.match[1] then p.match[2] end, case
      when p.match[1] = '/dev/null' then kata_data.file_change()
      else kata_data.file_change(renamed_from => p.match[1])
    end)
  ) f(path, detail)
  where f.path <> '/dev/null'
  union all
  select f.path, f.detail
  from (
    select g.match from regexp_matches(body, E'(?:^|\\n)rename from ([^\\r\\n]+)\\r?\\nrename to ([^\\r\\n]+)', 'g') g(match)
    union all
    select e.match from regexp_matches(body, E'\\*\\*\\* Update File: ([^\\s]+)\\r?\\n\\*\\*\\* Move to: ([^\\s]+)' collate kata_data.c_utf8, 'g') e(match)
  ) p
  cross join lateral (values
    (p.match[1], kata_data.file_change(deleted => true, renamed_to => p.match[2])),
    (p.match[2], kata_data.file_change(renamed_from => p.match[1]))
  ) f(path, detail)
  union all
  select p.match[1], kata_data.file_change()
  from regexp_matches(body, E'(?:^|\\n)diff --git a/([^\\s]+) b/' collate kata_data.c_utf8, 'g') p(match)
  union all
  select p.match[2], kata_data.file_change(deleted => p.match[1] = 'Delete')
  from regexp_matches(body, E'\\*\\*\\* (Add|Update|Delete) File: ([^\\s]+)' collate kata_data.c_utf8, 'g') p(match)
$$;
comment on function kata_data.patch_files(text) is 'The files that a patch changes, adds, renames or deletes.';
